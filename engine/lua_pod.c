/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <string.h>
#include <lauxlib.h>
#include "filter.h"
#include "lua_pod.h"
#include "util.h"

/* Of struct field only the name counts: they are in no record. */
static const struct field members[] = {
	{ .name = "pod" },     { .name = "namespace" }, { .name = "container" },
	{ .name = "image" },   { .name = "pod_uid" },   { .name = "runtime" },
	{ .name = "sidecar" },
};

/* Keys in the registry, by their addresses: functions of the modules. */
static const char of_key = 0, of_event_key = 0;

void pod_fields_find(struct pod_fields *pod, const struct layout *layout)
{
	pod->cgroup = layout_field(layout, "cgroup");
	pod->task_cgroup = layout_field(layout, "task_cgroup");
	pod->netns = layout_field(layout, "netns");
	pod->netns_cookie = layout_field(layout, "netns_cookie");
	/* what is no number of a size that ours have is somebody else's field */
	if (pod->cgroup && (pod->cgroup->kind != FIELD_UINT || pod->cgroup->size != 8))
		pod->cgroup = NULL;
}

uint64_t pod_fields_get(const struct field *field, const void *record)
{
	struct value value;

	if (!field || field->kind != FIELD_UINT)
		return 0;
	field_get(field, record, &value);
	return (uint64_t)value.i;
}

const struct field *lua_pod_field(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (str_eq(members[i].name, name))
			return &members[i];
	return NULL;
}

bool lua_pod_is_field(const struct field *field)
{
	return field >= members && field < members + ARRAY_SIZE(members);
}

const char *lua_pod_column(int i)
{
	static const char *const columns[] = { "pod", "namespace", "container", NULL };

	return columns[i];
}

/* [-0, +1] raises. A module's function; what is asked for each event is kept under key. */
static void push_function(lua_State *L, const char *module, const char *name, const void *key)
{
	if (key && lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TFUNCTION)
		return;
	if (key)
		lua_pop(L, 1);
	lua_getglobal(L, "require");
	lua_pushstring(L, module);
	lua_call(L, 1, 1);
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	if (!key)
		return;
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void lua_pod_start(lua_State *L)
{
	push_function(L, "bpfnet.pod", "start", NULL);
	lua_call(L, 0, 0);
}

/* [-0, +1] raises. pod.of(cgroup, task_cgroup, netns, netns_cookie) */
static void push_identity(lua_State *L, const struct pod_fields *pod, const void *record)
{
	push_function(L, "bpfnet.pod", "of", &of_key);
	lua_pushinteger(L, (lua_Integer)pod_fields_get(pod->cgroup, record));
	lua_pushinteger(L, (lua_Integer)pod_fields_get(pod->task_cgroup, record));
	lua_pushinteger(L, (lua_Integer)pod_fields_get(pod->netns, record));
	lua_pushinteger(L, (lua_Integer)pod_fields_get(pod->netns_cookie, record));
	lua_call(L, 4, 1);
}

void lua_pod_push(lua_State *L, const struct pod_fields *pod, const void *record,
		  const struct field *member)
{
	push_identity(L, pod, record);
	lua_getfield(L, -1, member->name);
	lua_remove(L, -2);
}

void lua_pod_set_columns(lua_State *L, const struct pod_fields *pod, const void *record, int index)
{
	index = lua_absindex(L, index);
	push_identity(L, pod, record);
	for (int i = 0; lua_pod_column(i); i++) {
		lua_pushstring(L, lua_pod_column(i));
		lua_getfield(L, -2, lua_pod_column(i));
		lua_rawset(L, index);
	}
	lua_pop(L, 1);
}

/* event.key, when the table has no such key: upvalue 1 has what all events have */
static int index_event(lua_State *L)
{
	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
		return 1;
	if (lua_type(L, 2) != LUA_TSTRING || !lua_pod_field(lua_tostring(L, 2)))
		return 1;
	push_function(L, "bpfnet.pod", "of_event", &of_event_key);
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	lua_pushvalue(L, 2);
	lua_gettable(L, -2);
	return 1;
}

void lua_pod_index(lua_State *L)
{
	lua_pushcclosure(L, index_event, 1);
}

bool lua_pod_asked(lua_State *L, int index)
{
	bool found = false;

	if (!lua_istable(L, index))
		return false;
	lua_pushnil(L);
	while (lua_next(L, index)) {
		found |= lua_type(L, -2) == LUA_TSTRING && filter_is_pod_word(lua_tostring(L, -2));
		lua_pop(L, 1);
	}
	return found;
}

void lua_pod_uids(lua_State *L, const char *name)
{
	push_function(L, "bpfnet.pod", "uids", NULL);
	lua_pushstring(L, name);
	lua_call(L, 1, 1);
}

/* Only a text that has a word in it is looked at more closely: most have none. */
static bool mentions_pods(const char *text)
{
	for (int i = 0; text && filter_pod_word(i); i++)
		if (strstr(text, filter_pod_word(i)))
			return true;
	return false;
}

/* [-0, +0] */
static bool asked_by(lua_State *L, int index)
{
	return lua_type(L, index) == LUA_TSTRING && mentions_pods(lua_tostring(L, index));
}

void lua_pod_where(lua_State *L, int index)
{
	bool asked;

	lua_getfield(L, index, "where");
	asked = asked_by(L, -1);
	lua_pop(L, 1);
	if (!asked)
		return;
	push_function(L, "bpfnet.pod_where", "options", NULL);
	lua_pushvalue(L, index);
	lua_call(L, 1, 1);
	lua_replace(L, index);
}

void lua_pod_refuse(lua_State *L, int index)
{
	if (!asked_by(L, index))
		return;
	push_function(L, "bpfnet.pod_where", "refuse", NULL);
	lua_pushvalue(L, index);
	lua_call(L, 1, 0);
}

void lua_pod_filter(lua_State *L, int self, int index)
{
	push_function(L, "bpfnet.pod_filter", "begin", NULL);
	lua_pushvalue(L, self);
	lua_pushvalue(L, index);
	lua_call(L, 2, 2);
}
