/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <unistd.h>
#include <lauxlib.h>
#include <lualib.h>
#include "lua_guest.h"
#include "lua_probe.h"
#include "script.h"

/* Upvalues: what was there before, its name for the eye, why not. */
static int unless_guest(lua_State *L)
{
	if (script_is_guest(script_of(L)))
		return luaL_error(L, "%s: not at a prompt inside of a script: %s",
				  lua_tostring(L, lua_upvalueindex(2)),
				  lua_tostring(L, lua_upvalueindex(3)));
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* [table] -> [table]; why: a format with one %d, the process's number, or none */
static void forbid(lua_State *L, const char *key, const char *name, const char *why)
{
	lua_getfield(L, -1, key);
	lua_pushstring(L, name);
	lua_pushfstring(L, why, (int)getpid());
	lua_pushcclosure(L, unless_guest, 3);
	lua_setfield(L, -2, key);
}

void lua_guest_install(lua_State *L)
{
	static const char key;
	static const char ends[] = "that would end it\n"
				   "hint: Ctrl-D leaves the prompt; `kill -INT %d` ends the script";

	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
		luaL_requiref(L, LUA_OSLIBNAME, NULL, false);
		forbid(L, "exit", "os.exit", ends);
		luaL_requiref(L, "bpfnet", NULL, false);
		forbid(L, "stop", "bpf.stop", ends);
		lua_getfield(L, LUA_REGISTRYINDEX, PROBE_CLASS);
		lua_getfield(L, -1, "methods");
		forbid(L, "events", "probe:events",
		       "its loop would end\nhint: p:tap(print) shows events, p:last(10) those that came");
		lua_pop(L, 4);
		lua_pushboolean(L, true);
		lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
	}
	lua_pop(L, 1);
}

int lua_guest_contain(lua_State *L)
{
	struct script *s = script_of(L);
	bool was = script_set_guest(s, true);
	bool ok = lua_pcall(L, lua_gettop(L) - 1, 0, 0) == LUA_OK;

	script_set_guest(s, was);
	lua_pushboolean(L, ok);
	if (ok)
		return 1;
	if (!was) /* else it is the guest's code around that has to end */
		script_end_stop(s, L);
	lua_insert(L, 1);
	return 2;
}
