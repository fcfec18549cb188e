/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The module `bpfnet`, which is also the global `bpf`. */
#include <errno.h>
#include <stdio.h>
#include <lauxlib.h>
#include "log.h"
#include "loop.h"
#include "lua_agg.h"
#include "lua_bpf.h"
#include "lua_json.h"
#include "luax.h"
#include "script.h"
#include "script_trace.h"
#include "tracer.h"
#include "util.h"
#include "version.h"

static const char *end_name(enum loop_end end)
{
	static const char *const names[] = { "stopped", "timeout", "idle", "interrupted" };

	return names[end];
}

const char *lua_run_loop(lua_State *L, double seconds, const char *where)
{
	struct script *s = script_of(L);
	lua_State *outer;
	enum loop_end end;
	int rc;

	/* One bpf.run() tells the script of the interrupt; a script that runs on is ended. */
	if (loop_signal(script_loop(s)) && script_was_told(s))
		luaL_error(L, "interrupted");
	script_set_ran(s);
	outer = script_set_callback_state(s, L);
	rc = loop_run(script_loop(s), seconds < 0 ? -1 : (int64_t)(seconds * 1e9), &end);
	/* A session's own loop goes on delivering after an interrupt. */
	if (!rc && end == LOOP_TIMEOUT)
		tracer_drain(script_tracer(s));
	else if (!rc && end == LOOP_INTERRUPTED && !script_is_session(s))
		tracer_drain_last(script_tracer(s));
	script_set_callback_state(s, outer);
	if (rc == -EBUSY)
		luaL_error(L, "%s: the loop is already running: not from inside a callback", where);
	if (rc)
		luaL_error(L, "%s: can't wait for events (%s)", where, errno_name(-rc));
	if (script_error(s))
		script_raise(L);
	if (end == LOOP_INTERRUPTED)
		script_set_told(s);
	return end_name(end);
}

/* bpf.run([seconds]) -> "stopped" | "timeout" | "idle" | "interrupted" */
static int l_run(lua_State *L)
{
	lua_Number seconds;

	if (!lua_isnoneornil(L, 1))
		luax_expect(L, 1, LUA_TNUMBER, "bpf.run", "seconds");
	seconds = luaL_optnumber(L, 1, -1);
	if (!lua_isnoneornil(L, 1) && !(seconds >= 0 && seconds < 1e9))
		luaL_error(L, "bpf.run: expected seconds from 0 to 1e9, got %s",
			   luaL_tolstring(L, 1, NULL));
	lua_pushstring(L, lua_run_loop(L, seconds, "bpf.run"));
	return 1;
}

/* bpf.stop(): bpf.run() returns after this callback */
static int l_stop(lua_State *L)
{
	loop_stop(script_loop(script_of(L)));
	return 0;
}

/* bpf.now() -> integer: CLOCK_MONOTONIC in ns, comparable with ev.ts_ns */
static int l_now(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)now_ns());
	return 1;
}

/* bpf.log(level, fmt, ...): level error, warn, info or debug; fmt as for string.format */
static int l_log(lua_State *L)
{
	static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
	int level = 0;

	luax_expect(L, 1, LUA_TSTRING, "bpf.log", "a level");
	while (levels[level] && !str_eq(levels[level], lua_tostring(L, 1)))
		level++;
	if (!levels[level])
		luaL_error(
			L,
			"bpf.log: expected \"error\", \"warn\", \"info\" or \"debug\", got \"%s\"",
			lua_tostring(L, 1));
	luax_expect(L, 2, LUA_TSTRING, "bpf.log", "a format");
	lua_getglobal(L, "string");
	lua_getfield(L, -1, "format");
	lua_replace(L, 1);
	lua_pop(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	log_msg((enum log_level)level, "%s", lua_tostring(L, -1));
	return 0;
}

/* bpf.try_attach(...) -> Probe | nil, message, code: like attach, but tells instead of raising */
static int l_try_attach(lua_State *L)
{
	luax_clear_code(L);
	lua_pushcfunction(L, lua_probe_attach);
	lua_insert(L, 1);
	if (lua_pcall(L, lua_gettop(L) - 1, 1, 0) == LUA_OK)
		return 1;
	lua_pushnil(L);
	lua_insert(L, -2);
	luax_push_code(L);
	return 3;
}

/* __index of the module: a name that it does not have is a slip */
static int no_function(lua_State *L)
{
	return luax_no_member(L, "bpf", luaL_tolstring(L, 2, NULL), 1, NULL);
}

void lua_bpf_install(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "attach", lua_probe_attach },
		{ "try_attach", l_try_attach },
		{ "load", lua_probe_load },
		{ "probes", lua_probes },
		{ "probe_names", lua_probe_names },
		{ "redirect", lua_redirect },
		{ "every", lua_timer_every },
		{ "after", lua_timer_after },
		{ "run", l_run },
		{ "stop", l_stop },
		{ "now", l_now },
		{ "log", l_log },
		{ "json", lua_json },
		{ "aggregate", lua_aggregate },
		{ "http", lua_http },
		{ NULL, NULL },
	};

	lua_probe_install(L);
	lua_timer_install(L);
	lua_map_install(L);
	lua_redirect_install(L);
	lua_http_install(L);
	luaL_newlib(L, functions);
	lua_pushliteral(L, BPFNET_VERSION);
	lua_setfield(L, -2, "version");
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, no_function);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "bpfnet");
	lua_pop(L, 1);
	lua_setglobal(L, "bpf");
}
