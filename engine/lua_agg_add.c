/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * agg:add(), which runs for every event. Events repeat their keys, and Lua has each short text once:
 * so a row is first looked for by the addresses of its texts, without reading them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lua_agg_priv.h"
#include "luax.h"

#define CELLS 4 /* keys with more of them are not remembered */
#define SETS  256
#define WAYS  4 /* places in a set; with one, keys that meet there would push each other out */

struct recent {
	uint64_t tag; /* types of the cells, 4 bits each, below a hash; 0: none */
	uint64_t cells[CELLS]; /* a number, or where the text is */
};

/* The tags stand together: one look at a cache line tells which place, if any, to look at. */
struct set {
	uint64_t tags[WAYS];
	struct {
		uint64_t cells[CELLS];
		struct agg_row *row;
	} ways[WAYS];
};

struct lagg_recent {
	uint32_t misses;
	uint32_t age; /* of the aggregation when these were its rows */
	struct set sets[SETS];
};

/* The fields of the event that is at `first` in its place, as arguments. */
static void spread_event(lua_State *L, struct lagg *a, int first, int n)
{
	luaL_checkstack(L, n + 4, "event");
	lua_getiuservalue(L, lua_upvalueindex(LUA_AGG_SELF), 1);
	for (int i = 1; i <= n; i++) {
		lua_rawgeti(L, first + 1, i);
		lua_gettable(L, first);
	}
	lua_remove(L, first + 1);
	lua_remove(L, first);
	/* an event's __index may have closed it */
	lua_agg_open(L, a, "agg:add");
}

/* The key's cells, which begin at `first`, as they are compared. False if they can't be. */
static bool identify(lua_State *L, int first, int nr_by, struct recent *key, uint32_t *set)
{
	uint64_t hash = 0, types = 0;

	for (int i = 0; i < nr_by; i++) {
		int type = lua_type(L, first + i);

		if (type == LUA_TSTRING)
			key->cells[i] = (uint64_t)lua_topointer(L, first + i);
		else if (type == LUA_TNUMBER && lua_isinteger(L, first + i))
			key->cells[i] = (uint64_t)lua_tointeger(L, first + i);
		else
			return false;
		types = types << 4 | (uint64_t)type;
		hash = (hash ^ key->cells[i]) * 0x9e3779b97f4a7c15ULL;
	}
	*set = (uint32_t)(hash >> 32) % SETS;
	key->tag = hash << (4 * CELLS) | types;
	return true;
}

/* The row of a key that is remembered, or NULL. */
static struct agg_row *recall(struct lagg_recent *r, const struct recent *key, uint32_t set,
			      int nr_by)
{
	const struct set *s = &r->sets[set];

	for (int i = 0; i < WAYS; i++)
		if (s->tags[i] == key->tag &&
		    !memcmp(s->ways[i].cells, key->cells, sizeof(key->cells[0]) * (size_t)nr_by))
			return s->ways[i].row;
	return NULL;
}

/* Rows have gone away since: nothing is known any more. */
static void forget_old(struct lagg *a)
{
	if (a->recent->age == agg_age(a->agg))
		return;
	a->recent->age = agg_age(a->agg);
	for (int i = 0; i < SETS; i++)
		memset(a->recent->sets[i].tags, 0, sizeof(a->recent->sets[i].tags));
}

/* A place in the set: a free one, or that of another key, but not each time. -1: not now. */
static int find_place(struct lagg_recent *r, uint32_t set)
{
	uint32_t n;

	for (int i = 0; i < WAYS; i++)
		if (!r->sets[set].tags[i])
			return i;
	n = r->misses++;
	return n % 8 ? -1 : (int)(n / 8 % WAYS);
}

/*
 * Notes where a key's row is. Its texts are kept from being collected, or another text might come to
 * lie at the same address. With more keys than places that would cost more than it gains, so only
 * some of those that push others out are noted.
 */
static void remember(lua_State *L, struct lagg *a, int first, const struct recent *key,
		     uint32_t set, int nr_by, struct agg_row *row)
{
	struct set *s = &a->recent->sets[set];
	int way = find_place(a->recent, set);

	if (way < 0)
		return;
	s->tags[way] = 0; /* in case there is no memory for what follows */
	lua_getiuservalue(L, lua_upvalueindex(LUA_AGG_SELF), 2);
	for (int i = 0; i < nr_by; i++) {
		lua_pushvalue(L, first + i);
		lua_rawseti(L, -2, ((lua_Integer)set * WAYS + way) * CELLS + i + 1);
	}
	lua_pop(L, 1);
	memcpy(s->ways[way].cells, key->cells, sizeof(key->cells));
	s->ways[way].row = row;
	s->tags[way] = key->tag;
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

static struct agg_row *add_by_key(lua_State *L, struct lagg *a, int first,
				  const struct agg_spec *spec, const struct agg_value *values)
{
	struct agg_row *row;
	struct agg_key key;

	agg_key_start(&key);
	for (int i = 0; i < spec->nr_by; i++)
		lua_agg_take_cell(L, first + i, &key, "agg:add", spec->by[i]);
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

/* raises. One event, from the arguments that begin at `first`. */
static void add(lua_State *L, struct lagg *a, int first)
{
	const struct agg_spec *spec = agg_get_spec(a->agg);
	int n = spec->nr_by + spec->nr_values, given = lua_gettop(L) - first + 1;
	struct agg_value values[AGG_MAX_VALUES];
	struct agg_row *row;
	struct recent key;
	uint32_t set;

	if (given != n || (n == 1 && lua_istable(L, first))) {
		if (given != 1 || !lua_istable(L, first))
			lua_agg_wrong_count(L, "agg:add", n == 1 ? "value" : "values", given, n);
		spread_event(L, a, first, n);
	}
	for (int i = 0; i < spec->nr_values; i++)
		lua_agg_take_value(L, first + spec->nr_by + i, &spec->values[i], &values[i]);
	if (!may_remember(a, spec) || !identify(L, first, spec->nr_by, &key, &set)) {
		add_by_key(L, a, first, spec, values);
		return;
	}
	forget_old(a);
	row = recall(a->recent, &key, set, spec->nr_by);
	if (row) {
		check(L, agg_add_to(a->agg, row, values));
		return;
	}
	row = add_by_key(L, a, first, spec, values);
	if (row)
		remember(L, a, first, &key, set, spec->nr_by, row);
}

int lua_agg_add(lua_State *L)
{
	add(L, lua_agg_self(L, "agg:add"), 2);
	return 0;
}

/* What agg:adder() gives: a handler without any Lua in it. */
static int add_alone(lua_State *L)
{
	struct lagg *a = lua_touserdata(L, lua_upvalueindex(LUA_AGG_SELF));

	add(L, lua_agg_open(L, a, "agg:add"), 1);
	return 0;
}

int lua_agg_adder(lua_State *L)
{
	lua_agg_self(L, "agg:adder");
	lua_settop(L, 1);
	lua_pushcclosure(L, add_alone, 1);
	return 1;
}
