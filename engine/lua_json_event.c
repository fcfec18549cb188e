/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * An event's table is gone through once, in whatever order Lua has it; its values are put in the
 * place of their field, and then written behind names that were made into JSON beforehand.
 */
#include <stdint.h>
#include <lauxlib.h>
#include "lua_json_event.h"

#define MAX_FIELDS 128
#define SLOTS      512

/* A userdata in the metatable, under the address of this key. */
static const char plan_key = 0;

struct name {
	const void *key; /* Lua keeps one copy of a short string: its address tells it */
	uint32_t at, len; /* `,"name":` in the texts */
};

struct plan {
	int n;
	uint8_t slots[SLOTS]; /* 1 + number of a name, by its address */
	struct name names[MAX_FIELDS];
	char texts[];
};

struct field_value {
	int type;
	size_t len;
	union {
		lua_Integer i;
		const char *s;
	};
};

static uint8_t *find_slot(struct plan *plan, const void *key)
{
	size_t i = ((uintptr_t)key / 8 ^ (uintptr_t)key / 8 / SLOTS) % SLOTS;

	while (plan->slots[i] && plan->names[plan->slots[i] - 1].key != key)
		i = (i + 1) % SLOTS;
	return &plan->slots[i];
}

/* [-0, +0] The name on top. It is a C identifier: nothing in it has to be escaped. */
static void add_name(lua_State *L, struct plan *plan, uint32_t at)
{
	struct name *name = &plan->names[plan->n];
	char *text = plan->texts + at;
	size_t len;
	const char *key = lua_tolstring(L, -1, &len);

	name->key = lua_topointer(L, -1);
	name->at = at;
	name->len = (uint32_t)len + 4;
	*text++ = ',';
	*text++ = '"';
	memcpy(text, key, len);
	memcpy(text + len, "\":", 2);
	*find_slot(plan, name->key) = (uint8_t)(plan->n + 1);
	plan->n++;
}

void json_plan(lua_State *L, int meta, int keys)
{
	int n = (int)lua_rawlen(L, keys);
	size_t size = 0;
	struct plan *plan;

	meta = lua_absindex(L, meta);
	keys = lua_absindex(L, keys);
	lua_createtable(L, n, 0); /* a copy, for scripts can change their list */
	for (int i = 1; i <= n; i++) {
		lua_rawgeti(L, keys, i);
		size += lua_rawlen(L, -1) + 4;
		lua_rawseti(L, -2, i);
	}
	plan = memset(lua_newuserdatauv(L, sizeof(*plan) + size, 1), 0, sizeof(*plan));
	size = 0;
	for (int i = 1; i <= n && n <= MAX_FIELDS; i++) {
		lua_rawgeti(L, -2, i);
		add_name(L, plan, (uint32_t)size);
		size += plan->names[i - 1].len;
		lua_pop(L, 1);
	}
	lua_insert(L, -2);
	lua_setiuservalue(L, -2, 1); /* keeps the keys alive */
	lua_rawsetp(L, meta, &plan_key);
}

static bool take(lua_State *L, struct field_value *value)
{
	value->type = lua_type(L, -1);
	switch (value->type) {
	case LUA_TNUMBER:
		value->i = lua_tointeger(L, -1);
		return lua_isinteger(L, -1);
	case LUA_TBOOLEAN:
		value->i = lua_toboolean(L, -1);
		return true;
	case LUA_TSTRING:
		value->s = lua_tolstring(L, -1, &value->len);
		return true;
	}
	return false;
}

/* [-0, +0] the strings stay in the table */
static bool take_all(lua_State *L, int index, struct plan *plan, struct field_value *values)
{
	int top = lua_gettop(L), slot = 1;

	lua_pushnil(L);
	while (slot && lua_next(L, index)) {
		slot = *find_slot(plan, lua_topointer(L, -2));
		if (slot && !take(L, &values[slot - 1]))
			slot = 0;
		lua_pop(L, 1);
	}
	lua_settop(L, top);
	return slot;
}

static void add_value(struct json_text *t, const struct field_value *value)
{
	switch (value->type) {
	case LUA_TNUMBER:
		json_add_integer(t, value->i);
		break;
	case LUA_TBOOLEAN:
		json_add(t, value->i ? "true" : "false", value->i ? 4 : 5);
		break;
	case LUA_TSTRING:
		json_add_string(t, value->s, value->len);
		break;
	default:
		json_add(t, "null", 4);
	}
}

/* [-0, +0] it stays in the metatable */
static struct plan *find_plan(lua_State *L, int index)
{
	struct plan *plan;

	if (!lua_getmetatable(L, index))
		return NULL;
	lua_rawgetp(L, -1, &plan_key);
	plan = lua_touserdata(L, -1);
	lua_pop(L, 2);
	return plan && plan->n ? plan : NULL;
}

bool json_add_event(struct json_text *t, lua_State *L, int index)
{
	struct plan *plan = find_plan(L, index);
	struct field_value values[MAX_FIELDS];

	if (!plan)
		return false;
	for (int i = 0; i < plan->n; i++)
		values[i].type = LUA_TNIL;
	if (!take_all(L, index, plan, values))
		return false;
	for (int i = 0; i < plan->n; i++) {
		const struct name *name = &plan->names[i];

		/* the first one has a brace where the others have a comma */
		if (!i)
			json_add(t, "{", 1);
		json_add(t, plan->texts + name->at + !i, name->len - !i);
		add_value(t, &values[i]);
	}
	json_add(t, "}", 1);
	return true;
}
