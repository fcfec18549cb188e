/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* script_priv.h - what the halves of script share: the state, and the calls into it. */
#ifndef BPFNET_SCRIPT_PRIV_H
#define BPFNET_SCRIPT_PRIV_H

#include <signal.h>
#include <time.h>
#include "lua_text.h"
#include "script.h"

struct script {
	lua_State *L;
	lua_State *callback_L;
	struct loop *loop;
	struct tracer *tracer;
	size_t memory;
	size_t max_memory;
	size_t reserved; /* bytes of that which a guest leaves to the script */
	bool guest; /* its code runs */
	double max_seconds;
	char *error;
	char no_memory_at[LUA_IDSIZE + 16]; /* the line that was last refused memory */
	int floor; /* functions that ran when the innermost call from C was made */
	bool ran;
	bool interrupted; /* an interrupt has ended Lua code */
	bool told; /* one bpf.run() has returned "interrupted" */
	struct script_session session; /* fn NULL: a script like any other */
	const char *label; /* of the handler that runs */
	timer_t watchdog;
	bool has_watchdog;
	struct script_texts *texts[TEXT_KINDS];
	bool in_round; /* what C calls now is inside a round's protected call */
	bool outermost_round; /* not inside another callback */
	bool *in_handler; /* of the handler that a round has called */
	/* Read and written by signal handlers: */
	lua_State *volatile running; /* innermost coroutine that runs */
	volatile sig_atomic_t depth; /* of calls from C */
	volatile sig_atomic_t limited; /* one of them is a callback, with a time limit */
	volatile sig_atomic_t calls; /* callbacks so far */
	volatile sig_atomic_t seen_call;
	volatile sig_atomic_t ticks;
	volatile sig_atomic_t stopping; /* what runs is left, up to the call that is to end */
	volatile sig_atomic_t called_off; /* by script_call_off() */
};

/* Signals, and the watchdog that stops callbacks; a process has one script at a time. */
int script_watch(struct script *script, struct err *err);
void script_unwatch(struct script *script);
/* [-1, +0] keeps the error on the stack's top, if it is the first, and stops the loop. */
void script_keep_error(struct script *script, lua_State *L);
/* For tracer_set_guard(). arg: the script. */
bool script_guard_round(void *arg, void (*fn)(void *), void *fn_arg);

#endif
