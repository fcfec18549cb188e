/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * http.h - an HTTP client in the loop: HTTP/1.1 and 2, TLS, unix sockets, responses as they come.
 *
 * Never blocks the loop. Callbacks come from the loop, outside of libcurl: they may cancel their
 * own request and any other, start new ones, and leave by longjmp. A request does not hold the
 * loop. Proxies of the environment are not used, redirects not followed.
 */
#ifndef BPFNET_HTTP_H
#define BPFNET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"

struct http;
struct http_request;
struct loop;

struct http_bytes {
	const void *data; /* NULL: not given */
	size_t len;
};

struct http_header {
	const char *name; /* of a response: in lower case */
	const char *value;
};

struct http_headers {
	struct http_header *list;
	size_t count;
};

enum http_version {
	HTTP_ANY, /* 2 if a TLS server wants it, else 1.1 */
	HTTP_1,
	HTTP_2_PRIOR, /* 2 from the first byte on */
};

struct http_result {
	unsigned int status; /* 0: there was no response */
	struct http_headers headers; /* of the last response: empty if there was none */
	struct http_headers trailers; /* what came behind the body */
	const char *error; /* NULL: the response is complete */
};

/* Texts and bytes are copied. */
struct http_opts {
	const char *method; /* NULL: POST with a body, GET without */
	const char *url; /* http://, https:// */
	const char *unix_socket; /* NULL: by the URL's host */
	struct http_headers headers;
	struct http_bytes body;
	enum http_version version;
	/* TLS: whom to believe (neither: the system's), who we are. */
	const char *ca_file;
	struct http_bytes ca_data;
	const char *cert_file, *key_file;
	struct http_bytes cert_data, key_data;
	bool insecure; /* believe anybody */
	uint64_t connect_timeout_ns; /* with name and TLS; 0: 5 s */
	uint64_t stall_timeout_ns; /* without a byte from the server; 0: none */
	uint64_t timeout_ns; /* for all of it; 0: none */
	/* The response has begun; NULL is fine. */
	void (*on_headers)(void *arg, unsigned int status, const struct http_headers *headers);
	/* A piece of the body; what came meanwhile comes as one. NULL: the body is thrown away. */
	void (*on_data)(void *arg, const void *data, size_t len);
	/* Once, last. The request is still to be freed by http_cancel(), also from in here. */
	void (*on_done)(void *arg, const struct http_result *result);
	void *arg;
};

/* Loads libcurl: -ENOENT with a hint without it. */
int http_new(struct http **http, struct loop *loop, struct err *err);
/* After its requests have been cancelled. NULL is fine. */
void http_free(struct http *http);
/* -EINVAL for what can't be asked for, -ENOTSUP for what this libcurl can't do, -ENOMEM. */
int http_start(struct http_request **request, struct http *http, const struct http_opts *opts,
	       struct err *err);
/* Ends it, frees it; neither callback is called any more. NULL is fine. */
void http_cancel(struct http_request *request);

#endif
