/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "lua_json_text.h"

#define TEXT_CLASS "bpf.JsonText"
#define KEEP       65536 /* bytes of room that are not given back */

static void resize(struct json_text *t, size_t room)
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
	struct json_text *t = lua_touserdata(L, 1);

	resize(t, 0);
	t->closed = true;
	return 0;
}

struct json_text *json_push_text(lua_State *L)
{
	static const char key; /* its address is the registry's */
	struct json_text *t;

	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TUSERDATA) {
		t = lua_touserdata(L, -1);
		t->len = 0;
		t->error = NULL;
		return t;
	}
	lua_pop(L, 1);
	t = lua_newuserdatauv(L, sizeof(*t), 0);
	*t = (struct json_text){ 0 };
	t->alloc = lua_getallocf(L, &t->ud);
	if (luaL_newmetatable(L, TEXT_CLASS)) {
		lua_pushcfunction(L, text_gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
	return t;
}

void json_grow(struct json_text *t, size_t n)
{
	if (!t->error)
		resize(t, (t->len + n) * 2 + 256);
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

/* What stands for itself, and is no part of a sequence. */
static inline bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* What is not plain at the start of s; returns its length. */
static size_t add_special(struct json_text *t, const unsigned char *s, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = utf8_length(s, n);

	if (*s == '"' || *s == '\\') {
		json_add(t, "\\", 1);
		json_add(t, (const char *)s, 1);
	} else if (*s < 0x20 || *s == 0x7f) {
		json_add(t, "\\u00", 4);
		json_add(t, &hex[*s >> 4], 1);
		json_add(t, &hex[*s & 15], 1);
	} else if (len) {
		json_add(t, (const char *)s, len);
		return len;
	} else {
		/* a process may be named by any bytes; JSON has only text */
		json_add(t, "\\ufffd", 6);
	}
	return 1;
}

void json_add_string(struct json_text *t, const char *s, size_t n)
{
	size_t i = 0, plain;

	json_add(t, "\"", 1);
	while (i < n) {
		for (plain = i; plain < n && is_plain((unsigned char)s[plain]); plain++)
			;
		json_add(t, s + i, plain - i);
		i = plain;
		if (i < n)
			i += add_special(t, (const unsigned char *)s + i, n - i);
	}
	json_add(t, "\"", 1);
}

void json_add_integer(struct json_text *t, lua_Integer value)
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char buf[24], *p = buf + sizeof(buf);

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0)
		*--p = '-';
	json_add(t, p, (size_t)(buf + sizeof(buf) - p));
}

void json_add_number(struct json_text *t, lua_State *L, int index)
{
	char buf[40];
	double d;

	if (lua_isinteger(L, index)) {
		json_add_integer(t, lua_tointeger(L, index));
		return;
	}
	d = lua_tonumber(L, index);
	/* the shortest form that reads back the same; JSON has no infinity */
	snprintf(buf, sizeof(buf), isfinite(d) ? "%.15g" : "null", d);
	if (isfinite(d) && strtod(buf, NULL) != d)
		snprintf(buf, sizeof(buf), "%.17g", d);
	json_add(t, buf, strlen(buf));
}

void json_push_result(lua_State *L, struct json_text *t)
{
	if (t->error)
		luaL_error(L, "json: %s", t->error);
	lua_pushlstring(L, t->s, t->len);
	if (t->room > KEEP || t->closed)
		resize(t, 0);
}
