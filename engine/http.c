/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A request's life. What a server sends is kept while libcurl runs, and told by a timer of the
 * request's own: so nothing that a callback does can happen inside of libcurl.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include "http_priv.h"
#include "loop.h"
#include "util.h"

#define GRACE_NS (10 * NSEC_PER_MSEC)

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
	struct http_request **p;

	if (!r->easy)
		return;
	http_block_signals(&signals);
	if (!r->over)
		curl->easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L);
	curl->multi_remove_handle(r->http->multi, r->easy);
	curl->easy_cleanup(r->easy);
	http_restore_signals(&signals);
	r->easy = NULL;
	for (p = &r->http->requests; *p && *p != r; p = &(*p)->next)
		;
	if (*p)
		*p = r->next;
}

static void end(struct http_request *r, const char *error)
{
	r->over = true;
	r->error = error;
	loop_timer_stop(r->deadline);
	deliver_soon(r);
}

void http_give_up(struct http *h)
{
	while (h->requests) {
		struct http_request *r = h->requests;

		abandon(r);
		end(r, out_of_memory);
	}
}

void http_finished(struct http_request *r, CURLcode code)
{
	const char *error = *r->error_text ? r->error_text : r->http->curl->easy_strerror(code);

	end(r, code == CURLE_OK ? NULL : error);
	abandon(r);
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

	r->late = false;
	if (r->stall_ns && r->heard_ns + r->stall_ns < due)
		due = r->heard_ns + r->stall_ns;
	if (due != UINT64_MAX)
		loop_timer_set(r->deadline, due > now ? due - now : 0, 0);
}

/*
 * Looked at when it may have come, not moved with every byte. And again a moment later: the loop
 * may have been away, and what came meanwhile not be read yet.
 */
static void on_deadline(void *arg)
{
	struct http_request *r = arg;
	uint64_t now = now_ns();
	bool is_over = r->end_ns && now >= r->end_ns;

	if (!is_over && !(r->stall_ns && now >= r->heard_ns + r->stall_ns)) {
		set_deadline(r);
		return;
	}
	if (!r->late) {
		r->late = true;
		loop_timer_set(r->deadline, GRACE_NS, 0);
		return;
	}
	abandon(r);
	if (is_over)
		end(r, "timed out");
	else
		end(r, r->lines.bytes ? "the server has stalled" : "the server does not answer");
}

/* What a script runs has no business with its connections. */
static int on_new_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	(void)arg;
	(void)purpose;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
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
	curl->easy_setopt(r->easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
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
	r->next = h->requests;
	h->requests = r;
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
