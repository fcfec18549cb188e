/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* http_priv.h - what the units of http share. */
#ifndef BPFNET_HTTP_PRIV_H
#define BPFNET_HTTP_PRIV_H

#include "http.h"
#include "http_curl.h"

/* The lines in front of a body and behind it, as they come. */
struct http_lines {
	struct http_headers headers;
	struct http_headers trailers;
	unsigned int status;
	size_t bytes;
	bool body_began; /* a line that comes now is a trailer */
};

struct http {
	const struct curl_api *curl;
	struct loop *loop;
	CURLM *multi;
	struct loop_timer *timer; /* when libcurl wants to be called */
	struct http_request *requests; /* that libcurl has */
	bool is_deaf; /* there was no memory to wait for a descriptor */
};

struct http_request {
	struct http *http;
	struct http_request *next;
	CURL *easy; /* NULL: over */
	struct curl_slist *headers;
	struct http_lines lines;
	char *data; /* of the body, not delivered yet */
	size_t data_len, data_room;
	bool over; /* what remains is to tell */
	const char *error; /* NULL or error_text or a constant */
	char error_text[CURL_ERROR_SIZE + 64];
	struct loop_timer *deliver;
	struct loop_timer *deadline;
	uint64_t end_ns; /* 0: no timeout for all of it */
	uint64_t stall_ns; /* 0: none */
	uint64_t heard_ns; /* when the last byte came */
	bool late; /* one of the times has passed */
	void (*on_headers)(void *arg, unsigned int status, const struct http_headers *headers);
	bool told_headers;
	void (*on_data)(void *arg, const void *data, size_t len);
	void (*on_done)(void *arg, const struct http_result *result);
	void *arg;
};

/* Ends all that are under way: out of memory. */
void http_give_up(struct http *http);
/* libcurl is done with it: takes it from there, and tells soon. */
void http_finished(struct http_request *r, CURLcode code);

/* Takes a line of a head or of trailers; false: too many bytes of them, or no memory. */
bool http_add_line(struct http_lines *lines, const char *line, size_t len);
void http_free_lines(struct http_lines *lines);

/* Refuses options that would not mean what they say; -EINVAL, -ENOTSUP. */
int http_check(const struct curl_api *curl, const struct http_opts *opts, struct err *err);
/* Puts them into r->easy and r->headers. */
int http_set_options(struct http_request *r, const struct http_opts *opts, struct err *err);

#endif
