/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdint.h>
#include <lauxlib.h>
#include "lua_json.h"
#include "lua_json_event.h"
#include "lua_json_text.h"
#include "luax.h"
#include "lua_list.h"

#define MAX_DEPTH 64

static void encode(struct json_text *t, lua_State *L, int index, int order, int depth);

static void add_array(struct json_text *t, lua_State *L, int index, lua_Integer n, int depth)
{
	json_add(t, "[", 1);
	for (lua_Integer i = 1; i <= n && !t->error; i++) {
		if (i > 1)
			json_add(t, ",", 1);
		lua_rawgeti(L, index, i);
		encode(t, L, lua_gettop(L), 0, depth + 1);
		lua_pop(L, 1);
	}
	json_add(t, "]", 1);
}

/* The value on top under the key below it. [-0, +0] */
static void add_member(struct json_text *t, lua_State *L, int depth, int *count)
{
	size_t len;
	const char *s;

	if ((*count)++)
		json_add(t, ",", 1);
	lua_pushvalue(L, -2); /* a copy: lua_tolstring would change a number key under lua_next */
	s = lua_tolstring(L, -1, &len);
	if (s)
		json_add_string(t, s, len);
	else
		t->error = "a key is neither string nor number";
	lua_pop(L, 1);
	json_add(t, ":", 1);
	encode(t, L, lua_gettop(L), 0, depth + 1);
}

/*
 * The keys that an order has had. Lua keeps one copy of each short string, so their addresses do;
 * all else goes into the Lua table at `others`, which is nil as long as there is nothing.
 */
#define SLOTS     128
#define MAX_SHORT 40 /* LUAI_MAXSHORTLEN, which is in no public header */

struct seen {
	const char *slots[SLOTS];
	int count;
	int others;
};

static const char **find_slot(struct seen *seen, const char *s)
{
	size_t i = (uintptr_t)s / 8 % SLOTS;

	while (seen->slots[i] && seen->slots[i] != s)
		i = (i + 1) % SLOTS;
	return &seen->slots[i];
}

static bool is_other(const struct seen *seen, lua_State *L, int key)
{
	bool found;

	if (lua_isnil(L, seen->others))
		return false;
	lua_pushvalue(L, key);
	found = lua_rawget(L, seen->others) != LUA_TNIL;
	lua_pop(L, 1);
	return found;
}

static bool is_seen(struct seen *seen, lua_State *L, int key)
{
	if (lua_type(L, key) == LUA_TSTRING && lua_rawlen(L, key) <= MAX_SHORT &&
	    *find_slot(seen, lua_tostring(L, key)))
		return true;
	return is_other(seen, L, key);
}

static void note_seen(struct seen *seen, lua_State *L, int key)
{
	if (lua_type(L, key) == LUA_TSTRING && lua_rawlen(L, key) <= MAX_SHORT &&
	    seen->count < SLOTS / 2) {
		seen->count++;
		*find_slot(seen, lua_tostring(L, key)) = lua_tostring(L, key);
		return;
	}
	if (lua_isnil(L, seen->others)) {
		lua_newtable(L);
		lua_replace(L, seen->others);
	}
	lua_pushvalue(L, key);
	lua_pushboolean(L, 1);
	lua_rawset(L, seen->others);
}

/* Keys of the list first, once each; those that the table lacks are written as null. */
static void add_ordered(struct json_text *t, lua_State *L, int index, int order, struct seen *seen,
			int depth, int *count)
{
	lua_Integer n = (lua_Integer)lua_rawlen(L, order);
	int key = lua_gettop(L) + 1;

	for (lua_Integer i = 1; i <= n && !t->error; i++) {
		lua_rawgeti(L, order, i);
		if (!is_seen(seen, L, key)) {
			note_seen(seen, L, key);
			lua_pushvalue(L, key);
			lua_rawget(L, index);
			add_member(t, L, depth, count);
		}
		lua_settop(L, key - 1);
	}
}

/* Leaves something on the stack; add_table() cleans up. */
static void add_object(struct json_text *t, lua_State *L, int index, int order, int depth)
{
	struct seen seen;
	int count = 0;

	if (order) {
		memset(&seen, 0, sizeof(seen));
		lua_pushnil(L);
		seen.others = lua_gettop(L);
	}
	json_add(t, "{", 1);
	if (order)
		add_ordered(t, L, index, order, &seen, depth, &count);
	lua_pushnil(L);
	while (!t->error && lua_next(L, index)) {
		if (!order || !is_seen(&seen, L, lua_gettop(L) - 1))
			add_member(t, L, depth, &count);
		lua_pop(L, 1);
	}
	json_add(t, "}", 1);
}

/* True if 1 to n are all keys that there are: nothing of a table may be lost in a list. */
static bool is_list(lua_State *L, int index, lua_Integer n)
{
	lua_Integer keys = 0;

	lua_pushnil(L);
	while (lua_next(L, index)) {
		lua_pop(L, 1);
		keys++;
	}
	return n > 0 && keys == n;
}

static void add_table(struct json_text *t, lua_State *L, int index, int order, int depth)
{
	lua_Integer n = (lua_Integer)lua_rawlen(L, index);
	int top = lua_gettop(L);

	if (!order && json_add_event(t, L, index))
		return;
	if (!order && luaL_getmetafield(L, index, "fields") == LUA_TTABLE)
		order = lua_gettop(L);
	if (!order && (is_list(L, index, n) || (!n && lua_is_list(L, index))))
		add_array(t, L, index, n, depth);
	else
		add_object(t, L, index, order, depth);
	lua_settop(L, top);
}

static void encode(struct json_text *t, lua_State *L, int index, int order, int depth)
{
	size_t len;
	const char *s;

	if (depth > MAX_DEPTH || !lua_checkstack(L, 16)) {
		t->error = "nested too deeply";
		return;
	}
	switch (lua_type(L, index)) {
	case LUA_TNIL:
		json_add(t, "null", 4);
		break;
	case LUA_TBOOLEAN:
		s = lua_toboolean(L, index) ? "true" : "false";
		json_add(t, s, strlen(s));
		break;
	case LUA_TNUMBER:
		json_add_number(t, L, index);
		break;
	case LUA_TSTRING:
		s = lua_tolstring(L, index, &len);
		json_add_string(t, s, len);
		break;
	case LUA_TTABLE:
		add_table(t, L, index, order, depth);
		break;
	case LUA_TLIGHTUSERDATA: /* cjson.null */
		json_add(t, "null", 4);
		break;
	default:
		t->error = "a function, thread or userdata has no JSON form";
	}
}

void lua_json_push(lua_State *L, int index, int order)
{
	struct json_text *t = json_push_text(L);

	encode(t, L, index, order, 0);
	json_push_result(L, t);
	lua_replace(L, -2); /* over t */
}

int lua_json(lua_State *L)
{
	if (lua_isnone(L, 1))
		luaL_error(L, "bpf.json: expected a value, got nothing");
	if (!lua_isnoneornil(L, 2))
		luax_expect(L, 2, LUA_TTABLE, "bpf.json", "a list of names that come first");
	lua_settop(L, 2);
	lua_json_push(L, 1, lua_istable(L, 2) ? 2 : 0);
	return 1;
}
