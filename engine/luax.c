/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include "luax.h"
#include "util.h"

static const char error_code = 0; /* its address is the registry key */

void luax_push_code(lua_State *L)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, &error_code);
}

void luax_clear_code(lua_State *L)
{
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &error_code);
}

int luax_throw(lua_State *L, const struct err *err, const char *where)
{
	lua_pushstring(L, errno_name(-err->code));
	lua_rawsetp(L, LUA_REGISTRYINDEX, &error_code);
	luaL_where(L, 1);
	if (*err->hint)
		lua_pushfstring(L, "%s: %s\nhint: %s", where, err->msg, err->hint);
	else
		lua_pushfstring(L, "%s: %s", where, err->msg);
	lua_concat(L, 2);
	return lua_error(L);
}

const char *luax_typename(lua_State *L, int index)
{
	if (lua_isinteger(L, index))
		return "integer";
	return luaL_typename(L, index);
}

void luax_expect(lua_State *L, int index, int type, const char *where, const char *what)
{
	bool right = type == LUA_TNUMBER ? lua_isnumber(L, index) : lua_type(L, index) == type;

	if (!right)
		luaL_error(L, "%s: expected %s, got %s", where, what,
			   lua_isnone(L, index) ? "nothing" : luax_typename(L, index));
}

void *luax_check_self(lua_State *L, int index, const char *class, const char *where)
{
	void *self = luaL_testudata(L, index, class);
	const char *dot = strrchr(class, '.');

	if (!self)
		luaL_error(L,
			   "%s: expected a %s, got %s\n"
			   "hint: a method is called with a colon: %s(...)",
			   where, dot ? dot + 1 : class,
			   lua_isnone(L, index) ? "nothing" : luax_typename(L, index), where);
	return self;
}

int luax_bad_option(lua_State *L, const char *where, const char *path, const char *expected,
		    int index)
{
	return luaL_error(L, "%s: bad option \"%s\": expected %s, got %s", where, path, expected,
			  luax_typename(L, index));
}

static const char *next_known(const void *arg, int i)
{
	return ((const char *const *)arg)[i];
}

int luax_no_option(lua_State *L, const char *where, const char *key, const char *const *known)
{
	const char *near = nearest_name(key, next_known, known);
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (int i = 0; known[i]; i++) {
		luaL_addstring(&b, i ? ", " : "");
		luaL_addstring(&b, known[i]);
	}
	luaL_pushresult(&b);
	if (near)
		return luaL_error(L, "%s: unknown option \"%s\", did you mean \"%s\"? (known: %s)",
				  where, key, near, lua_tostring(L, -1));
	return luaL_error(L, "%s: unknown option \"%s\" (known: %s)", where, key,
			  lua_tostring(L, -1));
}

void luax_check_keys(lua_State *L, int index, const char *where, const char *const *known)
{
	lua_pushnil(L);
	while (lua_next(L, index)) {
		bool found = false;

		lua_pop(L, 1); /* value */
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "%s: options have names, got a key of type %s", where,
				   luax_typename(L, -1));
		for (int i = 0; known[i] && !found; i++)
			found = str_eq(known[i], lua_tostring(L, -1));
		if (!found)
			luax_no_option(L, where, lua_tostring(L, -1), known);
	}
}

static const char *next_in_list(const void *arg, int i)
{
	lua_State *L = (lua_State *)arg;
	const char *name;

	lua_rawgeti(L, -1, i + 1);
	name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	lua_pop(L, 1); /* the list holds it */
	return name;
}

/* [-0, +1] The keys of the table at index that are public names, as a list. */
static void push_keys(lua_State *L, int index)
{
	lua_Integer n = 0;

	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, index)) {
		lua_pop(L, 1);
		if (lua_type(L, -1) != LUA_TSTRING || *lua_tostring(L, -1) == '_')
			continue;
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, ++n);
	}
}

bool luax_push_near(lua_State *L, int index, const char *name, bool keys)
{
	const char *near;

	index = lua_absindex(L, index);
	luaL_checkstack(L, 8, "names");
	if (keys)
		push_keys(L, index);
	else
		lua_pushvalue(L, index);
	near = nearest_name(name, next_in_list, L);
	if (near)
		lua_pushstring(L, near);
	lua_remove(L, near ? -2 : -1);
	return near != NULL;
}

int luax_no_member(lua_State *L, const char *what, const char *name, int methods,
		   const char *const *known)
{
	lua_Integer n;

	methods = lua_absindex(L, methods);
	luaL_checkstack(L, 8, "names");
	push_keys(L, methods);
	n = (lua_Integer)lua_rawlen(L, -1);
	for (int i = 0; known && known[i]; i++) {
		lua_pushstring(L, known[i]);
		lua_rawseti(L, -2, ++n);
	}
	if (luax_push_near(L, -1, name, false))
		return luaL_error(L, "%s has no \"%s\", did you mean \"%s\"?", what, name,
				  lua_tostring(L, -1));
	return luaL_error(L, "%s has no \"%s\"", what, name);
}

/* __index of a class's methods: there is no such one. Upvalue: the class. */
static int no_method(lua_State *L)
{
	const char *class = lua_tostring(L, lua_upvalueindex(1)), *dot = strrchr(class, '.');

	class = lua_pushfstring(L, "a %s", dot ? dot + 1 : class);
	return luax_no_member(L, class, luaL_tolstring(L, 2, NULL), 1, NULL);
}

void luax_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta,
		lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	luaL_setfuncs(L, meta, 0);
	if (gc) {
		lua_pushcfunction(L, gc);
		lua_setfield(L, -2, "__gc");
		lua_pushcfunction(L, gc);
		lua_setfield(L, -2, "__close");
	}
	lua_newtable(L);
	luaL_setfuncs(L, methods, 0);
	lua_createtable(L, 0, 1);
	lua_pushstring(L, name);
	lua_pushcclosure(L, no_method, 1);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_setfield(L, -2, "methods"); /* __index functions look here last */
	if (lua_getfield(L, -1, "__index") == LUA_TNIL) {
		lua_getfield(L, -2, "methods");
		lua_setfield(L, -3, "__index");
	}
	lua_pop(L, 2); /* __index, metatable */
}

void luax_set_text(lua_State *L, const char *key, const char *text)
{
	lua_pushstring(L, text);
	lua_setfield(L, -2, key);
}

void luax_push_value(lua_State *L, const struct value *value)
{
	switch (value->type) {
	case VALUE_NIL:
		lua_pushnil(L);
		break;
	case VALUE_INT:
		lua_pushinteger(L, value->i);
		break;
	case VALUE_BOOL:
		lua_pushboolean(L, value->i != 0);
		break;
	case VALUE_STR:
		lua_pushlstring(L, value->s, value->len);
		break;
	}
}

bool luax_to_value(lua_State *L, int index, struct value *value)
{
	int is_int;

	switch (lua_type(L, index)) {
	case LUA_TNIL:
		value->type = VALUE_NIL;
		return true;
	case LUA_TBOOLEAN:
		value->type = VALUE_BOOL;
		value->i = lua_toboolean(L, index);
		return true;
	case LUA_TNUMBER:
		value->type = VALUE_INT;
		value->i = lua_tointegerx(L, index, &is_int);
		return is_int;
	case LUA_TSTRING:
		value->type = VALUE_STR;
		value->s = lua_tolstring(L, index, &value->len);
		return true;
	}
	return false;
}
