/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include "lua_event.h"
#include "lua_json.h"
#include "lua_json_event.h"
#include "lua_list.h"
#include "luax.h"

/* In a table of the registry, under the address of an entry's layout. */
enum { KEYS = 1, ENTRY_META, LIST_META };

/* Its address is a key in the metatable of lists. */
static const char is_list = 0;

/* print(list), print(entry): as JSON */
static int list_tostring(lua_State *L)
{
	lua_settop(L, 1);
	lua_json_push(L, 1, 0);
	return 1;
}

/* [-0, +1] */
static void push_meta(lua_State *L, const char *name)
{
	lua_newtable(L);
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__name");
	lua_pushcfunction(L, list_tostring);
	lua_setfield(L, -2, "__tostring");
}

static void init_list(lua_State *L, const struct layout *entry)
{
	lua_createtable(L, 3, 0);
	lua_createtable(L, entry->nr_fields, 0); /* keys */
	for (int i = 0; i < entry->nr_fields; i++) {
		lua_pushstring(L, entry->fields[i].name);
		lua_rawseti(L, -2, i + 1);
	}
	push_meta(L, "bpf.Entry");
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "fields");
	json_plan(L, -1, -2);
	lua_rawseti(L, -3, ENTRY_META);
	lua_rawseti(L, -2, KEYS);
	push_meta(L, "bpf.List");
	lua_pushboolean(L, true);
	lua_rawsetp(L, -2, &is_list);
	lua_rawseti(L, -2, LIST_META);
	lua_rawsetp(L, LUA_REGISTRYINDEX, entry);
}

void lua_lists_init(lua_State *L, const struct layout *layout)
{
	for (const struct layout *entry = layout->entries; entry; entry = entry->next)
		init_list(L, entry);
}

void lua_lists_fini(lua_State *L, const struct layout *layout)
{
	for (const struct layout *entry = layout->entries; entry; entry = entry->next) {
		lua_pushnil(L);
		lua_rawsetp(L, LUA_REGISTRYINDEX, entry);
	}
}

/* The metatable that is on top, below the entry's table, with the keys below that. [-0, +1] */
static void push_entry(lua_State *L, const struct layout *entry, const void *record)
{
	lua_createtable(L, 0, entry->nr_fields);
	for (int i = 0; i < entry->nr_fields; i++) {
		lua_rawgeti(L, -3, i + 1);
		event_push_field(L, &entry->fields[i], record);
		lua_rawset(L, -3);
	}
	lua_pushvalue(L, -2);
	lua_setmetatable(L, -2);
}

/* Entries as they are in a map, or no structs: without names at hand. [-0, +1] */
static void push_plain(lua_State *L, const struct field *list, const void *record, uint32_t n)
{
	lua_createtable(L, (int)n, 0);
	for (uint32_t i = 0; i < n; i++) {
		record_push(L, list->entry, field_list_entry(list, record, i));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

/* With the table of init_list() on top. [-0, +1] */
static void push_fast(lua_State *L, const struct field *list, const void *record, uint32_t n)
{
	lua_createtable(L, (int)n, 0);
	lua_rawgeti(L, -2, KEYS);
	lua_rawgeti(L, -3, ENTRY_META);
	for (uint32_t i = 0; i < n; i++) {
		push_entry(L, list->entry, field_list_entry(list, record, i));
		lua_rawseti(L, -4, (lua_Integer)i + 1);
	}
	lua_pop(L, 2);
}

void lua_list_push(lua_State *L, const struct field *list, const void *record)
{
	uint32_t n = field_list_len(list, record);
	bool known;

	luaL_checkstack(L, 12, "list");
	known = lua_rawgetp(L, LUA_REGISTRYINDEX, list->entry) == LUA_TTABLE;
	if (known && !list->entry->scalar)
		push_fast(L, list, record, n);
	else
		push_plain(L, list, record, n);
	if (known) {
		lua_rawgeti(L, -2, LIST_META);
		lua_setmetatable(L, -2);
	}
	lua_replace(L, -2); /* over what the registry has */
}

/* [-0, +0] */
static bool is_empty(lua_State *L, int index)
{
	lua_pushnil(L);
	if (!lua_next(L, index))
		return true;
	lua_pop(L, 2);
	return false;
}

int lua_list_pack(lua_State *L, const struct field *list, void *record, struct err *err)
{
	struct value len = { .type = VALUE_INT };
	int rc = 0, top = lua_gettop(L);

	if (!lua_istable(L, top))
		return err_set(err, -EINVAL, "field \"%s\": expected list, got %s", list->name,
			       luax_typename(L, top));
	len.i = (int64_t)lua_rawlen(L, top);
	if (!len.i && !is_empty(L, top))
		return err_set(err, -EINVAL, "field \"%s\": expected list, got a table with names",
			       list->name);
	if (len.i > list->room)
		return err_set(err, -EINVAL, "field \"%s\": at most %u entries fit, got %lld",
			       list->name, list->room, (long long)len.i);
	for (uint32_t i = 0; i < (uint32_t)len.i && !rc; i++) {
		lua_rawgeti(L, top, (lua_Integer)i + 1);
		rc = record_pack(L, top + 1, list->entry, (void *)field_list_entry(list, record, i),
				 err);
		if (rc && list->entry->scalar)
			err_prefix(err, "entry %u", i + 1);
		else if (rc)
			err_prefix(err, "field \"%s\", entry %u", list->name, i + 1);
		lua_settop(L, top);
	}
	return rc ? rc : field_set(list->len, record, &len, err);
}

bool lua_is_list(lua_State *L, int index)
{
	bool found;

	if (!lua_getmetatable(L, index))
		return false;
	found = lua_rawgetp(L, -1, &is_list) != LUA_TNIL;
	lua_pop(L, 2);
	return found;
}
