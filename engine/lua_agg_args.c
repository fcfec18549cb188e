/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The arguments of agg:add() and agg:row(). */
#include <math.h>
#include "lua_agg_priv.h"
#include "luax.h"

/* raises. */
static int bad_value(lua_State *L, int index, const char *where, const char *name,
		     const char *expected)
{
	if (lua_type(L, index) == LUA_TNUMBER)
		return luaL_error(L, "%s: field \"%s\": expected %s, got %s", where, name, expected,
				  luaL_tolstring(L, index, NULL));
	return luaL_error(L, "%s: field \"%s\": expected %s, got %s", where, name, expected,
			  luax_typename(L, index));
}

int lua_agg_wrong_count(lua_State *L, const char *where, const char *what, int n, int want)
{
	lua_settop(L, 0);
	lua_getiuservalue(L, lua_upvalueindex(LUA_AGG_SELF), 1);
	lua_pushliteral(L, "");
	for (int i = 1; i <= want; i++) {
		lua_pushstring(L, i > 1 ? ", " : "");
		lua_rawgeti(L, 1, i);
		lua_concat(L, 3);
	}
	return luaL_error(L, "%s: expected %d %s (%s), got %d", where, want, what,
			  lua_tostring(L, -1), n);
}

void lua_agg_take_cell(lua_State *L, int index, struct agg_key *key, const char *where,
		       const char *name)
{
	const char *s;
	lua_Integer i;
	size_t len;
	int is_int;

	switch (lua_type(L, index)) {
	case LUA_TSTRING:
		s = lua_tolstring(L, index, &len);
		agg_key_str(key, s, len);
		return;
	case LUA_TNUMBER:
		i = lua_tointegerx(L, index, &is_int);
		if (!is_int)
			break;
		agg_key_int(key, i);
		return;
	case LUA_TNIL:
		agg_key_nil(key);
		return;
	case LUA_TBOOLEAN:
		agg_key_bool(key, lua_toboolean(L, index));
		return;
	}
	bad_value(L, index, where, name, "a string, integer, boolean or nil");
}

/* What is no integer: nil, a float, or wrong. */
static void take_other(lua_State *L, int index, const struct agg_field *field,
		       struct agg_value *value)
{
	bool hist = field->whats & 1U << AGG_HIST, only_hist = field->whats == 1U << AGG_HIST;
	bool number = lua_type(L, index) == LUA_TNUMBER;
	lua_Number real = number ? lua_tonumber(L, index) : -1;
	int is_int = 0;

	value->type = AGG_NONE;
	if (lua_isnil(L, index))
		return;
	if (number)
		value->i = lua_tointegerx(L, index, &is_int);
	if (is_int && (value->i >= 0 || !hist)) {
		value->type = AGG_INT;
		return;
	}
	if (!only_hist || !(real >= 0) || isinf(real))
		bad_value(L, index, "agg:add", field->name,
			  only_hist ? "a number >= 0 or nil" :
			  hist      ? "an integer >= 0 or nil" :
				      "an integer or nil");
	value->type = AGG_REAL;
	value->real = real;
}

void lua_agg_take_value(lua_State *L, int index, const struct agg_field *field,
			struct agg_value *value)
{
	lua_Integer i = lua_isinteger(L, index) ? lua_tointeger(L, index) : -1;

	if (i < 0) { /* or no integer */
		take_other(L, index, field, value);
		return;
	}
	value->type = AGG_INT;
	value->i = i;
}
