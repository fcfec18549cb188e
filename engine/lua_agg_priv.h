/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_agg_priv.h - what the files of lua_agg share. */
#ifndef BPFNET_LUA_AGG_PRIV_H
#define BPFNET_LUA_AGG_PRIV_H

#include "lua_agg.h"

#define LUA_AGG_SELF 1 /* upvalue of the methods: their object */

/* The object that the method was called on: no other than the one it belongs to. raises */
struct lagg *lua_agg_self(lua_State *L, const char *where);
/* raises if it is closed; returns it. */
struct lagg *lua_agg_open(lua_State *L, struct lagg *a, const char *where);
/* agg:add(by..., values...), agg:add(event) */
int lua_agg_add(lua_State *L);
/* agg:adder() -> function that is called as agg:add is, without agg */
int lua_agg_adder(lua_State *L);
/* raises. From the options table at index to a spec. [-0, +0] */
void lua_agg_read_spec(lua_State *L, int index, const char *where, struct agg_spec *spec);
/* raises. rows()'s own options, at index; nothing there: as the aggregation has them. [-0, +0] */
void lua_agg_read_view(lua_State *L, int index, const char *where, const struct agg_spec *spec,
		       struct agg_sort *sort, uint32_t *top);
/* raises. "where: expected `want` WHAT (the fields' names), got n" */
int lua_agg_wrong_count(lua_State *L, const char *where, const char *what, int n, int want);
/* raises. One part of a key, from the stack, for the field `name`. [-0, +0] */
void lua_agg_take_cell(lua_State *L, int index, struct agg_key *key, const char *where,
		       const char *name);
/* raises. A value that is added, from the stack. [-0, +0] */
void lua_agg_take_value(lua_State *L, int index, const struct agg_field *field,
			struct agg_value *value);
/* raises. agg at 1, options at 2: pushes the list of rows. [-0, +1] */
void lua_agg_push_rows(lua_State *L, struct lagg *a, const char *where);
/* raises. [-0, +1] */
void lua_agg_push_row(lua_State *L, struct lagg *a, const struct agg_row *row);
/* raises. The first rows as text. [-0, +1] */
void lua_agg_push_text(lua_State *L, struct lagg *a);
/* raises. What the kernel has counted comes into the table. */
void lua_agg_sync(lua_State *L, struct lagg *a, const char *where);

#endif
