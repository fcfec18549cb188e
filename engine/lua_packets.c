/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <lauxlib.h>
#include "lua_packets.h"
#include "luax.h"
#include "util.h"

#define MAX_SECONDS 3600.0

/* A boolean, false if it is not there. */
static bool flag(lua_State *L, int index, const char *name, const char *where)
{
	bool set;

	if (lua_getfield(L, index, name) != LUA_TNIL && !lua_isboolean(L, -1))
		luax_bad_option(L, where, name, "true or false", -1);
	set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

/* Seconds as nanoseconds, 0 if it is not there. */
static uint64_t seconds(lua_State *L, int index, const char *name, const char *where)
{
	double s = 0;

	if (lua_getfield(L, index, name) != LUA_TNIL) {
		s = lua_tonumber(L, -1);
		if (lua_type(L, -1) != LUA_TNUMBER || !(s > 0 && s <= MAX_SECONDS))
			luax_bad_option(L, where, name, "seconds above 0, at most 3600", -1);
	}
	lua_pop(L, 1);
	return (uint64_t)(s * (double)NSEC_PER_SEC);
}

/* {"ip_rcv", "sock_read"} at index: one pair */
static void read_pair(lua_State *L, int index, const char *where, struct packet_opts *opts)
{
	for (int end = 0; end < 2; end++) {
		if (!lua_istable(L, index) || luaL_len(L, index) != 2 ||
		    lua_geti(L, index, end + 1) != LUA_TSTRING)
			luax_bad_option(L, where, "between",
					"pairs of points like {{\"ip_rcv\", \"sock_read\"}}",
					index);
		opts->spans[opts->nr_spans][end] = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	opts->nr_spans++;
}

static void read_between(lua_State *L, int index, const char *where, struct packet_opts *opts)
{
	int first = lua_istable(L, index) ? lua_geti(L, index, 1) : LUA_TNIL, n;

	if (first == LUA_TSTRING) {
		read_pair(L, index, where, opts);
		return;
	}
	n = lua_istable(L, index) ? (int)luaL_len(L, index) : 0;
	if (n < 1 || n > PACKET_SPANS)
		luax_bad_option(L, where, "between",
				"1 to 8 pairs of points like {{\"ip_rcv\", \"sock_read\"}}", index);
	for (int i = 1; i <= n; i++) {
		lua_geti(L, index, i);
		read_pair(L, lua_gettop(L), where, opts);
		lua_pop(L, 1);
	}
}

void lua_packet_opts(lua_State *L, int index, const char *where, struct probe_opts *opts)
{
	int top = lua_gettop(L);
	bool paths = flag(L, index, "paths", where) || flag(L, index, "dropped", where) ||
		     seconds(L, index, "slower_than", where);

	opts->packets.stack = flag(L, index, "stack", where);
	opts->timeout_ns = seconds(L, index, "timeout", where);
	if (lua_getfield(L, index, "between") != LUA_TNIL) {
		if (paths)
			luaL_error(L, "%s: the options \"between\" and \"paths\" are two modes",
				   where);
		read_between(L, top + 1, where, &opts->packets);
		opts->mode = "span";
	}
	if (paths)
		opts->mode = "path";
	lua_settop(L, top);
}

const char *lua_packet_points(lua_State *L, const struct probe_opts *opts)
{
	const struct packet_opts *packets = &opts->packets;
	luaL_Buffer text;

	if (!packets->nr_spans) {
		lua_pushnil(L);
		return NULL;
	}
	luaL_buffinit(L, &text);
	for (int i = 0; i < packets->nr_spans; i++) {
		if (i)
			luaL_addchar(&text, ',');
		luaL_addstring(&text, packets->spans[i][0]);
		luaL_addchar(&text, ',');
		luaL_addstring(&text, packets->spans[i][1]);
	}
	luaL_pushresult(&text);
	return lua_tostring(L, -1);
}

void lua_packet_threshold(lua_State *L, struct lprobe *lp, int index, const char *where)
{
	uint64_t slow_ns = seconds(L, index, "slower_than", where);
	bool dropped = flag(L, index, "dropped", where);
	char text[96];
	struct err err;

	if (!slow_ns && !dropped)
		return;
	if (probe_threshold(lp->probe))
		luaL_error(L,
			   "%s: \"slower_than\" and \"dropped\" are thresholds: write both in "
			   "\"threshold\"",
			   where);
	snprintf(text, sizeof(text), "%s%s", dropped ? "ended == \"dropped\"" : "",
		 dropped && slow_ns ? " or " : "");
	if (slow_ns)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "duration_ns > %llu",
			 (unsigned long long)slow_ns);
	if (probe_set_threshold(lp->probe, text, &err))
		luax_throw(L, &err, where);
}
