/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * lua_json.h - JSON text from Lua values, with integers as they are.
 *
 * lua-cjson, which scripts have for everything else, writes integers as floats and so changes
 * cookies, cgroup ids and times above 2^53.
 */
#ifndef BPFNET_LUA_JSON_H
#define BPFNET_LUA_JSON_H

#include <lua.h>

/*
 * [-0, +1] Encodes the value at index. order: index of a list of keys that come first in the
 * outermost object, 0 for none; an event's own order counts without. raises for a value that has
 * no JSON form (function, userdata, a table within itself).
 */
void lua_json_push(lua_State *L, int index, int order);
/* bpf.json(value [, order]) -> string */
int lua_json(lua_State *L);

#endif
