/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What was meant by a name that is nil. Looked for only when an error has happened, in what the function had
 * at hand, so that a field of an event costs nothing when it is read.
 */
#include <stdio.h>
#include <lauxlib.h>
#include "luax.h"
#include "modules.h"
#include "script_trace.h"
#include "util.h"

/* From "... a nil value (field 'x')": what it is, and its name. */
struct missing {
	char kind[16];
	char name[64];
};

static bool read_missing(const char *msg, struct missing *m)
{
	const char *at = strstr(msg, " nil value (");

	return at && sscanf(at, " nil value (%15[a-z] '%63[^']')", m->kind, m->name) == 2;
}

/* The name on top, which is near, as what is said of it. [-1, +1] */
static bool push_near(lua_State *L)
{
	lua_pushfstring(L, ", did you mean \"%s\"?", lua_tostring(L, -1));
	lua_replace(L, -2);
	return true;
}

/* Of an event's table, whose metatable is on top: a field of its, or nearly one. [-1, +0 or +1] */
static bool guess_of_event(lua_State *L, const char *name)
{
	lua_getfield(L, -1, "probe");
	lua_getfield(L, -2, "fields");
	if (!lua_isstring(L, -2) || !lua_istable(L, -1)) {
		lua_pop(L, 3);
		return false;
	}
	for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
		if (lua_type(L, -1) == LUA_TSTRING && str_eq(lua_tostring(L, -1), name)) {
			lua_pushfstring(L, "\nhint: %s of a %s event is nil where it is unknown",
					name, lua_tostring(L, -3));
			lua_replace(L, -5);
			lua_pop(L, 3);
			return true;
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1); /* nil */
	if (luax_push_near(L, -1, name, false)) {
		lua_replace(L, -4);
		lua_pop(L, 2);
		return push_near(L);
	}
	lua_pop(L, 3);
	return false;
}

/* Is the table on top one that require() gives as bpfnet.*? [-0, +0] */
static bool is_module(lua_State *L)
{
	bool found = false;

	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushnil(L);
	while (!found && lua_next(L, -2)) {
		found = lua_rawequal(L, -1, -4) && lua_type(L, -2) == LUA_TSTRING &&
			str_starts(lua_tostring(L, -2), "bpfnet.");
		lua_pop(L, 1);
		if (found)
			lua_pop(L, 1); /* the key: nobody goes on from it */
	}
	lua_pop(L, 1);
	return found;
}

/* Of the value on top, which the function has: an event or a module. [-1, +0 or +1] */
static bool guess_of_value(lua_State *L, const char *name)
{
	if (lua_istable(L, -1) && luaL_getmetafield(L, -1, "__name") != LUA_TNIL) {
		bool event = lua_type(L, -1) == LUA_TSTRING &&
			     str_eq(lua_tostring(L, -1), "bpf.Event");

		lua_pop(L, 1);
		if (event) {
			lua_getmetatable(L, -1);
			lua_remove(L, -2);
			return guess_of_event(L, name);
		}
	} else if (lua_istable(L, -1) && is_module(L) && luax_push_near(L, -1, name, true)) {
		lua_remove(L, -2);
		return push_near(L);
	}
	lua_pop(L, 1);
	return false;
}

static bool guess_of_function(lua_State *L, const char *name, lua_Debug *ar)
{
	for (int i = 1; lua_getlocal(L, ar, i); i++)
		if (guess_of_value(L, name))
			return true;
	lua_getinfo(L, "f", ar);
	for (int i = 1; lua_getupvalue(L, -1, i); i++) {
		if (guess_of_value(L, name)) {
			lua_remove(L, -2);
			return true;
		}
	}
	lua_pop(L, 1);
	return false;
}

static bool guess_of_globals(lua_State *L, const char *name)
{
	bool found;

	lua_pushglobaltable(L);
	found = luax_push_near(L, -1, name, true);
	lua_remove(L, found ? -2 : -1);
	return found && push_near(L);
}

/* "module 'x' not found" */
static bool read_module(const char *msg, char name[64])
{
	const char *at = strstr(msg, "module '");

	return at && sscanf(at, "module '%63[^']' not found:", name) == 1;
}

static bool guess_of_modules(lua_State *L, const char *name)
{
	lua_newtable(L);
	for (int i = 0; embedded_modules[i].name; i++) {
		lua_pushstring(L, embedded_modules[i].name);
		lua_rawseti(L, -2, i + 1);
	}
	if (luax_push_near(L, -1, name, false)) {
		lua_replace(L, -2);
		return push_near(L);
	}
	lua_pop(L, 1);
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "path");
	lua_pushfstring(L, "\nhint: looked for in %s", lua_tostring(L, -1));
	lua_replace(L, -3);
	lua_pop(L, 1);
	return true;
}

bool script_is_list(const char *msg)
{
	char name[64];

	return read_module(msg, name);
}

bool script_guess(lua_State *L, const char *msg, lua_Debug *frame)
{
	struct missing m;

	if (read_module(msg, m.name) && lua_checkstack(L, 20))
		return guess_of_modules(L, m.name);
	if (!read_missing(msg, &m) || !lua_checkstack(L, 20))
		return false;
	if (str_eq(m.kind, "global"))
		return guess_of_globals(L, m.name);
	return (str_eq(m.kind, "field") || str_eq(m.kind, "method")) &&
	       guess_of_function(L, m.name, frame);
}
