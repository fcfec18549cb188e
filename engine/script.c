/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include <lualib.h>
#include "lua_coroutine.h"
#include "loop.h"
#include "lua_bpf.h"
#include "modules.h"
#include "script.h"
#include "tracer.h"
#include "util.h"

/* A callback that overruns is seen at the latest after this many ticks of the watchdog. */
#define WATCHDOG_TICKS 4

struct script {
	lua_State *L;
	lua_State *callback_L;
	struct loop *loop;
	struct tracer *tracer;
	size_t memory;
	size_t max_memory;
	double max_seconds;
	char *error;
	bool ran;
	bool interrupted; /* an interrupt has ended Lua code */
	timer_t watchdog;
	bool has_watchdog;
	/* Read and written by signal handlers: */
	lua_State *volatile running; /* innermost coroutine that runs */
	volatile sig_atomic_t depth; /* of calls from C */
	volatile sig_atomic_t limited; /* one of them is a callback, with a time limit */
	volatile sig_atomic_t calls; /* callbacks so far */
	volatile sig_atomic_t seen_call;
	volatile sig_atomic_t ticks;
	volatile sig_atomic_t stopping; /* what runs is left, up to the call that is to end */
};

/* A handler has no argument; a process has one script. */
static struct script *the_script;

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct script *s = ud;
	size_t old = ptr ? osize : 0;
	void *p;

	if (!nsize) {
		free(ptr);
		s->memory -= old;
		return NULL;
	}
	if (nsize > old && s->max_memory && s->memory + (nsize - old) > s->max_memory)
		return NULL;
	p = realloc(ptr, nsize);
	if (p)
		s->memory += nsize - old;
	return p;
}

struct script *script_of(lua_State *L)
{
	return *(struct script **)lua_getextraspace(L);
}

/*
 * Raises in the running code. Armed again for every instruction first: a script's own pcall would
 * swallow one error and go on.
 */
static void stop_hook(lua_State *L, lua_Debug *ar)
{
	struct script *s = script_of(L);

	(void)ar;
	lua_sethook(L, stop_hook, LUA_MASKLINE | LUA_MASKCOUNT, 1);
	if (loop_signal(s->loop)) {
		s->interrupted = true;
		luaL_error(L, "interrupted");
	}
	luaL_error(L, "callback ran longer than %f s and was stopped (--limit-time changes that)",
		   s->max_seconds);
}

/* In a signal handler: lua_sethook() is made to be called there. */
static void arm_stop(struct script *s)
{
	s->stopping = 1;
	if (s->running)
		lua_sethook(s->running, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
	lua_sethook(s->L, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
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

static int make_watchdog(struct script *s, struct err *err)
{
	struct sigaction sa = { .sa_handler = on_watchdog, .sa_flags = SA_RESTART };
	struct sigevent sev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };

	if (s->max_seconds <= 0)
		return 0;
	sigaction(SIGRTMIN, &sa, NULL);
	if (timer_create(CLOCK_MONOTONIC, &sev, &s->watchdog))
		return err_sys(err, -errno, "can't make the timer that stops runaway callbacks");
	s->has_watchdog = true;
	return 0;
}

/* [-1, +1] message handler: adds the traceback, leaves one that is there */
static int add_traceback(lua_State *L)
{
	const char *msg = lua_tostring(L, 1);

	if (!msg) {
		/* an error object: its own text if it has one, for a script may throw tables */
		if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
			return 1;
		msg = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
	}
	if (strstr(msg, "\nstack traceback:"))
		return 1;
	luaL_traceback(L, L, msg, 1);
	return 1;
}

static void keep_error(struct script *s, lua_State *L)
{
	const char *msg = lua_tostring(L, -1);

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
	int rc;

	lua_pushcfunction(L, add_traceback);
	lua_insert(L, base);
	s->running = L;
	/* A callback that bpf.run() makes counts, not the chunk that it is called from. */
	if (limited && !was_limited) {
		s->calls++;
		s->limited = true;
	}
	s->depth++;
	rc = lua_pcall(L, nargs, nresults, base);
	s->depth--;
	s->limited = was_limited;
	s->running = outer;
	if (s->stopping && !s->limited) {
		s->stopping = 0;
		lua_sethook(L, NULL, 0, 0);
		lua_sethook(s->L, NULL, 0, 0);
	}
	lua_remove(L, base); /* add_traceback */
	if (rc != LUA_OK)
		keep_error(s, L);
	return rc == LUA_OK;
}

bool script_call(struct script *s, lua_State *L, int nargs, int nresults)
{
	return call(s, L, nargs, nresults, true);
}

bool script_run_chunk(struct script *s, int nargs)
{
	return call(s, s->L, nargs, 0, false);
}

const char *script_error(const struct script *s)
{
	return s->error;
}

void script_clear_error(struct script *s)
{
	free(s->error);
	s->error = NULL;
}

bool script_was_interrupted(const struct script *s)
{
	return s->interrupted;
}

static bool loaded(struct script *s, int rc)
{
	if (rc != LUA_OK)
		keep_error(s, s->L);
	return rc == LUA_OK;
}

bool script_load_file(struct script *s, const char *path)
{
	return loaded(s, luaL_loadfilex(s->L, path, "t"));
}

bool script_load_string(struct script *s, const char *code, size_t len, const char *name)
{
	return loaded(s, luaL_loadbufferx(s->L, code, len, name, "t"));
}

/* name, argc, argv */
static int set_args(lua_State *L)
{
	int argc = (int)lua_tointeger(L, 2);
	char **argv = lua_touserdata(L, 3);

	lua_createtable(L, argc, 1);
	for (int i = 0; i <= argc; i++) {
		lua_pushstring(L, i ? argv[i - 1] : lua_touserdata(L, 1));
		lua_rawseti(L, -2, i);
	}
	lua_setglobal(L, "arg");
	return 0;
}

void script_set_args(struct script *s, const char *name, int argc, char **argv)
{
	lua_pushcfunction(s->L, set_args);
	lua_pushlightuserdata(s->L, (void *)name);
	lua_pushinteger(s->L, argc);
	lua_pushlightuserdata(s->L, argv);
	loaded(s, lua_pcall(s->L, 3, 0, 0));
}

static int open_libraries(lua_State *L)
{
	luaL_openlibs(L);
	coroutine_install(L);
	modules_install(L);
	lua_bpf_install(L);
	return 0;
}

static int open_state(struct script *s, struct err *err)
{
	s->L = lua_newstate(allocate, s);
	if (!s->L)
		return err_set(err, -ENOMEM, "out of memory");
	s->callback_L = s->L;
	*(struct script **)lua_getextraspace(s->L) = s;
	lua_pushcfunction(s->L, open_libraries);
	if (lua_pcall(s->L, 0, 0, 0) != LUA_OK)
		return err_set(err, -ENOMEM, "can't start Lua: %s", lua_tostring(s->L, -1));
	return 0;
}

int script_new(struct script **out, const struct script_opts *opts, struct err *err)
{
	struct script *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->max_memory = opts->max_memory;
	s->max_seconds = opts->max_seconds;
	the_script = s;
	rc = loop_new(&s->loop, err);
	if (!rc)
		rc = loop_catch_signals(s->loop, on_interrupt, s, err);
	if (!rc)
		rc = make_watchdog(s, err);
	if (!rc) {
		loop_set_sleep_hooks(s->loop, before_sleep, after_sleep, s);
		s->tracer = tracer_new(s->loop, opts->ring_bytes);
		rc = s->tracer ? open_state(s, err) : err_set(err, -ENOMEM, "out of memory");
	}
	if (rc) {
		script_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void script_free(struct script *s)
{
	if (!s)
		return;
	if (s->L)
		lua_close(s->L); /* its __gc close probes and timers */
	tracer_free(s->tracer);
	if (s->has_watchdog)
		timer_delete(s->watchdog);
	loop_free(s->loop);
	the_script = NULL;
	free(s->error);
	free(s);
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

lua_State *script_state(struct script *s)
{
	return s->L;
}

lua_State *script_callback_state(struct script *s)
{
	return s->callback_L;
}

lua_State *script_set_callback_state(struct script *s, lua_State *L)
{
	lua_State *old = s->callback_L;

	s->callback_L = L;
	return old;
}

void script_set_ran(struct script *s)
{
	s->ran = true;
}

bool script_has_run(const struct script *s)
{
	return s->ran;
}

struct loop *script_loop(struct script *s)
{
	return s->loop;
}

struct tracer *script_tracer(struct script *s)
{
	return s->tracer;
}
