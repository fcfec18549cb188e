/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "lua_json.h"

#define MAX_DEPTH  64
#define TEXT_CLASS "bpf.JsonText"

/* Text that grows in memory that counts as the script's; a userdata, so no error can leak it. */
struct text {
	lua_Alloc alloc;
	void *ud;
	char *s;
	size_t len, room;
	const char *error;
};

static void resize(struct text *t, size_t room)
{
	char *p = t->alloc(t->ud, t->s, t->room, room);

	if (room && !p) {
		t->error = "not enough memory";
		return;
	}
	t->s = p;
	t->room = room;
}

static int text_gc(lua_State *L)
{
	resize(lua_touserdata(L, 1), 0);
	return 0;
}

/* [-0, +1] */
static struct text *push_text(lua_State *L)
{
	struct text *t = lua_newuserdatauv(L, sizeof(*t), 0);

	*t = (struct text){ 0 };
	t->alloc = lua_getallocf(L, &t->ud);
	if (luaL_newmetatable(L, TEXT_CLASS)) {
		lua_pushcfunction(L, text_gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	return t;
}

static void add(struct text *t, const char *s, size_t n)
{
	if (t->error)
		return;
	if (t->len + n > t->room)
		resize(t, (t->len + n) * 2 + 256);
	if (t->error)
		return;
	memcpy(t->s + t->len, s, n);
	t->len += n;
}

/* Length of the UTF-8 sequence at s, 0 if it is none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
	size_t len = s[0] < 0x80                 ? 1 :
		     s[0] >= 0xc2 && s[0] < 0xe0 ? 2 :
		     s[0] >= 0xe0 && s[0] < 0xf0 ? 3 :
		     s[0] >= 0xf0 && s[0] < 0xf5 ? 4 :
						   0;

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static void add_string(struct text *t, const char *s, size_t n)
{
	char esc[8];

	add(t, "\"", 1);
	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)s[i];
		size_t len = utf8_length((const unsigned char *)s + i, n - i);

		if (c == '"' || c == '\\') {
			snprintf(esc, sizeof(esc), "\\%c", c);
			add(t, esc, 2);
			i++;
		} else if (c < 0x20 || c == 0x7f) {
			snprintf(esc, sizeof(esc), "\\u%04x", c);
			add(t, esc, 6);
			i++;
		} else if (len) {
			add(t, s + i, len);
			i += len;
		} else {
			/* a process may be named by any bytes; JSON has only text */
			add(t, "\\ufffd", 6);
			i++;
		}
	}
	add(t, "\"", 1);
}

static void add_number(struct text *t, lua_State *L, int index)
{
	char buf[40];
	double d;

	if (lua_isinteger(L, index)) {
		snprintf(buf, sizeof(buf), "%lld", (long long)lua_tointeger(L, index));
	} else {
		d = lua_tonumber(L, index);
		/* the shortest form that reads back the same; JSON has no infinity */
		snprintf(buf, sizeof(buf), isfinite(d) ? "%.15g" : "null", d);
		if (isfinite(d) && strtod(buf, NULL) != d)
			snprintf(buf, sizeof(buf), "%.17g", d);
	}
	add(t, buf, strlen(buf));
}

static void encode(struct text *t, lua_State *L, int index, int order, int depth);

static void add_array(struct text *t, lua_State *L, int index, lua_Integer n, int depth)
{
	add(t, "[", 1);
	for (lua_Integer i = 1; i <= n && !t->error; i++) {
		if (i > 1)
			add(t, ",", 1);
		lua_rawgeti(L, index, i);
		encode(t, L, lua_gettop(L), 0, depth + 1);
		lua_pop(L, 1);
	}
	add(t, "]", 1);
}

/* The value on top under the key below it. [-0, +0] */
static void add_member(struct text *t, lua_State *L, int depth, int *count)
{
	size_t len;
	const char *s;

	if ((*count)++)
		add(t, ",", 1);
	lua_pushvalue(L, -2); /* a copy: lua_tolstring would change a number key under lua_next */
	s = lua_tolstring(L, -1, &len);
	if (s)
		add_string(t, s, len);
	else
		t->error = "a key is neither string nor number";
	lua_pop(L, 1);
	add(t, ":", 1);
	encode(t, L, lua_gettop(L), 0, depth + 1);
}

/*
 * Keys of the list first, once each; those that the table lacks are written as null. Leaves the set
 * of them on the stack. [-0, +1]
 */
static void add_ordered(struct text *t, lua_State *L, int index, int order, int depth, int *count)
{
	lua_Integer n = (lua_Integer)lua_rawlen(L, order);

	lua_createtable(L, 0, (int)n);
	for (lua_Integer i = 1; i <= n && !t->error; i++) {
		lua_rawgeti(L, order, i);
		lua_pushvalue(L, -1);
		if (lua_rawget(L, -3) == LUA_TNIL) {
			lua_pushvalue(L, -2);
			lua_pushboolean(L, 1);
			lua_rawset(L, -5); /* set[key] = true */
			lua_pop(L, 1);
			lua_pushvalue(L, -1);
			lua_rawget(L, index);
			add_member(t, L, depth, count);
		}
		lua_pop(L, 2);
	}
}

static bool in_set(lua_State *L, int set, int key)
{
	bool found;

	lua_pushvalue(L, key);
	found = lua_rawget(L, set) != LUA_TNIL;
	lua_pop(L, 1);
	return found;
}

static void add_object(struct text *t, lua_State *L, int index, int order, int depth)
{
	int count = 0, set = lua_gettop(L) + 1;

	add(t, "{", 1);
	if (order)
		add_ordered(t, L, index, order, depth, &count);
	lua_pushnil(L);
	while (!t->error && lua_next(L, index)) {
		if (!order || !in_set(L, set, lua_gettop(L) - 1))
			add_member(t, L, depth, &count);
		lua_pop(L, 1);
	}
	add(t, "}", 1);
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

static void add_table(struct text *t, lua_State *L, int index, int order, int depth)
{
	lua_Integer n = (lua_Integer)lua_rawlen(L, index);
	int top = lua_gettop(L);

	if (!order && luaL_getmetafield(L, index, "fields") == LUA_TTABLE)
		order = lua_gettop(L);
	if (!order && is_list(L, index, n))
		add_array(t, L, index, n, depth);
	else
		add_object(t, L, index, order, depth);
	lua_settop(L, top);
}

static void encode(struct text *t, lua_State *L, int index, int order, int depth)
{
	size_t len;
	const char *s;

	if (depth > MAX_DEPTH || !lua_checkstack(L, 16)) {
		t->error = "nested too deeply";
		return;
	}
	switch (lua_type(L, index)) {
	case LUA_TNIL:
		add(t, "null", 4);
		break;
	case LUA_TBOOLEAN:
		s = lua_toboolean(L, index) ? "true" : "false";
		add(t, s, strlen(s));
		break;
	case LUA_TNUMBER:
		add_number(t, L, index);
		break;
	case LUA_TSTRING:
		s = lua_tolstring(L, index, &len);
		add_string(t, s, len);
		break;
	case LUA_TTABLE:
		add_table(t, L, index, order, depth);
		break;
	case LUA_TLIGHTUSERDATA: /* cjson.null */
		add(t, "null", 4);
		break;
	default:
		t->error = "a function, thread or userdata has no JSON form";
	}
}

void lua_json_push(lua_State *L, int index, int order)
{
	struct text *t = push_text(L);

	encode(t, L, index, order, 0);
	if (t->error)
		luaL_error(L, "json: %s", t->error);
	lua_pushlstring(L, t->s, t->len);
	resize(t, 0);
	lua_remove(L, -2); /* t */
}

int lua_json(lua_State *L)
{
	luaL_checkany(L, 1);
	if (!lua_isnoneornil(L, 2))
		luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	lua_json_push(L, 1, lua_istable(L, 2) ? 2 : 0);
	return 1;
}
