/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Of the class bpf.Probe: what is decided about events in the kernel (stage.h). */
#include <errno.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "log.h"
#include "lua_agg.h"
#include "lua_pod.h"
#include "lua_probe.h"
#include "luax.h"
#include "script.h"
#include "util.h"

#define MAX_RATE 1000000000

/* An option that is a text, and the method of its name that changes it. */
struct text_option {
	const char *name;
	const char *example;
	const char *method;
	int (*set)(struct probe *probe, const char *text, struct err *err);
	const char *(*get)(const struct probe *probe);
};

static const struct text_option opt_where = { "where", "text like \"dport == 80\"", "probe:where",
					      probe_set_where, probe_where };
static const struct text_option opt_threshold = { "threshold", "text like \"dport == 80\"",
						  "probe:threshold", probe_set_threshold,
						  probe_threshold };
static const struct text_option opt_pcap = { "pcap", "text like \"tcp port 80\"", "probe:pcap",
					     probe_set_pcap, probe_pcap };

/* Text at index; "" and nil: none. */
static void set_text(lua_State *L, struct lprobe *lp, int index, const struct text_option *opt,
		     const char *where)
{
	const char *text = NULL;
	struct err err;
	size_t len;

	if (!lua_isnil(L, index)) {
		if (lua_type(L, index) != LUA_TSTRING)
			luax_bad_option(L, where, opt->name, opt->example, index);
		text = lua_tolstring(L, index, &len);
		if (strlen(text) != len)
			luaL_error(L, "%s: bad option \"%s\": a NUL byte in the text", where,
				   opt->name);
	}
	if (opt->set(lp->probe, text && *text ? text : NULL, &err)) {
		err_prefix(&err, "probe '%s'", probe_name(lp->probe));
		luax_throw(L, &err, where);
	}
}

static void need_packets(lua_State *L, struct lprobe *lp, const char *where)
{
	struct err err;

	if (probe_has_packets(lp->probe))
		return;
	err_set(&err, -EINVAL, "probe '%s' has no packets: the option \"pcap\" is for podnet",
		probe_name(lp->probe));
	luax_throw(L, &err, where);
}

static void set_sample(lua_State *L, struct lprobe *lp, int index, const char *where)
{
	lua_Number part = lua_tonumber(L, index);
	struct err err;

	if (lua_type(L, index) != LUA_TNUMBER || !(part > 0 && part <= 1))
		luax_bad_option(L, where, "sample", "a number above 0, at most 1", index);
	if (probe_set_sample(lp->probe, part, &err)) {
		err_prefix(&err, "probe '%s': sample", probe_name(lp->probe));
		luax_throw(L, &err, where);
	}
}

/* The names in rate.by; they stay in Lua. Returns how many. */
static int read_by(lua_State *L, int index, const char **by, const char *where)
{
	int n;

	if (lua_type(L, index) == LUA_TSTRING) {
		by[0] = lua_tostring(L, index);
		return 1;
	}
	if (!lua_istable(L, index) || luaL_len(L, index) > STAGE_MAX_BY)
		luax_bad_option(L, where, "rate.by", "a list of up to 8 field names", index);
	n = (int)luaL_len(L, index);
	for (int i = 0; i < n; i++) {
		if (lua_geti(L, index, i + 1) != LUA_TSTRING)
			luax_bad_option(L, where, "rate.by", "a list of field names", -1);
		by[i] = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	return n;
}

/* rate = 1000, or {1000, by = {"comm"}} */
static void set_rate(lua_State *L, struct lprobe *lp, int index, const char *where)
{
	static const char *const known[] = { "by", NULL };
	const char *by[STAGE_MAX_BY];
	int n = 0, top = lua_gettop(L);
	struct err err;

	if (lua_istable(L, index)) {
		lua_geti(L, index, 1);
		if (lua_getfield(L, index, "by") != LUA_TNIL)
			n = read_by(L, top + 2, by, where);
		for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
			if (lua_type(L, -2) == LUA_TSTRING && !str_eq(lua_tostring(L, -2), "by"))
				luax_no_option(L, where, lua_tostring(L, -2), known);
	} else {
		lua_pushvalue(L, index);
	}
	if (!lua_isinteger(L, top + 1) || lua_tointeger(L, top + 1) < 1 ||
	    lua_tointeger(L, top + 1) > MAX_RATE)
		luax_bad_option(L, where, "rate",
				"events per second like 1000, or {1000, by = {\"comm\"}}", top + 1);
	if (probe_set_rate(lp->probe, (uint32_t)lua_tointeger(L, top + 1), by, n, &err)) {
		err_prefix(&err, "probe '%s'", probe_name(lp->probe));
		luax_throw(L, &err, where);
	}
	lua_settop(L, top);
}

/*
 * The aggregations in the list that are still open into C: a list that has lost its closed ones.
 * Events are sent only if somebody waits for them.
 */
static int set_aggs(lua_State *L, struct lprobe *lp, struct err *err)
{
	bool waits = lp->handler.function != LUA_NOREF || lprobe_has_taps(lp) ||
		     lp->queue != LUA_NOREF;
	struct agg_maps *maps[STAGE_MAX_AGGS + 1];
	int n = 0, open = 0;

	lua_rawgeti(L, LUA_REGISTRYINDEX, lp->aggs);
	n = (int)lua_rawlen(L, -1);
	for (int i = 1; i <= n; i++) {
		struct lagg *a;

		lua_rawgeti(L, -1, i);
		a = lua_touserdata(L, -1);
		if (!a->agg) {
			lua_pop(L, 1);
			continue;
		}
		if (open <= STAGE_MAX_AGGS)
			maps[open] = a->maps;
		lua_rawseti(L, -2, ++open);
	}
	for (int i = open + 1; i <= n; i++) {
		lua_pushnil(L);
		lua_rawseti(L, -2, i);
	}
	lua_pop(L, 1);
	return probe_set_aggs(lp->probe, maps, open, open && !waits, err);
}

void lprobe_drop_closed_aggs(lua_State *L, struct lprobe *lp)
{
	struct err err;

	/* What can't be done now is tried again by the next change. */
	if (lp->aggs != LUA_NOREF && lua_checkstack(L, 4) && set_aggs(L, lp, &err))
		log_msg(LOG_DEBUG, "probe '%s': %s", probe_name(lp->probe), err.msg);
}

void lprobe_update_aggs(lua_State *L, struct lprobe *lp, const char *where)
{
	struct err err;

	if (lp->aggs != LUA_NOREF && set_aggs(L, lp, &err))
		luax_throw(L, &err, where);
}

/* p:aggregate{by = {...}, hist = ...} -> Aggregate that the kernel fills from now on */
int lprobe_aggregate(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:aggregate");
	struct lagg *a;
	lua_Integer last;
	struct err err;

	luax_expect(L, 2, LUA_TTABLE, "probe:aggregate", "a table of options");
	lua_settop(L, 2);
	lua_agg_from_options(L, 2, "probe:aggregate"); /* 3 */
	a = lua_agg_check(L, 3);
	if (probe_aggregate(lp->probe, a->agg, &a->maps, &err)) {
		err_prefix(&err, "probe '%s'", probe_name(lp->probe));
		luax_throw(L, &err, "probe:aggregate");
	}
	if (lp->aggs == LUA_NOREF) {
		lua_newtable(L);
		lp->aggs = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, lp->aggs); /* 4 */
	last = (lua_Integer)lua_rawlen(L, 4) + 1;
	lua_pushvalue(L, 3);
	lua_rawseti(L, 4, last);
	if (set_aggs(L, lp, &err)) {
		lua_pushnil(L);
		lua_rawseti(L, 4, last);
		luax_throw(L, &err, "probe:aggregate");
	}
	lua_settop(L, 3);
	return 1;
}

void lprobe_set_stage(lua_State *L, struct lprobe *lp, int opts, const char *where)
{
	if (lua_getfield(L, opts, "pcap") != LUA_TNIL) {
		need_packets(L, lp, where);
		set_text(L, lp, lua_gettop(L), &opt_pcap, where);
	}
	if (lua_getfield(L, opts, "where") != LUA_TNIL)
		set_text(L, lp, lua_gettop(L), &opt_where, where);
	if (lua_getfield(L, opts, "threshold") != LUA_TNIL)
		set_text(L, lp, lua_gettop(L), &opt_threshold, where);
	if (lua_getfield(L, opts, "sample") != LUA_TNIL)
		set_sample(L, lp, lua_gettop(L), where);
	if (lua_getfield(L, opts, "rate") != LUA_TNIL)
		set_rate(L, lp, lua_gettop(L), where);
	lua_pop(L, 5);
}

/* The text in force, after another has been put in its place if there is an argument. */
static int text_in_force(lua_State *L, const struct text_option *opt)
{
	struct lprobe *lp = lprobe_check(L, opt->method);

	if (lua_gettop(L) > 1) {
		if (opt == &opt_where)
			lua_pod_refuse(L, 2);
		set_text(L, lp, 2, opt, opt->method);
	}
	lua_pushstring(L, opt->get(lp->probe));
	return 1;
}

/* p:where() -> text or nil; p:where(text) puts it in force; p:where("") lets all pass */
int lprobe_where(lua_State *L)
{
	return text_in_force(L, &opt_where);
}

/* p:threshold([text]) -> text or nil: likewise for what is sent */
int lprobe_threshold(lua_State *L)
{
	return text_in_force(L, &opt_threshold);
}

/* p:pcap([text]) -> text or nil: likewise for the packets that are followed */
int lprobe_pcap(lua_State *L)
{
	need_packets(L, lprobe_check(L, opt_pcap.method), opt_pcap.method);
	return text_in_force(L, &opt_pcap);
}

/* p:sample(part) -> p */
int lprobe_sample(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:sample");

	if (lua_isnone(L, 2))
		luaL_error(L, "probe:sample: expected a number above 0, at most 1, got nothing");
	set_sample(L, lp, 2, "probe:sample");
	lua_settop(L, 1);
	return 1;
}

/* p:rate(n) or p:rate{n, by = {...}} -> p; p:rate(nil) ends the limit */
int lprobe_rate(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:rate");
	struct err err;

	lua_settop(L, 2);
	if (!lua_isnil(L, 2))
		set_rate(L, lp, 2, "probe:rate");
	else if (probe_set_rate(lp->probe, 0, NULL, 0, &err))
		luax_throw(L, &err, "probe:rate");
	lua_settop(L, 1);
	return 1;
}
