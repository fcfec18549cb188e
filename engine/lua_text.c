/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <lauxlib.h>
#include "ksyms.h"
#include "lua_text.h"
#include "record.h"
#include "script.h"

#define FIRST_SETS 512
#define MAX_SETS   32768
#define WAYS       2

/*
 * Sets of two, the newer one first. Texts are kept alive by the registry, each under a number of its
 * own: one look-up there instead of two, through a table. A userdata, so that the memory counts as the script's; `self` keeps it.
 */
struct script_texts {
	int self;
	uint32_t sets; /* a power of two */
	uint32_t evicted;
	struct text {
		uint64_t key[TEXT_BYTES / sizeof(uint64_t)];
		int ref; /* 0: none; its key is that of `::`, which is an address */
	} texts[];
};

static struct text *find_set(struct script_texts *t, const uint64_t *key)
{
	uint64_t h = key[0] ^ key[1];

	/* Down first: in a product bits move up, and what differs of an address is its highest byte. */
	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15;
	return &t->texts[((h >> 40) & (t->sets - 1)) * WAYS];
}

static bool is(const struct text *text, const uint64_t *key)
{
	return text->key[0] == key[0] && text->key[1] == key[1] && text->ref;
}

/* An empty cache instead of the one that there is. [-0, +0] */
static struct script_texts *start(lua_State *L, struct script_texts **place, uint32_t sets)
{
	size_t size = sizeof(**place) + sets * WAYS * sizeof(struct text);
	struct script_texts *t = memset(lua_newuserdatauv(L, size, 0), 0, size), *old = *place;

	t->sets = sets;
	t->self = luaL_ref(L, LUA_REGISTRYINDEX);
	*place = t;
	for (uint32_t i = 0; old && i < old->sets * WAYS; i++)
		if (old->texts[i].ref)
			luaL_unref(L, LUA_REGISTRYINDEX, old->texts[i].ref);
	if (old)
		luaL_unref(L, LUA_REGISTRYINDEX, old->self);
	return t;
}

/* False: it may be another text soon. [-0, +1] */
static bool push_new(lua_State *L, enum text_kind kind, const void *bytes)
{
	bool known = true;
	uint64_t ksym;
	char buf[48];

	switch (kind) {
	case TEXT_ADDR:
		lua_pushstring(L, addr_format(bytes, buf));
		break;
	case TEXT_KSYM:
		memcpy(&ksym, bytes, sizeof(ksym));
		lua_pushstring(L, ksyms_text(ksym, &known));
		break;
	default:
		lua_pushlstring(L, bytes, strnlen(bytes, TEXT_BYTES));
	}
	return known;
}

/* Into the first place of the set; what is there goes to the second, and that one's number is used. */
static void add(lua_State *L, struct script_texts *t, struct text *set, const uint64_t *key)
{
	int ref = set[1].ref;

	lua_pushvalue(L, -1);
	if (ref) {
		lua_rawseti(L, LUA_REGISTRYINDEX, ref);
		t->evicted++;
	} else {
		ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	set[1] = set[0];
	memcpy(set[0].key, key, TEXT_BYTES);
	set[0].ref = ref;
}

void lua_text_push(lua_State *L, enum text_kind kind, const void *bytes)
{
	struct script_texts **place = script_texts(L, kind), *t = *place;
	uint64_t key[TEXT_BYTES / sizeof(uint64_t)];
	struct text *set;

	memcpy(key, bytes, sizeof(key));
	if (!t || (t->evicted > t->sets * 8 && t->sets < MAX_SETS))
		t = start(L, place, t ? t->sets * 4 : FIRST_SETS);
	set = find_set(t, key);
	if (is(set, key)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, set->ref);
	} else if (is(set + 1, key)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, set[1].ref);
	} else if (push_new(L, kind, bytes)) {
		add(L, t, set, key);
	}
}
