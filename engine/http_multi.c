/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * libcurl in the loop: it says which descriptors and what time it waits for, the loop waits, and
 * calls it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "http_priv.h"
#include "loop.h"
#include "util.h"

#define KEPT_CONNECTIONS 8L

static void take_finished(struct http *h)
{
	struct http_request *r;
	CURLMsg *msg;
	CURLcode code;
	int left;

	while ((msg = h->curl->multi_info_read(h->multi, &left))) {
		code = msg->data.result; /* msg is gone with the handle */
		h->curl->easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &r);
		http_finished(r, code);
	}
}

static void act(struct http *h, curl_socket_t fd, int what)
{
	struct http_signals signals;
	int running;

	http_block_signals(&signals);
	h->curl->multi_socket_action(h->multi, fd, what, &running);
	http_restore_signals(&signals);
	take_finished(h);
	if (h->is_deaf) {
		h->is_deaf = false;
		http_give_up(h);
	}
}

struct http_sock {
	struct http *http;
	curl_socket_t fd;
	struct loop_watch *watch;
};

static void on_ready(void *arg, uint32_t events)
{
	struct http_sock *sock = arg;
	int what = 0;

	if (events & EPOLLIN)
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		what |= CURL_CSELECT_ERR;
	act(sock->http, sock->fd, what); /* sock may be gone then */
}

static struct http_sock *new_sock(struct http *h, curl_socket_t fd)
{
	struct http_sock *sock = calloc(1, sizeof(*sock));

	if (!sock)
		return NULL;
	*sock = (struct http_sock){ .http = h, .fd = fd };
	return sock;
}

static void free_sock(struct http_sock *sock)
{
	loop_unwatch(sock->watch);
	free(sock);
}

/* libcurl wants to hear of this descriptor, of other events of it, or no more. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	static const uint32_t events[] = {
		[CURL_POLL_IN] = EPOLLIN, [CURL_POLL_OUT] = EPOLLOUT, [CURL_POLL_INOUT] = EPOLLIN | EPOLLOUT
	};
	struct http *h = arg;
	struct http_sock *sock = known;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (sock)
			free_sock(sock);
		return 0;
	}
	if (!sock)
		sock = new_sock(h, fd);
	if (sock) {
		loop_unwatch(sock->watch);
		sock->watch = loop_watch(h->loop, fd, events[what], on_ready, sock);
		h->curl->multi_assign(h->multi, fd, sock);
	}
	if (!sock || !sock->watch)
		h->is_deaf = true;
	return 0; /* -1 makes libcurl 7.88 stumble over its own feet */
}

static int on_timeout_wish(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	(void)multi;
	if (ms < 0)
		loop_timer_stop(h->timer);
	else
		loop_timer_set(h->timer, (uint64_t)ms * NSEC_PER_MSEC, 0);
	return 0;
}

static void on_timeout(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

int http_new(struct http **out, struct loop *loop, struct err *err)
{
	const struct curl_api *curl = http_curl(err);
	struct http *h;

	*out = NULL;
	if (!curl)
		return err->code;
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(err, -ENOMEM, "out of memory");
	h->curl = curl;
	h->loop = loop;
	h->timer = loop_timer_new(loop, on_timeout, h);
	h->multi = curl->multi_init();
	if (!h->timer || !h->multi) {
		http_free(h);
		return err_set(err, -ENOMEM, "out of memory");
	}
	curl->multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl->multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl->multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wish);
	curl->multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl->multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
	/* A connection each: one that hangs holds nobody else up, and is closed with its request. */
	curl->multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	*out = h;
	return 0;
}

void http_free(struct http *h)
{
	struct http_signals signals;

	if (!h)
		return;
	http_block_signals(&signals);
	if (h->multi)
		h->curl->multi_cleanup(h->multi);
	http_restore_signals(&signals);
	loop_timer_free(h->timer);
	free(h);
}
