/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* script_trace.h - what an error in Lua becomes before a user reads it. */
#ifndef BPFNET_SCRIPT_TRACE_H
#define BPFNET_SCRIPT_TRACE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * [-1, +1] Message handler of every call from C. The text names a line of the user's, also where the error
 * was raised in a module of ours, and what was probably meant where a name is nil. The lines that led there
 * follow, without C and without modules that only pass through; none follow if they say no more than
 * the text itself. What script_raise() raised is left as it is.
 */
int script_trace(lua_State *L);
/* How many functions are running: what is below a callback is not part of its trace. */
int script_trace_depth(lua_State *L);
/* "file:line: " of the innermost line of Lua that runs, "" if there is none. Allocates nothing. */
void script_trace_where(lua_State *L, char *text, size_t size);
/* raises the kept error (script_error), which is complete, and forgets it. */
int script_raise(lua_State *L);

/*
 * [-0, +0 or +1] Pushes what the message about a nil value should say besides: the name that was meant, or that
 * the field of an event is nil where it is unknown. `frame` is where it happened. False: nothing.
 */
bool script_guess(lua_State *L, const char *msg, lua_Debug *frame);
/* Is the message require()'s list of places, of which the guess says all that is needed? */
bool script_is_list(const char *msg);

#endif
