/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Calls into the script: protected, with a traceback, and stopped when they take too long. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "loop.h"
#include "script_priv.h"
#include "script_trace.h"
#include "util.h"

/* A callback that overruns is seen at the latest after this many ticks of the watchdog. */
#define WATCHDOG_TICKS 4

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
	script_trace_where(L, where, sizeof(where));
	lua_pushfstring(
		L,
		"%scallback ran longer than %f s and was stopped\nhint: --limit-time changes that",
		where, s->max_seconds);
	lua_error(L);
}

/* In a signal handler: lua_sethook() is made to be called there. */
static void arm_stop(struct script *s)
{
	s->stopping = 1;
	if (s->running)
		lua_sethook(s->running, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
	lua_sethook(s->L, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void disarm_stop(struct script *s, lua_State *L)
{
	s->stopping = 0;
	lua_sethook(L, NULL, 0, 0);
	lua_sethook(s->L, NULL, 0, 0);
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
	} else if (++s->ticks >= WATCHDOG_TICKS) {
		arm_stop(s);
	}
}

/* SIGINT and the like: a callback is left to finish, the loop ends after it; all else is stopped. */
static void on_interrupt(void *arg)
{
	struct script *s = arg;

	if (s->depth && !s->limited && !loop_is_running(s->loop))
		arm_stop(s);
}

static void set_watchdog(struct script *s, double seconds)
{
	uint64_t ns = (uint64_t)(seconds * 1e9);
	struct timespec ts = { (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };
	struct itimerspec its = { ts, ts };

	if (s->has_watchdog)
		timer_settime(s->watchdog, 0, &its, NULL);
}

static void before_sleep(void *arg)
{
	fflush(stdout);
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
	if (rc || s->max_seconds <= 0)
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
	if (!s->error)
		s->error = strdup(msg ? msg : "out of memory");
	lua_pop(L, 1);
	if (!s->limited) /* else it is an injected event's, and raised in the callback around */
		loop_stop(s->loop);
}

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
	if (rc != LUA_OK)
		script_keep_error(s, L);
	return rc == LUA_OK;
}

bool script_call(struct script *s, lua_State *L, int nargs, int nresults)
{
	return call(s, L, nargs, nresults, true);
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
 * error in one leaves all of it; who holds something across that gets it back from here.
 */
void script_guard_round(void *arg, void (*fn)(void *), void *fn_arg)
{
	struct script *s = arg;
	struct round r = { fn, fn_arg };
	bool was_in_round = s->in_round, was_outermost = s->outermost_round;
	bool *outer = s->in_handler;

	/* After an error the loop ends, and events wait for the next one. */
	if (s->error || !lua_checkstack(s->callback_L, 8))
		return;
	lua_pushcfunction(s->callback_L, run_round);
	lua_pushlightuserdata(s->callback_L, &r);
	s->in_round = true;
	s->outermost_round = !s->limited;
	s->in_handler = NULL;
	script_call(s, s->callback_L, 1, 0);
	if (s->in_handler)
		*s->in_handler = false;
	s->in_handler = outer;
	s->in_round = was_in_round;
	s->outermost_round = was_outermost;
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
	return call(s, s->L, nargs, 0, false);
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
