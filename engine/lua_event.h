/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_event.h - records as Lua sees them: a table per event, or its fields as arguments. */
#ifndef BPFNET_LUA_EVENT_H
#define BPFNET_LUA_EVENT_H

#include <lua.h>
#include "lua_pod.h"
#include "record.h"

/* What pushing events of one layout needs; in the registry from init to fini. */
struct event_shape {
	const struct layout *layout;
	int keys; /* registry: list of field names */
	int meta; /* registry: metatable of the event tables */
	struct pod_fields pod;
	bool pods; /* the tables have lua_pod_column(), too */
};

/*
 * raises for lack of memory. probe: name that events tell as ev.probe. pods: their tables are to say
 * whose container they are about, if they have what tells it.
 */
void event_shape_init(lua_State *L, struct event_shape *shape, const struct layout *layout,
		      const char *probe, bool pods);
/* While the layout is still there. */
void event_shape_fini(lua_State *L, struct event_shape *shape);
/* [-0, +1] a table that the script may keep. raises for lack of memory */
void event_push(lua_State *L, const struct event_shape *shape, const void *record);
/* [-0, +1] one field. raises for lack of memory */
void event_push_field(lua_State *L, const struct field *field, const void *record);
/*
 * [-0, +0] fills a zeroed record from the table at index.
 * 0, or -EINVAL: unknown field or wrong value.
 */
int event_pack(lua_State *L, int index, const struct layout *layout, void *record, struct err *err);
/* [-0, +1] a scalar as itself, a struct as a table without metatable */
void record_push(lua_State *L, const struct layout *layout, const void *record);
/* [-0, +0] the other way round */
int record_pack(lua_State *L, int index, const struct layout *layout, void *record,
		struct err *err);

#endif
