/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <lauxlib.h>
#include "lua_coroutine.h"
#include "script.h"

/* coroutine.resume or close with a note of who runs, for the handlers that have to stop it. */
static int resume(lua_State *L)
{
	struct script *s = script_of(L);
	lua_State *outer = script_set_running(s, L);
	int rc;

	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	if (lua_isthread(L, 2))
		script_set_running(s, lua_tothread(L, 2));
	/* pcall: an error for a wrong argument must not leave the note behind */
	rc = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
	script_set_running(s, outer);
	script_stop_caller(s, L);
	return rc == LUA_OK ? lua_gettop(L) : lua_error(L);
}

/* What coroutine.wrap returns: resumes its upvalue, and raises what went wrong in it. */
static int wrapped(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(2));

	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_rotate(L, 1, 2);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	if (lua_toboolean(L, 1))
		return lua_gettop(L) - 1;
	lua_settop(L, 2);
	/* Nobody else can close its variables. Not if it was stopped: there, hooks are off now. */
	if (lua_status(co) > LUA_YIELD && !script_stop_caller(script_of(L), L)) {
		lua_resetthread(co);
		lua_xmove(co, L, 1);
		lua_replace(L, 2);
	}
	if (lua_type(L, 2) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_insert(L, 2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

static int wrap(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_State *co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	lua_pushcclosure(L, wrapped, 2);
	return 1;
}

void coroutine_install(lua_State *L)
{
	lua_getglobal(L, "coroutine");
	lua_getfield(L, -1, "resume");
	lua_pushcclosure(L, resume, 1);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "resume");
	lua_pushcclosure(L, wrap, 1);
	lua_setfield(L, -2, "wrap");
	lua_getfield(L, -1, "close");
	lua_pushcclosure(L, resume, 1);
	lua_setfield(L, -2, "close");
	lua_pop(L, 1);
}
