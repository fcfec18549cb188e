/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Calls into the script: protected, with a traceback, and stopped when they take too long. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "loop.h"
#include "script_priv.h"
#include "script_trace.h"
#include "stdio_safe.h"
#include "terminal.h"
#include "util.h"

/* A callback that overruns is seen at the latest after this many ticks of the watchdog. */
#define WATCHDOG_TICKS 4
/* What a callback may go on for after an interrupt of a session, at least. */
#define INTERRUPT_SECONDS 0.1

/* A handler has no argument; a process has one script. */
static struct script *the_script;

/*
 * Raises in the running code. Armed again for every instruction first: a script's own pcall would
 * swallow one error and go on.
 */
static void stop_hook(lua_State *L, lua_Debug *ar)
{
	struct script *s = script_of(L);
	char where[LUA_IDSIZE + 16];

	(void)ar;
	lua_sethook(L, stop_hook, LUA_MASKLINE | LUA_MASKCOUNT, 1);
	if (loop_signal(s->loop)) {
		s->interrupted = true;
		luaL_error(L, "interrupted");
	}
	if (s->called_off)
		luaL_error(L, "interrupted");
	script_trace_where(L, where, sizeof(where));
	lua_pushfstring(
		L,
		"%scallback ran longer than %f s and was stopped\nhint: --limit-time changes that",
		where, s->max_seconds);
	lua_error(L);
}

/* In signal handlers: lua_sethook() is made to be called there. */
static void arm_stop(struct script *s)
{
	s->stopping = 1;
	if (s->running)
		lua_sethook(s->running, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
	lua_sethook(s->L, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void disarm_stop(struct script *s, lua_State *L)
{
	s->stopping = s->called_off = 0;
	lua_sethook(L, NULL, 0, 0);
	lua_sethook(s->L, NULL, 0, 0);
}

void script_end_stop(struct script *s, lua_State *L)
{
	if (!s->stopping)
		return;
	s->calls++; /* first: what follows has the time of another callback */
	disarm_stop(s, L);
}

static void set_watchdog(struct script *s, double seconds)
{
	uint64_t ns = (uint64_t)(seconds * 1e9);
	struct timespec ts = { (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };
	struct itimerspec its = { ts, ts };

	if (s->has_watchdog)
		timer_settime(s->watchdog, 0, &its, NULL);
}

static void on_watchdog(int number)
{
	struct script *s = the_script;

	(void)number;
	if (!s || !s->depth || !s->limited)
		return;
	if (s->seen_call != s->calls) {
		s->seen_call = s->calls;
		s->ticks = 0;
	} else if (++s->ticks >= WATCHDOG_TICKS || (s->session.fn && loop_signal(s->loop))) {
		arm_stop(s);
	}
}

/*
 * SIGINT and the like: a callback is left to finish, the loop ends after it; all else is stopped. In a session,
 * which a second one would not end, the callback has to finish soon.
 */
static void on_interrupt(void *arg)
{
	struct script *s = arg;

	if (s->depth && !s->limited && !loop_is_running(s->loop))
		arm_stop(s);
	else if (s->session.fn)
		set_watchdog(s, INTERRUPT_SECONDS);
}

void script_call_off(struct script *s)
{
	if (!s->depth || !s->limited)
		return;
	s->called_off = 1;
	arm_stop(s);
}

/* What is printed gets nowhere any more: ended as by SIGTERM, and stdio_safe.c tells why. */
static void write_out(struct script *s)
{
	static bool ended;

	if (!stdio_flush() || s->session.fn || ended)
		return;
	ended = true;
	raise(SIGTERM);
}

static void before_sleep(void *arg)
{
	write_out(arg);
	terminal_refresh();
	set_watchdog(arg, 0);
}

static void after_sleep(void *arg)
{
	struct script *s = arg;

	set_watchdog(s, s->max_seconds / WATCHDOG_TICKS);
}

int script_watch(struct script *s, struct err *err)
{
	struct sigaction sa = { .sa_handler = on_watchdog, .sa_flags = SA_RESTART };
	struct sigevent sev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };

	int rc;

	the_script = s;
	rc = loop_catch_signals(s->loop, on_interrupt, s, err);
	loop_set_sleep_hooks(s->loop, before_sleep, after_sleep, s);
	if (rc)
		return rc;
	sigaction(SIGRTMIN, &sa, NULL);
	if (timer_create(CLOCK_MONOTONIC, &sev, &s->watchdog))
		return err_sys(err, -errno, "can't make the timer that stops runaway callbacks");
	s->has_watchdog = true;
	return 0;
}

void script_unwatch(struct script *s)
{
	if (s->has_watchdog)
		timer_delete(s->watchdog);
	the_script = NULL;
}

/*
 * The error of a handler that the session's loop has called, and nobody else is going to raise. Interrupts are the
 * session's own business: it sees that one has come.
 */
static bool tell_session(struct script *s, const char *msg)
{
	if (!s->session.fn || s->depth || !loop_is_running(s->loop))
		return false;
	s->session.fn(s->session.arg, s->label, msg ? msg : "out of memory");
	s->label = NULL;
	return true;
}

void script_keep_error(struct script *s, lua_State *L)
{
	const char *msg = lua_tostring(L, -1);
	char text[256];

	if (s->max_memory && msg && str_eq(msg, "not enough memory")) {
		snprintf(text, sizeof(text),
			 "%snot enough memory: the script may use %.4g MiB\n"
			 "hint: --limit-mem changes that",
			 s->no_memory_at, (double)s->max_memory / (1 << 20));
		msg = text;
	}
	if (tell_session(s, msg)) {
		lua_pop(L, 1);
		return;
	}
	if (!s->error)
		s->error = strdup(msg ? msg : "out of memory");
	lua_pop(L, 1);
	if (!s->limited) /* else it is an injected event's, and raised in the callback around */
		loop_stop(s->loop);
}

/* [-(nargs+1), +nresults on success, +1 on failure] */
static bool call(struct script *s, lua_State *L, int nargs, int nresults, bool limited)
{
	int base = lua_gettop(L) - nargs; /* where the function is */
	lua_State *outer = s->running;
	bool was_limited = s->limited;
	int floor = s->floor, rc;

	lua_pushcfunction(L, script_trace);
	lua_insert(L, base);
	s->running = L;
	s->floor = script_trace_depth(L);
	/* A callback that bpf.run() makes counts, not the chunk that it is called from. */
	if (limited && !was_limited) {
		s->calls++;
		s->limited = true;
	}
	s->depth++;
	rc = lua_pcall(L, nargs, nresults, base);
	s->depth--;
	s->limited = was_limited;
	s->floor = floor;
	s->running = outer;
	if (s->stopping && !s->limited)
		disarm_stop(s, L);
	lua_remove(L, base); /* script_trace */
	return rc == LUA_OK;
}

static bool call_keeping(struct script *s, lua_State *L, int nargs, int nresults, bool limited)
{
	bool ok = call(s, L, nargs, nresults, limited);

	if (!ok)
		script_keep_error(s, L);
	return ok;
}

bool script_call(struct script *s, lua_State *L, int nargs, int nresults)
{
	return call_keeping(s, L, nargs, nresults, true);
}

bool script_try(struct script *s, lua_State *L, int nargs, int nresults, bool limited)
{
	return call(s, L, nargs, nresults, limited);
}

struct round {
	void (*fn)(void *arg);
	void *arg;
};

static int run_round(lua_State *L)
{
	const struct round *r = lua_touserdata(L, 1);

	lua_settop(L, 0);
	luaL_checkstack(L, ROUND_STACK, "events");
	r->fn(r->arg);
	return 0;
}

/*
 * One protected call for many events. fn, which is C, calls handlers without protection, so that an
 * error in one leaves all of it; who holds something across that gets it back from here. True if that
 * happened and a session goes on with what comes after that event.
 */
bool script_guard_round(void *arg, void (*fn)(void *), void *fn_arg)
{
	struct script *s = arg;
	bool ok;
	struct round r = { fn, fn_arg };
	bool was_in_round = s->in_round, was_outermost = s->outermost_round;
	bool *outer = s->in_handler;

	/* After an error the loop ends, and events wait for the next one. */
	if (s->error || !lua_checkstack(s->callback_L, 8))
		return false;
	lua_pushcfunction(s->callback_L, run_round);
	lua_pushlightuserdata(s->callback_L, &r);
	s->in_round = true;
	s->outermost_round = !s->limited;
	s->in_handler = NULL;
	ok = script_call(s, s->callback_L, 1, 0);
	if (s->in_handler)
		*s->in_handler = false;
	s->in_handler = outer;
	s->in_round = was_in_round;
	s->outermost_round = was_outermost;
	return !ok && !s->error && !loop_signal(s->loop);
}

lua_State *script_enter_handler(struct script *s, bool *in_handler)
{
	if (!s->in_round)
		return NULL;
	*in_handler = true;
	s->in_handler = in_handler;
	s->calls++;
	return s->callback_L;
}

void script_leave_handler(struct script *s)
{
	*s->in_handler = false;
	s->in_handler = NULL;
	s->label = NULL;
	/* It was too slow, but is over: the next one must not be stopped for it. */
	if (s->stopping && s->outermost_round)
		disarm_stop(s, s->callback_L);
}

bool script_set_in_round(struct script *s, bool in_round)
{
	bool old = s->in_round;

	s->in_round = in_round;
	return old;
}

bool script_run_chunk(struct script *s, int nargs)
{
	return call_keeping(s, s->L, nargs, 0, false);
}

bool script_stop_caller(struct script *s, lua_State *L)
{
	if (s->stopping)
		lua_sethook(L, stop_hook, LUA_MASKLINE | LUA_MASKCOUNT, 1);
	return s->stopping;
}

lua_State *script_set_running(struct script *s, lua_State *L)
{
	lua_State *old = s->running;

	s->running = L;
	return old;
}
