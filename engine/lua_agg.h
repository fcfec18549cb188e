/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_agg.h - the class bpf.Aggregate: bpf.aggregate{...}, and what a probe needs to fill one. */
#ifndef BPFNET_LUA_AGG_H
#define BPFNET_LUA_AGG_H

#include <lua.h>
#include <stdbool.h>
#include "agg.h"

struct agg_maps;
struct lagg_recent;

struct lagg {
	struct agg *agg; /* NULL: closed */
	struct agg_maps *maps; /* of an aggregation in the kernel, else NULL; freed with agg */
	struct lagg_recent *recent; /* rows that add() has found before, see lua_agg_add.c */
	bool reading; /* its rows are being made into tables */
};

/* [-0, +1] raises. A new, empty aggregation. Returns its table. */
struct agg *lua_agg_push(lua_State *L, const struct agg_spec *spec);
/* [-0, +1] raises. Makes one from the options table at index; `where` starts the messages. Returns 1. */
int lua_agg_from_options(lua_State *L, int index, const char *where);
/* raises unless an aggregation that is not closed is at index. [-0, +0] */
struct lagg *lua_agg_check(lua_State *L, int index);
/* bpf.aggregate(options) -> Aggregate; raises */
int lua_aggregate(lua_State *L);

#endif
