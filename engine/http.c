/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * libcurl says which descriptors and what time it waits for, the loop waits, and calls back. What
 * a server sends is kept while libcurl runs, and told by a timer of the request's own: so nothing
 * that a callback does can happen inside of libcurl.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "http_priv.h"
#include "loop.h"
#include "util.h"

#define KEPT_CONNECTIONS 8L

static const char out_of_memory[] = "out of memory";

/* What comes next of a request is told in the loop's next round. */
static void deliver_soon(struct http_request *r)
{
	loop_timer_set(r->deliver, 0, 0);
}

/* Takes it from libcurl, and its connection is closed: an answer may still come there. */
static void abandon(struct http_request *r)
{
	const struct curl_api *curl = r->http->curl;
	struct http_signals signals;

	if (!r->easy)
		return;
	http_block_signals(&signals);
	if (!r->over)
		curl->easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L);
	curl->multi_remove_handle(r->http->multi, r->easy);
	curl->easy_cleanup(r->easy);
	http_restore_signals(&signals);
	r->easy = NULL;
}

static void end(struct http_request *r, const char *error)
{
	r->over = true;
	r->error = error;
	loop_timer_stop(r->deadline);
	deliver_soon(r);
}

static const char *error_of(struct http_request *r, CURLcode code)
{
	if (code == CURLE_OK)
		return NULL;
	return *r->error_text ? r->error_text : r->http->curl->easy_strerror(code);
}

static void take_finished(struct http *h)
{
	struct http_request *r;
	CURLMsg *msg;
	CURLcode code;
	int left;

	while ((msg = h->curl->multi_info_read(h->multi, &left))) {
		code = msg->data.result; /* msg is gone with the handle */
		h->curl->easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &r);
		end(r, error_of(r, code));
		abandon(r);
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
}

struct http_sock {
	struct http *http;
	struct http_sock *next;
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
	*sock = (struct http_sock){ .http = h, .next = h->socks, .fd = fd };
	h->socks = sock;
	return sock;
}

static void free_sock(struct http_sock *sock)
{
	struct http_sock **p;

	for (p = &sock->http->socks; *p != sock; p = &(*p)->next)
		;
	*p = sock->next;
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
	struct http_sock *sock = known ? known : new_sock(h, fd);

	(void)easy;
	if (!sock)
		return -1;
	loop_unwatch(sock->watch);
	sock->watch = NULL;
	if (what != CURL_POLL_REMOVE)
		sock->watch = loop_watch(h->loop, fd, events[what], on_ready, sock);
	if (sock->watch) {
		h->curl->multi_assign(h->multi, fd, sock);
		return 0;
	}
	h->curl->multi_assign(h->multi, fd, NULL);
	free_sock(sock);
	return what == CURL_POLL_REMOVE ? 0 : -1;
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
		return err_set(err, -ENOMEM, out_of_memory);
	h->curl = curl;
	h->loop = loop;
	h->timer = loop_timer_new(loop, on_timeout, h);
	h->multi = curl->multi_init();
	if (!h->timer || !h->multi) {
		http_free(h);
		return err_set(err, -ENOMEM, out_of_memory);
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
	while (h->socks) /* after a lack of memory libcurl takes none of them back */
		free_sock(h->socks);
	loop_timer_free(h->timer);
	free(h);
}

/* In libcurl. Less than was given is an error, which ends the request. */
static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	struct http_request *r = arg;
	char *bigger;

	(void)one; /* it is 1 */
	r->heard_ns = now_ns();
	if (!r->on_data)
		return len;
	if (r->data_len + len > r->data_room) {
		bigger = realloc(r->data, (r->data_len + len) * 2);
		if (!bigger)
			return 0;
		r->data = bigger;
		r->data_room = (r->data_len + len) * 2;
	}
	memcpy(r->data + r->data_len, data, len);
	r->data_len += len;
	deliver_soon(r);
	return len;
}

static size_t on_line(char *data, size_t one, size_t len, void *arg)
{
	struct http_request *r = arg;

	(void)one;
	r->heard_ns = now_ns();
	if (!http_add_line(&r->lines, data, len))
		return 0;
	if (r->lines.body_began)
		deliver_soon(r);
	return len;
}

/* Not those of an interim response (1xx). */
static bool has_headers_to_tell(const struct http_request *r)
{
	return r->on_headers && !r->told_headers && r->lines.body_began && r->lines.status >= 200;
}

/* r may be gone when the callback returns, or left by longjmp: so the data is kept by r, emptied. */
static void deliver(void *arg)
{
	struct http_request *r = arg;
	struct http_result result;

	if (has_headers_to_tell(r)) {
		r->told_headers = true;
		deliver_soon(r);
		r->on_headers(r->arg, r->lines.status, &r->lines.headers);
		return;
	}
	if (r->data_len) {
		size_t len = r->data_len;

		r->data_len = 0;
		deliver_soon(r);
		r->on_data(r->arg, r->data, len);
		return;
	}
	if (!r->over)
		return;
	result = (struct http_result){ .status = r->lines.status,
				       .headers = r->lines.headers,
				       .trailers = r->lines.trailers,
				       .error = r->error };
	r->on_done(r->arg, &result);
}

static void set_deadline(struct http_request *r)
{
	uint64_t due = r->end_ns ? r->end_ns : UINT64_MAX, now = now_ns();

	if (r->stall_ns && r->heard_ns + r->stall_ns < due)
		due = r->heard_ns + r->stall_ns;
	if (due != UINT64_MAX)
		loop_timer_set(r->deadline, due > now ? due - now : 0, 0);
}

/* Looked at when it may have come, not moved with every byte. */
static void on_deadline(void *arg)
{
	struct http_request *r = arg;
	uint64_t now = now_ns();

	if (r->end_ns && now >= r->end_ns) {
		abandon(r);
		end(r, "timed out");
	} else if (r->stall_ns && now >= r->heard_ns + r->stall_ns) {
		abandon(r);
		end(r, r->lines.bytes ? "the server has stalled" : "the server does not answer");
	} else {
		set_deadline(r);
	}
}

static int prepare(struct http_request *r, const struct http_opts *o, struct err *err)
{
	const struct curl_api *curl = r->http->curl;

	r->deliver = loop_timer_new(r->http->loop, deliver, r);
	r->deadline = loop_timer_new(r->http->loop, on_deadline, r);
	r->easy = curl->easy_init();
	if (!r->deliver || !r->deadline || !r->easy)
		return err_set(err, -ENOMEM, out_of_memory);
	curl->easy_setopt(r->easy, CURLOPT_PRIVATE, r);
	curl->easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl->easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
	curl->easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, on_line);
	curl->easy_setopt(r->easy, CURLOPT_HEADERDATA, r);
	curl->easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->error_text);
	return http_set_options(r, o, err);
}

int http_start(struct http_request **out, struct http *h, const struct http_opts *o,
	       struct err *err)
{
	struct http_request *r;
	int rc = http_check(h->curl, o, err);

	*out = NULL;
	if (rc)
		return rc;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, -ENOMEM, out_of_memory);
	r->http = h;
	r->heard_ns = now_ns();
	r->stall_ns = o->stall_timeout_ns;
	r->end_ns = o->timeout_ns ? r->heard_ns + o->timeout_ns : 0;
	r->on_headers = o->on_headers;
	r->on_data = o->on_data;
	r->on_done = o->on_done;
	r->arg = o->arg;
	rc = prepare(r, o, err);
	if (!rc && h->curl->multi_add_handle(h->multi, r->easy) != CURLM_OK)
		rc = err_set(err, -ENOMEM, out_of_memory);
	if (rc) {
		http_cancel(r);
		return rc;
	}
	set_deadline(r);
	*out = r;
	return 0;
}

void http_cancel(struct http_request *r)
{
	if (!r)
		return;
	abandon(r);
	loop_timer_free(r->deliver);
	loop_timer_free(r->deadline);
	r->http->curl->slist_free_all(r->headers);
	http_free_lines(&r->lines);
	free(r->data);
	free(r);
}
