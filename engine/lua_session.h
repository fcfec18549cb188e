/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * lua_session.h - the module bpfnet.repl seen from C: a session that evaluates lines in a script's state.
 *
 * None of these raises or ends the script. What there is to say of errors and interrupts goes to opts->out.
 */
#ifndef BPFNET_LUA_SESSION_H
#define BPFNET_LUA_SESSION_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include "err.h"

struct script;
struct session;

struct session_opts {
	bool tty; /* a person looks at it */
	bool colour;
	int columns;
	/* Where the session's text goes; false: nobody is there any more. */
	bool (*out)(void *arg, const char *text, size_t len);
	void *arg;
	/* The script runs meanwhile: lines have the time limit of a callback, new names stay with the session. */
	bool attached;
};

enum session_answer {
	SESSION_DONE,
	SESSION_MORE, /* the next line continues this one */
	SESSION_FAILED, /* it was interrupted, or stopped at a limit */
};

int session_new(struct session **session, struct script *script, const struct session_opts *opts,
		struct err *err);
/* Detaches what the session has attached. NULL is fine. */
void session_free(struct session *session);
enum session_answer session_line(struct session *session, const char *text, size_t len);
/* The chunk on the script's stack sees the names that a line sees. False: out of memory. [-0, +0] */
bool session_adopt(struct session *session);
/* Forgets an unfinished statement. */
void session_reset(struct session *session);
/* Up to size - 1 bytes; "" if there is none. */
void session_banner(struct session *session, char *text, size_t size);
void session_prompt(struct session *session, bool more, char *text, size_t size);
/* Calls fn with the words that can stand for text[from..cursor); n 0 if none do. */
void session_complete(struct session *session, const char *text, size_t len, size_t cursor,
		      void (*fn)(void *arg, size_t from, const char *const *words, int n),
		      void *arg);

#endif
