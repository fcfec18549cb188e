/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The class bpf.Aggregate. Each object has a metatable of its own, so that its methods know it by an
 * upvalue and finding `add` takes no call: it runs for every event.
 */
#include <stdlib.h>
#include "agg_maps.h"
#include "lua_agg_priv.h"
#include "luax.h"
#include "util.h"

static const char class_key = 0; /* in every such metatable */

struct lagg *lua_agg_open(lua_State *L, struct lagg *a, const char *where)
{
	if (!a->agg)
		luaL_error(L, "%s: the aggregation is closed", where);
	return a;
}

struct lagg *lua_agg_self(lua_State *L, const char *where)
{
	struct lagg *a = lua_touserdata(L, lua_upvalueindex(LUA_AGG_SELF));

	if (lua_touserdata(L, 1) != a)
		luaL_error(L, "%s: call it with a colon, on the aggregation that it was taken from",
			   where);
	return lua_agg_open(L, a, where);
}

/* The same for what takes rows away. */
static struct lagg *own_self(lua_State *L, const char *where)
{
	struct lagg *a = lua_agg_self(L, where);

	if (a->reading)
		luaL_error(L, "%s: its rows are being read", where);
	return a;
}

struct lagg *lua_agg_check(lua_State *L, int index)
{
	struct lagg *a = NULL;

	index = lua_absindex(L, index);
	if (lua_type(L, index) == LUA_TUSERDATA && lua_getmetatable(L, index)) {
		if (lua_rawgetp(L, -1, &class_key) == LUA_TBOOLEAN)
			a = lua_touserdata(L, index);
		lua_pop(L, 2);
	}
	if (!a)
		luaL_typeerror(L, index, "bpf.Aggregate");
	return lua_agg_open(L, a, "bpf.Aggregate");
}

void lua_agg_sync(lua_State *L, struct lagg *a, const char *where)
{
	struct err err;

	if (a->maps && agg_maps_collect(a->maps, &err))
		luax_throw(L, &err, where);
}

/* agg:rows([opts]) -> list */
static int l_rows(lua_State *L)
{
	struct lagg *a = own_self(L, "agg:rows");

	lua_agg_sync(L, a, "agg:rows");
	lua_agg_push_rows(L, a, "agg:rows");
	return 1;
}

/* agg:take([opts]) -> list: what fails has taken nothing */
static int l_take(lua_State *L)
{
	struct lagg *a = own_self(L, "agg:take");

	lua_agg_sync(L, a, "agg:take");
	lua_agg_push_rows(L, a, "agg:take");
	agg_clear(a->agg);
	return 1;
}

static int l_clear(lua_State *L)
{
	struct lagg *a = own_self(L, "agg:clear");

	lua_agg_sync(L, a, "agg:clear");
	agg_clear(a->agg);
	lua_settop(L, 1);
	return 1;
}

/* agg:merge(other) -> agg */
static int l_merge(lua_State *L)
{
	struct lagg *a = lua_agg_self(L, "agg:merge"), *other = lua_agg_check(L, 2);

	if (a == other)
		luaL_error(L, "agg:merge: can't merge with itself");
	if (!agg_spec_same(agg_get_spec(a->agg), agg_get_spec(other->agg)))
		luaL_error(
			L,
			"agg:merge: the other one has other fields, or keeps other things of them");
	lua_agg_sync(L, other, "agg:merge");
	if (agg_merge(a->agg, other->agg))
		luaL_error(L, "agg:merge: out of memory");
	lua_settop(L, 1);
	return 1;
}

/* agg:row(by...) -> row, or nothing */
static int l_row(lua_State *L)
{
	struct lagg *a = own_self(L, "agg:row");
	const struct agg_spec *spec = agg_get_spec(a->agg);
	const struct agg_row *row;
	struct agg_key key;

	if (lua_gettop(L) != 1 + spec->nr_by)
		lua_agg_wrong_count(L, "agg:row", spec->nr_by == 1 ? "key" : "keys",
				    lua_gettop(L) - 1, spec->nr_by);
	agg_key_start(&key);
	for (int i = 0; i < spec->nr_by; i++)
		lua_agg_take_cell(L, 2 + i, &key, "agg:row", spec->by[i]);
	lua_agg_sync(L, a, "agg:row");
	row = agg_find(a->agg, &key);
	if (!row)
		return 0;
	lua_agg_push_row(L, a, row);
	return 1;
}

/* #agg */
static int l_len(lua_State *L)
{
	struct lagg *a = lua_agg_self(L, "#agg");

	lua_agg_sync(L, a, "#agg");
	lua_pushinteger(L, agg_keys(a->agg));
	return 1;
}

static int l_tostring(lua_State *L)
{
	struct lagg *a = lua_touserdata(L, lua_upvalueindex(LUA_AGG_SELF));

	if (!a->agg || a->reading) {
		lua_pushliteral(L, "Aggregate (closed)");
		return 1;
	}
	lua_agg_sync(L, a, "tostring");
	lua_agg_push_text(L, a);
	return 1;
}

/* agg:close(), __gc, __close */
static int l_close(lua_State *L)
{
	struct lagg *a = lua_touserdata(L, lua_upvalueindex(LUA_AGG_SELF));

	if (a->reading)
		luaL_error(L, "agg:close: its rows are being read");
	agg_maps_free(a->maps);
	agg_free(a->agg);
	free(a->recent);
	a->recent = NULL;
	a->maps = NULL;
	a->agg = NULL;
	return 0;
}

/* agg.overflow, agg.dropped, agg.fields: what is no method. Index 1 is the table of methods. */
static int l_index(lua_State *L)
{
	static const char *const others[] = { "overflow", "dropped", "fields", NULL };
	struct lagg *a = lua_touserdata(L, lua_upvalueindex(LUA_AGG_SELF));
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";

	lua_settop(L, 2);
	if (str_eq(name, "fields")) {
		lua_getiuservalue(L, lua_upvalueindex(LUA_AGG_SELF), 1);
		lua_createtable(L, (int)lua_rawlen(L, -1), 0);
		for (lua_Integer i = 1; lua_rawgeti(L, 3, i) != LUA_TNIL; i++)
			lua_rawseti(L, 4, i);
		lua_pop(L, 1);
		return 1;
	}
	if (!str_eq(name, "overflow") && !str_eq(name, "dropped"))
		return luax_no_member(L, "an Aggregate", luaL_tolstring(L, 2, NULL), 1, others);
	lua_agg_sync(L, lua_agg_open(L, a, "agg"), "agg");
	lua_pushinteger(L,
			(lua_Integer)(*name == 'o' ? agg_overflow(a->agg) : agg_dropped(a->agg)));
	return 1;
}

/* Functions with the object, which is at `object`, as upvalue, into the table on top. [-0, +0] */
static void set_functions(lua_State *L, int object, const luaL_Reg *functions)
{
	lua_pushvalue(L, object);
	luaL_setfuncs(L, functions, 1);
}

/* The metatable of the object that is on top. [-0, +0] */
static void set_metatable(lua_State *L)
{
	static const luaL_Reg meta[] = { { "__len", l_len },
					 { "__tostring", l_tostring },
					 { "__gc", l_close },
					 { "__close", l_close },
					 { NULL, NULL } };
	static const luaL_Reg methods[] = { { "add", lua_agg_add }, { "adder", lua_agg_adder },
					    { "rows", l_rows },     { "take", l_take },
					    { "clear", l_clear },   { "merge", l_merge },
					    { "row", l_row },       { "close", l_close },
					    { NULL, NULL } };
	static const luaL_Reg others[] = { { "__index", l_index }, { NULL, NULL } };
	int object = lua_gettop(L);

	lua_newtable(L);
	lua_pushboolean(L, 1);
	lua_rawsetp(L, -2, &class_key);
	lua_pushliteral(L, "bpf.Aggregate");
	lua_setfield(L, -2, "__name");
	set_functions(L, object, meta);
	lua_newtable(L);
	set_functions(L, object, methods);
	lua_newtable(L);
	set_functions(L, object, others);
	lua_setmetatable(L, -2);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, object);
}

/* The list of names, by and values, for the object on top. [-0, +0] */
static void set_names(lua_State *L, const struct agg_spec *spec)
{
	int i;

	lua_createtable(L, spec->nr_by + spec->nr_values, 0);
	for (i = 0; i < spec->nr_by; i++) {
		lua_pushstring(L, spec->by[i]);
		lua_rawseti(L, -2, i + 1);
	}
	for (int j = 0; j < spec->nr_values; j++) {
		lua_pushstring(L, spec->values[j].name);
		lua_rawseti(L, -2, i + j + 1);
	}
	lua_setiuservalue(L, -2, 1);
	lua_newtable(L); /* texts that lua_agg_add() must not lose */
	lua_setiuservalue(L, -2, 2);
}

struct agg *lua_agg_push(lua_State *L, const struct agg_spec *spec)
{
	struct lagg *a;
	struct err err;

	luaL_checkstack(L, 10, "aggregate");
	a = lua_newuserdatauv(L, sizeof(*a), 2);
	*a = (struct lagg){ 0 };
	set_names(L, spec);
	set_metatable(L);
	if (agg_new(&a->agg, spec, &err))
		luax_throw(L, &err, "bpf.aggregate");
	return a->agg;
}

int lua_agg_from_options(lua_State *L, int index, const char *where)
{
	struct agg_spec spec;

	lua_agg_read_spec(L, lua_absindex(L, index), where, &spec);
	lua_agg_push(L, &spec);
	return 1;
}

int lua_aggregate(lua_State *L)
{
	return lua_agg_from_options(L, 1, "bpf.aggregate");
}
