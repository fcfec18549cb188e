/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_list.h - fields that are lists: Lua lists of tables, or of values if entries are no structs. */
#ifndef BPFNET_LUA_LIST_H
#define BPFNET_LUA_LIST_H

#include <lua.h>
#include <stdbool.h>
#include "record.h"

/*
 * Names and metatables of a layout's lists, in the registry from init to fini: with them lists are
 * made faster, print() shows their entries, and JSON keeps the order of fields. raises for lack of
 * memory
 */
void lua_lists_init(lua_State *L, const struct layout *layout);
void lua_lists_fini(lua_State *L, const struct layout *layout);
/* [-0, +1] raises for lack of memory */
void lua_list_push(lua_State *L, const struct field *list, const void *record);
/* [-0, +0] the list on top into a zeroed record, and its length. 0, or -EINVAL: what is wrong. */
int lua_list_pack(lua_State *L, const struct field *list, void *record, struct err *err);
/* Whether the table at index is a list that was pushed, also if it is empty. [-0, +0] */
bool lua_is_list(lua_State *L, int index);

#endif
