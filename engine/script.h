/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * script.h - the Lua state: its memory cap, its time limit, and the one way into it.
 *
 * Everything that C calls in Lua goes through script_call(): protected, with a traceback, and
 * stopped when it runs too long or the user interrupts. A round of events is one such call.
 */
#ifndef BPFNET_SCRIPT_H
#define BPFNET_SCRIPT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"

struct loop;
struct script;
struct script_texts;
struct tracer;

struct script_opts {
	size_t max_memory; /* bytes; 0: no cap */
	double max_seconds; /* of one callback; 0: no limit */
	uint64_t ring_bytes;
};

int script_new(struct script **script, const struct script_opts *opts, struct err *err);
/* Closes every probe and timer, then the state. */
void script_free(struct script *script);
lua_State *script_state(struct script *script);
struct loop *script_loop(struct script *script);
struct tracer *script_tracer(struct script *script);
/* Where lua_text keeps its cache of a kind; NULL at first. */
struct script_texts **script_texts(lua_State *L, int kind);
/* The state that events and timers are handled on: the one that called bpf.run(). */
lua_State *script_callback_state(struct script *script);
/* Returns the old one. */
lua_State *script_set_callback_state(struct script *script, lua_State *L);
/* A coroutine has ended: if it was stopped, so will be L, which resumed it. True in that case. */
bool script_stop_caller(struct script *script, lua_State *L);
/* Notes the coroutine that runs now, for the handlers that may have to stop it; returns the old. */
lua_State *script_set_running(struct script *script, lua_State *L);
/* The script has called bpf.run(), and so decides by itself when it is over. */
void script_set_ran(struct script *script);
bool script_has_run(const struct script *script);
/* The script that a state belongs to. */
struct script *script_of(lua_State *L);

/*
 * [-(nargs+1), +nresults on success, +0 on failure]
 * Calls a function from C on state L. False on an error: its text is kept (script_error), and the
 * loop is told to stop.
 */
bool script_call(struct script *script, lua_State *L, int nargs, int nresults);
/*
 * A round of events is one protected call. Inside one, a handler is called between these two, by
 * lua_call() on the state that is returned, which has room for ROUND_STACK values; an error of it
 * ends the round. NULL: outside one, a handler needs script_call(). *in_handler is true for as long
 * as the handler runs, however it ends.
 */
#define ROUND_STACK 64
lua_State *script_enter_handler(struct script *script, bool *in_handler);
void script_leave_handler(struct script *script);
/* For C that a handler calls, and that calls handlers but can't be left by their errors. */
bool script_set_in_round(struct script *script, bool in_round);
/* Like script_call() without the time limit of a callback: for a script's main chunk. */
bool script_run_chunk(struct script *script, int nargs);
/* The first error's message with traceback since the last clear, or NULL. */
const char *script_error(const struct script *script);
void script_clear_error(struct script *script);
/* True if what ended the script was the user's interrupt and no error. */
bool script_was_interrupted(const struct script *script);

/*
 * A session goes on after errors and interrupts. The error of a handler that the session's own loop calls is given
 * to fn with whose handler it is ("tcpclose", "a timer", NULL) and its traceback; it stops neither the loop
 * nor the round of events. bpf.run() raises it, as in a script.
 */
struct script_session {
	void (*fn)(void *arg, const char *label, const char *error);
	void *arg;
};

void script_set_session(struct script *script, const struct script_session *session);
bool script_is_session(const struct script *script);
/* An interrupt is over: Lua code and loops run again. */
void script_forget_interrupt(struct script *script);
/* One bpf.run() tells the script of an interrupt, the next one raises. */
void script_set_told(struct script *script);
bool script_was_told(const struct script *script);
/* Names whose handler is called next ("tcpclose", "a timer"), by a text that lives as long as that; NULL: none. */
void script_set_label(struct script *script, const char *label);
/*
 * [-(nargs+1), +nresults on success, +1 on failure: the error's text] Calls a function whose error is the caller's
 * business. limited: with the time limit of a callback.
 */
bool script_try(struct script *script, lua_State *L, int nargs, int nresults, bool limited);
/*
 * A prompt may be a guest in a script that runs. Its code gets no memory that has been reserved: half of what is free when
 * script_reserve() is called. script_set_guest() returns the old one.
 */
void script_reserve(struct script *script);
bool script_set_guest(struct script *script, bool guest);
bool script_is_guest(const struct script *script);
/* The callback that runs and was stopped may go on after all, with the time of another one. */
void script_end_stop(struct script *script, lua_State *L);
/* Stops the callback that runs, like an interrupt, but goes on. Async-signal-safe. */
void script_call_off(struct script *script);

/* Loads a chunk on the stack: [-0, +1]. path NULL: standard input. False: script_error() says why. */
bool script_load_file(struct script *script, const char *path);
bool script_load_string(struct script *script, const char *code, size_t len, const char *name);
/* Sets the global `arg` as lua does: arg[0] is the script. */
void script_set_args(struct script *script, const char *name, int argc, char **argv);

#endif
