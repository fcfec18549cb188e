/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * err.h - one error: a code, one line that names the thing and what was expected, and a hint.
 *
 * The message is made where the knowledge is, and passed up unchanged. No memory is allocated.
 */
#ifndef BPFNET_ERR_H
#define BPFNET_ERR_H

#include <stdarg.h>

struct err {
	int code; /* -errno */
	char msg[768];
	char hint[256]; /* "" if there is none */
};

/* Sets message and code (-errno), clears the hint. Returns code. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Like err_set() and ends the message with the name of the errno, in brackets; a hint if it is EMFILE. */
int err_sys(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Adds what to do about it. */
void err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "where: " in front of the message. Returns err->code. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "ECONNREFUSED" for 111; NULL if there is no such errno. */
const char *errno_name(int number);
/* 111 for "ECONNREFUSED"; 0 if there is no such name. */
int errno_number(const char *name);

#endif
