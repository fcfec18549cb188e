/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_json_event.h - JSON of events: tables whose keys are known beforehand, and their order. */
#ifndef BPFNET_LUA_JSON_EVENT_H
#define BPFNET_LUA_JSON_EVENT_H

#include <stdbool.h>
#include <lua.h>
#include "lua_json_text.h"

/* [-0, +0] Prepares the JSON of tables with the metatable at `meta`, of the keys listed at `keys`. */
void json_plan(lua_State *L, int meta, int keys);
/*
 * [-0, +0] False: the table at index has no such metatable, or more in it than plain fields, and
 * nothing was written.
 */
bool json_add_event(struct json_text *t, lua_State *L, int index);

#endif
