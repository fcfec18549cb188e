/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include "lua_event.h"
#include "lua_json.h"
#include "lua_json_event.h"
#include "lua_list.h"
#include "lua_text.h"
#include "luax.h"
#include "util.h"

/* What most fields are, without the detour through a struct value. */
static void push_uint(lua_State *L, const char *p, uint32_t size)
{
	uint64_t u64 = 0;
	uint32_t u32;
	uint16_t u16;

	switch (size) {
	case 1:
		u64 = (uint8_t)*p;
		break;
	case 2:
		memcpy(&u16, p, sizeof(u16));
		u64 = u16;
		break;
	case 4:
		memcpy(&u32, p, sizeof(u32));
		u64 = u32;
		break;
	default:
		memcpy(&u64, p, sizeof(u64));
	}
	lua_pushinteger(L, (lua_Integer)u64);
}

static void push_other(lua_State *L, const struct field *field, const void *record)
{
	struct value value;

	field_get(field, record, &value);
	luax_push_value(L, &value);
}

static void push_ksym(lua_State *L, const char *p)
{
	char key[TEXT_BYTES] = { 0 };
	uint64_t addr;

	memcpy(&addr, p, sizeof(addr));
	if (!addr) {
		lua_pushnil(L);
		return;
	}
	memcpy(key, p, sizeof(addr));
	lua_text_push(L, TEXT_KSYM, key);
}

void event_push_field(lua_State *L, const struct field *field, const void *record)
{
	const char *p = (const char *)record + field->offset;

	if (field->kind == FIELD_UINT && !field->bit_size)
		push_uint(L, p, field->size);
	else if (field->kind == FIELD_ADDR6)
		lua_text_push(L, TEXT_ADDR, p);
	else if (field->kind == FIELD_STR && field->size == TEXT_BYTES)
		lua_text_push(L, TEXT_NAME, p);
	else if (field->kind == FIELD_KSYM)
		push_ksym(L, p);
	else if (field->kind == FIELD_LIST)
		lua_list_push(L, field, record);
	else
		push_other(L, field, record);
}

void event_push(lua_State *L, const struct event_shape *shape, const void *record)
{
	const struct layout *layout = shape->layout;

	luaL_checkstack(L, 16, "event");
	lua_rawgeti(L, LUA_REGISTRYINDEX, shape->keys);
	lua_createtable(L, 0, layout->nr_fields);
	for (int i = 0; i < layout->nr_fields; i++) {
		lua_rawgeti(L, -2, i + 1); /* interned once, not for every event */
		event_push_field(L, &layout->fields[i], record);
		lua_rawset(L, -3);
	}
	if (shape->pods)
		lua_pod_set_columns(L, &shape->pod, record, -1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, shape->meta);
	lua_setmetatable(L, -2);
	lua_replace(L, -2); /* over the keys */
}

void record_push(lua_State *L, const struct layout *layout, const void *record)
{
	if (layout->scalar) {
		event_push_field(L, &layout->fields[0], record);
		return;
	}
	lua_createtable(L, 0, layout->nr_fields);
	for (int i = 0; i < layout->nr_fields; i++) {
		event_push_field(L, &layout->fields[i], record);
		lua_setfield(L, -2, layout->fields[i].name);
	}
}

/* The value on top of the stack into one field. [-0, +0] */
static int pack_top(lua_State *L, const struct field *field, void *record, struct err *err)
{
	struct value value;

	if (!luax_to_value(L, -1, &value))
		return err_set(err, -EINVAL, "field \"%s\": expected %s, got %s", field->name,
			       field_type_name(field), luax_typename(L, -1));
	return field_set(field, record, &value, err);
}

/* The field that the key below the value on top names, or NULL. [-0, +0] */
static const struct field *find_field(lua_State *L, const struct layout *layout, struct err *err)
{
	const struct field *field;

	if (lua_type(L, -2) != LUA_TSTRING) {
		err_set(err, -EINVAL, "fields have names, got a key of type %s",
			luax_typename(L, -2));
		return NULL;
	}
	field = layout_field(layout, lua_tostring(L, -2));
	if (!field)
		layout_no_field(layout, lua_tostring(L, -2), err);
	return field;
}

/* All fields of the table that are lists, or all others. [-0, +0] */
static int pack_fields(lua_State *L, int index, const struct layout *layout, bool lists,
		       void *record, struct err *err)
{
	int rc = 0, top = lua_gettop(L);

	lua_pushnil(L);
	while (!rc && lua_next(L, index)) {
		const struct field *field = find_field(L, layout, err);

		if (!field)
			rc = err->code;
		else if (lists && field->kind == FIELD_LIST)
			rc = lua_list_pack(L, field, record, err);
		else if (!lists && field->kind != FIELD_LIST)
			rc = pack_top(L, field, record, err);
		lua_pop(L, 1);
	}
	lua_settop(L, top);
	return rc;
}

int event_pack(lua_State *L, int index, const struct layout *layout, void *record, struct err *err)
{
	int rc;

	/* A field that is not given and may be unknown, is. */
	for (int i = 0; i < layout->nr_fields; i++)
		if (field_can_be_nil(&layout->fields[i]))
			field_set(&layout->fields[i], record, &(struct value){ .type = VALUE_NIL },
				  err);
	rc = pack_fields(L, index, layout, false, record, err);
	/* A list knows its length better than the field that says so. */
	if (!rc && layout->entries)
		rc = pack_fields(L, index, layout, true, record, err);
	return rc;
}

int record_pack(lua_State *L, int index, const struct layout *layout, void *record, struct err *err)
{
	int rc;

	if (layout->scalar) {
		lua_pushvalue(L, index);
		rc = pack_top(L, &layout->fields[0], record, err);
		lua_pop(L, 1);
		return rc;
	}
	if (!lua_istable(L, index))
		return err_set(err, -EINVAL,
			       "expected a table with the fields of struct %s, got %s",
			       layout->name, luax_typename(L, index));
	return event_pack(L, index, layout, record, err);
}

/* ev:json() -> string */
static int event_json(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_json_push(L, 1, 0);
	return 1;
}

/*
 * [text] -> [text]: "?" for control characters, those of UTF-8 too: names of processes may hold anything, and a terminal
 * would obey.
 */
static void make_harmless(lua_State *L)
{
	luaL_Buffer b;
	size_t len, n = 0;
	const unsigned char *s = (const unsigned char *)lua_tolstring(L, -1, &len);
	char *to = luaL_buffinitsize(L, &b, len);

	for (size_t i = 0; i < len; i++) {
		bool c1 = s[i] == 0xc2 && i + 1 < len && s[i + 1] >= 0x80 && s[i + 1] < 0xa0;

		to[n++] = c1 || s[i] < 0x20 || s[i] == 0x7f ? '?' : (char)s[i];
		i += c1;
	}
	luaL_pushresultsize(&b, n);
}

/* "tcpclose ts_ns=1 pid=42 comm=curl": the fields in the order of the struct, without the unknown */
static int event_tostring(lua_State *L)
{
	luaL_Buffer b;
	lua_Integer n;

	lua_settop(L, 1);
	luaL_getmetafield(L, 1, "probe"); /* 2 */
	luaL_getmetafield(L, 1, "fields"); /* 3 */
	luaL_buffinit(L, &b);
	lua_pushvalue(L, 2);
	luaL_addvalue(&b);
	n = luaL_len(L, 3);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_geti(L, 3, i);
		lua_pushvalue(L, -1);
		if (lua_rawget(L, 1) == LUA_TNIL) {
			lua_pop(L, 2);
			continue;
		}
		luaL_tolstring(L, -1, NULL); /* name, value, text */
		lua_pushfstring(L, " %s=%s", lua_tostring(L, -3), lua_tostring(L, -1));
		lua_replace(L, -4);
		lua_pop(L, 2);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	make_harmless(L);
	return 1;
}

/* [-0, +1] the list of names that an event's table has */
static void push_keys(lua_State *L, const struct event_shape *shape)
{
	const struct layout *layout = shape->layout;

	lua_createtable(L, layout->nr_fields, 0);
	for (int i = 0; i < layout->nr_fields; i++) {
		lua_pushstring(L, layout->fields[i].name);
		lua_rawseti(L, -2, i + 1);
	}
	for (int i = 0; shape->pods && lua_pod_column(i); i++) {
		lua_pushstring(L, lua_pod_column(i));
		lua_rawseti(L, -2, layout->nr_fields + i + 1);
	}
}

void event_shape_init(lua_State *L, struct event_shape *shape, const struct layout *layout,
		      const char *probe, bool pods)
{
	shape->layout = layout;
	pod_fields_find(&shape->pod, layout);
	shape->pods = pods && shape->pod.cgroup;
	push_keys(L, shape);
	lua_newtable(L); /* metatable */
	lua_pushstring(L, probe);
	lua_setfield(L, -2, "probe");
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "fields");
	lua_pushcfunction(L, event_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pushliteral(L, "bpf.Event");
	lua_setfield(L, -2, "__name");
	lua_newtable(L); /* __index */
	lua_pushstring(L, probe);
	lua_setfield(L, -2, "probe");
	lua_pushcfunction(L, event_json);
	lua_setfield(L, -2, "json");
	if (shape->pod.cgroup)
		lua_pod_index(L);
	lua_setfield(L, -2, "__index");
	json_plan(L, -1, -2);
	shape->meta = luaL_ref(L, LUA_REGISTRYINDEX);
	shape->keys = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_lists_init(L, layout);
}

void event_shape_fini(lua_State *L, struct event_shape *shape)
{
	luaL_unref(L, LUA_REGISTRYINDEX, shape->meta);
	luaL_unref(L, LUA_REGISTRYINDEX, shape->keys);
	if (shape->layout)
		lua_lists_fini(L, shape->layout);
	shape->layout = NULL;
	shape->meta = shape->keys = LUA_NOREF;
}
