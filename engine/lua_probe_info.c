/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Of the class bpf.Probe: what it tells of itself. */
#include <lauxlib.h>
#include "loop.h"
#include "lua_probe.h"
#include "luax.h"
#include "points.h"
#include "script.h"
#include "util.h"

/* p:stats() -> {events=, dropped=, filtered=, ...}: struct probe_stats, and unread= */
int lprobe_stats(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:stats");
	struct probe_stats stats;
	const struct {
		const char *name;
		const uint64_t *value;
	} rows[] = {
		{ "events", &stats.events },       { "dropped", &stats.dropped },
		{ "filtered", &stats.filtered },   { "sampled", &stats.sampled },
		{ "limited", &stats.limited },     { "aggregated", &stats.aggregated },
		{ "untracked", &stats.untracked }, { "malformed", &stats.malformed },
		{ "unread", &lp->unread },         { "missed", &stats.missed },
	};

	probe_stats(lp->probe, &stats);
	lua_createtable(L, 0, ARRAY_SIZE(rows));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		lua_pushinteger(L, (lua_Integer)*rows[i].value);
		lua_setfield(L, -2, rows[i].name);
	}
	return 1;
}

/* p:background() -> p: events go on coming, but bpf.run() does not wait for them alone */
int lprobe_background(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:background");

	if (lp->held && !lp->background)
		loop_release(script_loop(lp->script));
	lp->background = true;
	lua_settop(L, 1);
	return 1;
}

static const char *state_name(const struct lprobe *lp)
{
	static const char *const names[] = { "open", "loaded", "attached" };

	return lp->probe && !lp->close_later ? names[probe_state(lp->probe)] : "closed";
}

int lprobe_tostring(lua_State *L)
{
	struct lprobe *lp = luaL_checkudata(L, 1, PROBE_CLASS);
	struct probe_stats stats = { 0 };

	if (!lp->probe || lp->close_later) {
		lua_pushliteral(L, "Probe (closed)");
		return 1;
	}
	probe_stats(lp->probe, &stats);
	lua_pushfstring(L, "Probe %s (%s, %I events)", probe_name(lp->probe), state_name(lp),
			(LUAI_UACINT)stats.events);
	return 1;
}

void lprobe_push_points(lua_State *L, const struct points *points)
{
	const struct point *p;

	lua_newtable(L);
	for (int i = 0; (p = points_get(points, i)); i++) {
		lua_createtable(L, 0, 7);
		luax_set_text(L, "name", p->name);
		luax_set_text(L, "group", p->group);
		lua_pushboolean(L, p->optional);
		lua_setfield(L, -2, "optional");
		lua_pushboolean(L, p->wanted);
		lua_setfield(L, -2, "wanted");
		if (*point_by_name(p->by))
			luax_set_text(L, "way", point_by_name(p->by));
		luax_set_text(L, "where", p->where);
		luax_set_text(L, "why", p->why);
		lua_rawseti(L, -2, i + 1);
	}
}

void lprobe_push_ways(lua_State *L, const struct ways *ways)
{
	lua_createtable(L, ways->n, 0);
	for (int i = 0; i < ways->n; i++) {
		const struct way_program *p = &ways->list[i];

		lua_createtable(L, 0, 6);
		luax_set_text(L, "program", p->name);
		luax_set_text(L, "what", p->what);
		luax_set_text(L, "way", p->way);
		luax_set_text(L, "hook", p->hook);
		luax_set_text(L, "loses", p->loses);
		lua_pushboolean(L, p->used);
		lua_setfield(L, -2, "used");
		lua_rawseti(L, -2, i + 1);
	}
}

/* p.name, p.state, p.fields, p.kept, p.maps, p.points, p.ways, and the methods */
int lprobe_index(lua_State *L)
{
	static const char *const others[] = { "name", "state", "fields", "maps", "points", NULL };
	struct lprobe *lp = luaL_checkudata(L, 1, PROBE_CLASS);
	const char *key = luaL_checkstring(L, 2);

	if (str_eq(key, "state")) {
		lua_pushstring(L, state_name(lp));
	} else if (str_eq(key, "name") && lp->probe) {
		lua_pushstring(L, probe_name(lp->probe));
	} else if (str_eq(key, "kept") && lp->probe) {
		lua_pushinteger(L, lprobe_kept(lp));
	} else if (str_eq(key, "maps") && lp->probe) {
		lprobe_push_maps(L);
	} else if (str_eq(key, "points") && lp->probe) {
		if (probe_points(lp->probe))
			lprobe_push_points(L, probe_points(lp->probe));
		else
			lua_pushnil(L);
	} else if (str_eq(key, "ways") && lp->probe) {
		lprobe_push_ways(L, probe_ways(lp->probe));
	} else if (str_eq(key, "fields") && lp->probe) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, lp->shape.keys);
	} else {
		luaL_getmetafield(L, 1, "methods");
		lua_pushvalue(L, 2);
		if (lua_rawget(L, -2) == LUA_TNIL)
			luax_no_member(L, "a Probe", key, -2, others);
	}
	return 1;
}
