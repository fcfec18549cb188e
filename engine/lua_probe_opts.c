/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Of the class bpf.Probe: the options of bpf.attach() that are read before there is a probe. */
#include <string.h>
#include <lauxlib.h>
#include "lua_packets.h"
#include "lua_pod.h"
#include "lua_probe.h"
#include "luax.h"
#include "util.h"

/*
 * [-0, +1] The option `points`, a text or a list of texts, as one text with commas, or nil. raises
 */
static const char *read_points(lua_State *L, int index, const char *where)
{
	static const char expected[] = "names of points in a list, or with commas between";
	luaL_Buffer text;
	int list;

	if (lua_getfield(L, index, "points") == LUA_TNIL)
		return NULL;
	if (lua_type(L, -1) == LUA_TSTRING)
		return lua_tostring(L, -1);
	list = lua_gettop(L);
	if (!lua_istable(L, list) || !lua_rawlen(L, list))
		luax_bad_option(L, where, "points", expected, list);
	luaL_buffinit(L, &text);
	for (lua_Unsigned i = 1; i <= lua_rawlen(L, list); i++) {
		if (i > 1)
			luaL_addchar(&text, ',');
		if (lua_rawgeti(L, list, (lua_Integer)i) != LUA_TSTRING)
			luax_bad_option(L, where, "points", expected, -1);
		luaL_addvalue(&text);
	}
	luaL_pushresult(&text);
	lua_remove(L, list);
	return lua_tostring(L, -1);
}

void lprobe_read_opts(lua_State *L, int index, const char *where, struct probe_opts *opts)
{
	static const char *const known[] = { "filter",        "where", "pcap",   "threshold",
					     "sample",        "rate",  "fields", "buffer",
					     "latency",       "way",   "points", "pods",
					     LUA_PACKET_OPTS, NULL };

	memset(opts, 0, sizeof(*opts));
	if (!index) {
		lua_pushnil(L);
		return;
	}
	luax_check_keys(L, index, where, known);
	if (lua_getfield(L, index, "buffer") != LUA_TNIL) {
		if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) <= 0 ||
		    lua_tointeger(L, -1) > 1 << 30)
			luax_bad_option(L, where, "buffer", "bytes, from 1 to 2^30", -1);
		opts->buffer = (uint64_t)lua_tointeger(L, -1);
	}
	if (lua_getfield(L, index, "latency") != LUA_TNIL) {
		if (lua_type(L, -1) != LUA_TSTRING || !str_eq(lua_tostring(L, -1), "low"))
			luax_bad_option(L, where, "latency", "\"low\"", -1);
		opts->low_latency = true;
	}
	if (lua_getfield(L, index, "way") != LUA_TNIL) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luax_bad_option(L, where, "way", "the name of a way to hook", -1);
		opts->way = lua_tostring(L, -1);
	}
	lua_pop(L, 3);
	lua_packet_opts(L, index, where, opts);
	opts->points = read_points(L, index, where);
	if (!opts->points) {
		lua_pop(L, 1);
		opts->points = lua_packet_points(L, opts);
	}
}

bool lprobe_wants_pods(lua_State *L, int opts_index, const char *where)
{
	bool pods;

	if (!opts_index)
		return false;
	if (lua_getfield(L, opts_index, "pods") == LUA_TNIL) {
		lua_getfield(L, opts_index, "filter");
		pods = lua_pod_asked(L, lua_gettop(L));
		lua_pop(L, 2);
		return pods;
	}
	if (!lua_isboolean(L, -1))
		luax_bad_option(L, where, "pods", "true or false", -1);
	pods = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return pods;
}
