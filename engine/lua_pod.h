/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * lua_pod.h - whose container an event is about, as members of the event: ev.pod, ev.container, ...
 *
 * Names are known to the Lua module bpfnet.pod; this unit asks it, with the numbers that the event has.
 */
#ifndef BPFNET_LUA_POD_H
#define BPFNET_LUA_POD_H

#include <stdbool.h>
#include <lua.h>
#include "record.h"

/* Where an event says whose it is; NULL what it does not say. */
struct pod_fields {
	const struct field *cgroup; /* NULL: the event says nothing, nothing below is of use */
	const struct field *task_cgroup;
	const struct field *netns;
	const struct field *netns_cookie;
};

void pod_fields_find(struct pod_fields *pod, const struct layout *layout);
/* The number in an event's field; 0 if there is none. */
uint64_t pod_fields_get(const struct field *field, const void *record);

/* The member of that name as a field that no record has; NULL: there is none. */
const struct field *lua_pod_field(const char *name);
bool lua_pod_is_field(const struct field *field);
/* Those that the option `pods` puts into event tables; NULL behind the last one. */
const char *lua_pod_column(int i);

/* raises. From now on containers are watched, so that what comes next has a name. [-0, +0] */
void lua_pod_start(lua_State *L);
/* raises. [-0, +1] one member of an event's identity */
void lua_pod_push(lua_State *L, const struct pod_fields *pod, const void *record,
		  const struct field *member);
/* raises. Sets lua_pod_column() in the event's table at index. [-0, +0] */
void lua_pod_set_columns(lua_State *L, const struct pod_fields *pod, const void *record, int index);
/*
 * [-1, +1] raises for lack of memory. Makes the table on top, which an event's metatable had as __index,
 * a function that also knows the members of its identity.
 */
void lua_pod_index(lua_State *L);

/* [-0, +1] raises if there is none. The list of uids of the pods that a name means now. */
void lua_pod_uids(lua_State *L, const char *name);
/*
 * [-0, +0] raises if it can't be done. In the place of the options at index comes a copy in which what `where`
 * asks of containers is a filter; nothing happens if it asks nothing.
 */
void lua_pod_where(lua_State *L, int index);
/* [-0, +0] raises if the text at index, for `where` of a probe that has its filter, asks for containers. */
void lua_pod_refuse(lua_State *L, int index);
/* [-0, +0] Has the filter at index, if it is a table, a word for bpfnet.pod? */
bool lua_pod_asked(lua_State *L, int index);
/*
 * [-0, +2] raises if the words of the filter at index mean nothing. For the Probe at index `self`: the table
 * of verdicts, which is kept up to date through probe:_verdict(), and the function that judges an event
 * whose cgroup is not in there.
 */
void lua_pod_filter(lua_State *L, int self, int index);

#endif
