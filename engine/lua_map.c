/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The class bpf.Map: map[key], map[key] = value, map[key] = nil, pairs(map), map:clear(). */
#include <errno.h>
#include <stdio.h>
#include <lauxlib.h>
#include "kmap.h"
#include "lua_bpf.h"
#include "lua_probe.h"
#include "luax.h"
#include "util.h"

#define MAP_CLASS "bpf.Map"

struct lmap {
	struct kmap *map;
};

static struct kmap *check_map(lua_State *L, int index)
{
	return ((struct lmap *)luaL_checkudata(L, index, MAP_CLASS))->map;
}

static int l_gc(lua_State *L)
{
	struct lmap *m = luaL_checkudata(L, 1, MAP_CLASS);

	kmap_close(m->map);
	m->map = NULL;
	return 0;
}

/* [-0, +1] zeroed memory that Lua frees; raises for lack of it */
static void *scratch(lua_State *L, size_t size)
{
	return memset(lua_newuserdatauv(L, size ? size : 1, 0), 0, size);
}

/* [-0, +1] the key at index, packed; raises */
static void *pack_key(lua_State *L, const struct kmap *map, int index)
{
	void *key = scratch(L, kmap_key(map)->size);
	struct err err;

	if (record_pack(L, index, kmap_key(map), key, &err))
		luax_throw(L, &err, "map key");
	return key;
}

/* [-0, +1] one value, or the list of every CPU's */
static void push_values(lua_State *L, const struct kmap *map, const char *values)
{
	size_t step = kmap_values_size(map) / (size_t)kmap_copies(map);

	if (kmap_copies(map) == 1) {
		record_push(L, kmap_value(map), values);
		return;
	}
	lua_createtable(L, kmap_copies(map), 0);
	for (int i = 0; i < kmap_copies(map); i++) {
		record_push(L, kmap_value(map), values + (size_t)i * step);
		lua_rawseti(L, -2, i + 1);
	}
}

static int clear(lua_State *L)
{
	struct kmap *map = check_map(L, 1);
	void *key = scratch(L, kmap_key(map)->size);

	/* Always the first one: a deleted key has no next. An array's elements can't be deleted. */
	while (kmap_next(map, NULL, key) == 0)
		if (kmap_delete(map, key))
			break;
	return 0;
}

static int l_index(lua_State *L)
{
	struct kmap *map = check_map(L, 1);
	void *key, *values;
	struct err err;
	int rc;

	if (lua_type(L, 2) == LUA_TSTRING && str_eq(lua_tostring(L, 2), "clear")) {
		lua_pushcfunction(L, clear);
		return 1;
	}
	key = pack_key(L, map, 2);
	values = scratch(L, kmap_values_size(map));
	rc = kmap_get(map, key, values);
	if (rc == -ENOENT) {
		lua_pushnil(L);
		return 1;
	}
	if (rc) {
		err_sys(&err, rc, "can't read the map");
		luax_throw(L, &err, "map");
	}
	push_values(L, map, values);
	return 1;
}

static int l_newindex(lua_State *L)
{
	struct kmap *map = check_map(L, 1);
	void *key = pack_key(L, map, 2), *values;
	struct err err;
	int rc;

	if (lua_isnil(L, 3)) {
		rc = kmap_delete(map, key);
		rc = rc == -ENOENT ? 0 : rc;
	} else if (kmap_copies(map) > 1) {
		return luaL_error(L, "map: a per-CPU map can only be read and cleared");
	} else {
		values = scratch(L, kmap_values_size(map));
		if (record_pack(L, 3, kmap_value(map), values, &err))
			luax_throw(L, &err, "map value");
		rc = kmap_set(map, key, values);
	}
	if (rc) {
		err_sys(&err, rc, "can't write the map");
		luax_throw(L, &err, "map");
	}
	return 0;
}

/* Iterator: upvalue 1 the Map, 2 the key bytes of the last step (false at first). */
static int l_next(lua_State *L)
{
	struct kmap *map = check_map(L, lua_upvalueindex(1));
	void *last = lua_touserdata(L, lua_upvalueindex(2)), *key, *values;

	key = scratch(L, kmap_key(map)->size);
	lua_copy(L, -1, lua_upvalueindex(2));
	values = scratch(L, kmap_values_size(map));
	while (kmap_next(map, last, key) == 0) {
		if (kmap_get(map, key, values) == 0) {
			record_push(L, kmap_key(map), key);
			push_values(L, map, values);
			return 2;
		}
		last = key; /* deleted under our hands: the next one */
	}
	return 0;
}

static int l_pairs(lua_State *L)
{
	check_map(L, 1);
	lua_pushvalue(L, 1);
	lua_pushboolean(L, 0);
	lua_pushcclosure(L, l_next, 2);
	return 1;
}

/* [-0, +1] a Map on kmap, which it owns; `owner` is the index of the Probe that it needs. raises */
static void push_map(lua_State *L, struct kmap *map, int owner)
{
	struct lmap *m;

	owner = lua_absindex(L, owner);
	m = lua_newuserdatauv(L, sizeof(*m), 1);
	m->map = map;
	luaL_setmetatable(L, MAP_CLASS);
	lua_pushvalue(L, owner);
	lua_setiuservalue(L, -2, 1); /* the map's descriptor is the object's */
}

/* maps.<name> */
static int maps_index(lua_State *L)
{
	const char *name = luaL_checkstring(L, 2);
	struct lprobe *lp;
	struct kmap *map;
	struct err err;

	lua_getmetatable(L, 1);
	lua_getfield(L, -1, "probe");
	lua_replace(L, 1);
	lp = lprobe_check(L, "probe.maps");
	if (probe_state(lp->probe) == PROBE_OPEN)
		luaL_error(L, "probe.maps: the probe is not loaded");
	if (kmap_open(&map, probe_object(lp->probe), name, &err)) {
		err_prefix(&err, "%s", probe_name(lp->probe));
		luax_throw(L, &err, "probe.maps");
	}
	push_map(L, map, 1);
	return 1;
}

void lprobe_push_maps(lua_State *L)
{
	lua_newtable(L);
	lua_newtable(L);
	lua_pushvalue(L, 1);
	lua_setfield(L, -2, "probe");
	lua_pushcfunction(L, maps_index);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
}

void lua_map_install(lua_State *L)
{
	static const luaL_Reg methods[] = { { NULL, NULL } };
	static const luaL_Reg meta[] = {
		{ "__index", l_index },
		{ "__newindex", l_newindex },
		{ "__pairs", l_pairs },
		{ NULL, NULL },
	};

	luax_class(L, MAP_CLASS, methods, meta, l_gc);
}
