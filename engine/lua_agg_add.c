/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * agg:add(), which runs for every event. Events repeat their keys, and Lua has each short text once:
 * so a row is first looked for by the addresses of its texts, without reading them.
 */
#include <errno.h>
#include <stdlib.h>
#include "lua_agg_priv.h"
#include "luax.h"

#define CELLS 4 /* keys with more of them are not remembered */
#define SLOTS 512

struct recent {
	uint64_t cells[CELLS]; /* a number, or where the text is */
	struct agg_row *row;
	uint32_t types; /* of the cells, 4 bits each */
	uint32_t age; /* of the aggregation when this was the row */
};

struct lagg_recent {
	uint32_t misses;
	struct recent slots[SLOTS];
};

/* The fields of an event in the place of the arguments. */
static void spread_event(lua_State *L, int n)
{
	luaL_checkstack(L, n + 4, "event");
	lua_getiuservalue(L, 1, 1);
	for (int i = 1; i <= n; i++) {
		lua_rawgeti(L, 3, i);
		lua_gettable(L, 2);
	}
	lua_remove(L, 3);
	lua_remove(L, 2);
}

/* The key's cells, which begin at 2, as they are compared. False if they can't be. */
static bool identify(lua_State *L, int nr_by, struct recent *key, uint32_t *slot)
{
	uint64_t hash = 0;

	key->types = 0;
	for (int i = 0; i < nr_by; i++) {
		int type = lua_type(L, 2 + i);
		uint64_t cell = 0;

		if (type == LUA_TSTRING)
			cell = (uint64_t)lua_topointer(L, 2 + i);
		else if (type == LUA_TNUMBER && lua_isinteger(L, 2 + i))
			cell = (uint64_t)lua_tointeger(L, 2 + i);
		else
			return false;
		key->cells[i] = cell;
		key->types = key->types << 4 | (uint32_t)type;
		hash = (hash ^ cell) * 0x9e3779b97f4a7c15ULL;
	}
	*slot = (uint32_t)(hash >> 32) % SLOTS;
	return true;
}

static bool same(const struct recent *a, const struct recent *b, int nr_by)
{
	if (a->types != b->types)
		return false;
	for (int i = 0; i < nr_by; i++)
		if (a->cells[i] != b->cells[i])
			return false;
	return true;
}

/*
 * Notes where a key's row is. Its texts are kept from being collected, or another text might come to
 * lie at the same address. With more keys than slots that would cost more than it gains, so only
 * some of those that push others out are noted.
 */
static void remember(lua_State *L, struct lagg *a, const struct recent *key, uint32_t slot,
		     int nr_by, struct agg_row *row)
{
	struct recent *to = &a->recent->slots[slot];

	if (to->row && to->age == agg_age(a->agg) && a->recent->misses++ % 8)
		return;
	to->row = NULL; /* in case there is no memory for what follows */
	lua_getiuservalue(L, 1, 2);
	for (int i = 0; i < nr_by; i++) {
		lua_pushvalue(L, 2 + i);
		lua_rawseti(L, -2, (lua_Integer)slot * CELLS + i + 1);
	}
	lua_pop(L, 1);
	*to = *key;
	to->row = row;
	to->age = agg_age(a->agg);
}

/* raises. */
static void check(lua_State *L, int rc)
{
	if (rc)
		luaL_error(L,
			   rc == -E2BIG ? "agg:add: the key has more than %d bytes" :
					  "agg:add: out of memory",
			   AGG_MAX_KEY);
}

static struct agg_row *add_by_key(lua_State *L, struct lagg *a, const struct agg_spec *spec,
				  const struct agg_value *values)
{
	struct agg_row *row;
	struct agg_key key;

	agg_key_start(&key);
	for (int i = 0; i < spec->nr_by; i++)
		lua_agg_take_cell(L, 2 + i, &key, "agg:add", spec->by[i]);
	check(L, agg_add_found(a->agg, &key, values, &row));
	return row;
}

/* The first time. */
static bool may_remember(struct lagg *a, const struct agg_spec *spec)
{
	if (spec->nr_by < 1 || spec->nr_by > CELLS)
		return false;
	if (!a->recent)
		a->recent = calloc(1, sizeof(*a->recent));
	return a->recent;
}

int lua_agg_add(lua_State *L)
{
	struct lagg *a = lua_agg_self(L, "agg:add");
	const struct agg_spec *spec = agg_get_spec(a->agg);
	int n = spec->nr_by + spec->nr_values;
	struct agg_value values[AGG_MAX_VALUES];
	struct agg_row *row;
	struct recent key;
	uint32_t slot;

	if (lua_gettop(L) != 1 + n || (n == 1 && lua_istable(L, 2))) {
		if (lua_gettop(L) != 2 || !lua_istable(L, 2))
			lua_agg_wrong_count(L, "agg:add", n == 1 ? "value" : "values",
					    lua_gettop(L) - 1, n);
		spread_event(L, n);
		/* an event's __index may have closed it */
		lua_agg_self(L, "agg:add");
	}
	for (int i = 0; i < spec->nr_values; i++)
		lua_agg_take_value(L, 2 + spec->nr_by + i, &spec->values[i], &values[i]);
	if (!may_remember(a, spec) || !identify(L, spec->nr_by, &key, &slot)) {
		add_by_key(L, a, spec, values);
		return 0;
	}
	row = a->recent->slots[slot].row;
	if (row && a->recent->slots[slot].age == agg_age(a->agg) &&
	    same(&key, &a->recent->slots[slot], spec->nr_by)) {
		check(L, agg_add_to(a->agg, row, values));
		return 0;
	}
	row = add_by_key(L, a, spec, values);
	if (row)
		remember(L, a, &key, slot, spec->nr_by, row);
	return 0;
}
