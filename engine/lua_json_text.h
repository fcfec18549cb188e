/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_json_text.h - JSON text while it is made, and what stands in it. */
#ifndef BPFNET_LUA_JSON_TEXT_H
#define BPFNET_LUA_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <lua.h>

/*
 * Text that grows in memory that counts as the script's; a userdata in the registry, so that no
 * error can leak it, and used again and again.
 */
struct json_text {
	lua_Alloc alloc;
	void *ud;
	char *s;
	size_t len, room;
	const char *error;
	bool closed; /* the state is being closed: nothing may be kept any more */
};

/* [-0, +1] empty; the one that there is, so nobody may ask for another meanwhile. raises */
struct json_text *json_push_text(lua_State *L);
/* [-0, +1] raises t->error, or pushes the text. */
void json_push_result(lua_State *L, struct json_text *t);
/* Makes room for n bytes more, or sets t->error. */
void json_grow(struct json_text *t, size_t n);
/* In quotes, escaped. */
void json_add_string(struct json_text *t, const char *s, size_t n);
void json_add_integer(struct json_text *t, lua_Integer value);
void json_add_number(struct json_text *t, lua_State *L, int index);

static inline void json_add(struct json_text *t, const char *s, size_t n)
{
	if (t->len + n > t->room)
		json_grow(t, n);
	if (t->error)
		return;
	memcpy(t->s + t->len, s, n);
	t->len += n;
}

#endif
