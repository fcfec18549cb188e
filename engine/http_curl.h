/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * http_curl.h - libcurl, taken by dlopen() when it is first needed: the binary is copied alone to
 * nodes that need not have it.
 */
#ifndef BPFNET_HTTP_CURL_H
#define BPFNET_HTTP_CURL_H

#include <curl/curl.h>
#include <signal.h>
#include <stdbool.h>
#include "err.h"

#define CURL_FUNCTIONS(X)                                                                          \
	X(global_init)                                                                             \
	X(version_info)                                                                            \
	X(slist_append)                                                                            \
	X(slist_free_all)                                                                          \
	X(easy_init)                                                                               \
	X(easy_setopt)                                                                             \
	X(easy_getinfo)                                                                            \
	X(easy_cleanup)                                                                            \
	X(easy_strerror)                                                                           \
	X(multi_init)                                                                              \
	X(multi_setopt)                                                                            \
	X(multi_assign)                                                                            \
	X(multi_add_handle)                                                                        \
	X(multi_remove_handle)                                                                     \
	X(multi_socket_action)                                                                     \
	X(multi_info_read)                                                                         \
	X(multi_cleanup)

/* curl.h makes some of the names macros with arguments too, which the types don't touch. */
struct curl_api {
#define MEMBER(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(MEMBER)
#undef MEMBER
	const char *version; /* "7.88.1" */
	bool http2;
	bool tls;
	bool names; /* resolves names in a thread that a cancelled request need not wait for */
};

/*
 * Loads libcurl.so.4 the first time. NULL: it isn't there, or this binary can't load libraries
 * (-ENOENT, -ENOTSUP).
 */
const struct curl_api *http_curl(struct err *err);

/*
 * Around each call that may write to a socket or start a thread: TLS libraries raise SIGPIPE, and
 * a thread of the resolver must not get the signals that are for the loop and for the watchdog.
 */
struct http_signals {
	sigset_t old;
	bool had_pipe; /* pending before */
};

void http_block_signals(struct http_signals *signals);
void http_restore_signals(const struct http_signals *signals);

#endif
