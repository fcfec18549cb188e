/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bpf.probes(): what there is and what of it works on this kernel, found out by attaching it. */
#include <lauxlib.h>
#include "caps.h"
#include "lua_bpf.h"
#include "lua_probe.h"
#include "luax.h"
#include "probe.h"
#include "script.h"
#include "skels.h"
#include "tracer.h"
#include "util.h"

/* [-0, +1] the names that stand for an enum's numbers */
static void push_names(lua_State *L, const struct field *f)
{
	lua_createtable(L, f->nr_names, 0);
	for (int i = 0; i < f->nr_names; i++) {
		lua_pushstring(L, f->names[i].name);
		lua_rawseti(L, -2, i + 1);
	}
}

/* [-0, +1] { {name=, type=, doc=, optional=, values=, entry=}, ... } */
static void push_fields(lua_State *L, const struct layout *layout)
{
	lua_createtable(L, layout->nr_fields, 0);
	for (int i = 0; i < layout->nr_fields; i++) {
		const struct field *f = &layout->fields[i];

		lua_createtable(L, 0, 5);
		luax_set_text(L, "name", f->name);
		luax_set_text(L, "type", field_type_name(f));
		luax_set_text(L, "doc", f->doc);
		lua_pushboolean(L, field_can_be_nil(f));
		lua_setfield(L, -2, "optional");
		if (f->kind == FIELD_ENUM) {
			push_names(L, f);
			lua_setfield(L, -2, "values");
		} else if (f->kind == FIELD_LIST) {
			push_fields(L, f->entry);
			lua_setfield(L, -2, "entry");
		}
		lua_rawseti(L, -2, i + 1);
	}
}

/* [-0, +1] { "pid", ... } */
static void push_filters(lua_State *L, const struct filter_kinds *kinds)
{
	lua_createtable(L, kinds->n, 0);
	for (int i = 0; i < kinds->n; i++) {
		lua_pushstring(L, kinds->kind[i].name);
		lua_rawseti(L, -2, i + 1);
	}
	/* the first of these words is the kind itself */
	for (int i = 1; filter_kinds_pod(kinds) && filter_pod_word(i); i++) {
		lua_pushstring(L, filter_pod_word(i));
		lua_rawseti(L, -2, kinds->n + i);
	}
}

static void ignore(void *arg, const void *event)
{
	(void)arg;
	(void)event;
}

/* With points it is not attached: what there is of them is known, and hooking takes its time. */
static int try_probe(struct probe *p, struct err *err)
{
	return probe_points(p) ? caps_check(err) : probe_attach(p, err);
}

/* [-0, +1] Pushing can fail only for lack of memory, which ends the program and the probe with it. */
static void push_probe(lua_State *L, const char *name, bool try)
{
	struct probe_opts opts = { .buffer = 4096, .points = "all" };
	struct probe *p = NULL;
	struct err err;
	int rc = probe_open(&p, script_tracer(script_of(L)), name, &opts, ignore, NULL, &err);

	if (!rc && try)
		rc = try_probe(p, &err);
	lua_createtable(L, 0, 9);
	luax_set_text(L, "name", name);
	if (rc || try) {
		lua_pushboolean(L, !rc);
		lua_setfield(L, -2, "available");
	}
	if (rc)
		luax_set_text(L, "why", err.msg);
	if (p) {
		luax_set_text(L, "doc", probe_layout(p)->doc);
		push_fields(L, probe_layout(p));
		lua_setfield(L, -2, "fields");
		push_filters(L, probe_filter_kinds(p));
		lua_setfield(L, -2, "filters");
		lprobe_push_ways(L, probe_ways(p));
		lua_setfield(L, -2, "ways");
		if (probe_points(p)) {
			lprobe_push_points(L, probe_points(p));
			lua_setfield(L, -2, "points");
		}
	}
	probe_close(p);
}

/* The options `try`, true without it, and `name`, NULL without it; the text stays on the stack. [-0, +1] raises */
static const char *read_opts(lua_State *L, bool *try)
{
	static const char *const known[] = { "try", "name", NULL };

	*try = true;
	lua_settop(L, 1);
	if (lua_isnil(L, 1)) {
		lua_pushnil(L);
		return NULL;
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	luax_check_keys(L, 1, "bpf.probes", known);
	if (lua_getfield(L, 1, "try") != LUA_TNIL && !lua_isboolean(L, -1))
		luax_bad_option(L, "bpf.probes", "try", "true or false", -1);
	*try = lua_isnil(L, -1) || lua_toboolean(L, -1);
	lua_pop(L, 1);
	if (lua_getfield(L, 1, "name") != LUA_TNIL && lua_type(L, -1) != LUA_TSTRING)
		luax_bad_option(L, "bpf.probes", "name", "a probe's name", -1);
	return lua_tostring(L, -1);
}

/*
 * bpf.probes([{try=, name=}]) -> { {name=, doc=, available=, why=, fields=, filters=, ways=, points=}, ... }
 * name: that probe alone. try = false: nothing is loaded, so it takes a tenth of the time; then `available` is nil, or false for what can't be opened.
 */
int lua_probes(lua_State *L)
{
	bool try;
	const char *name = read_opts(L, &try);
	struct tracer *tracer = script_tracer(script_of(L));
	struct err err;
	/* the table of sockets once, not for each probe that needs it: letting go of it takes 100 ms and more */
	int n = 0, fd, shared = try && !name && !tracer_socks_get(tracer, NULL, &fd, &err);

	lua_newtable(L);
	for (const struct skel *s = skels; s->name; s++) {
		if (!skel_is_probe(s) || (name && !str_eq(name, s->name)))
			continue;
		push_probe(L, s->name, try);
		lua_rawseti(L, -2, ++n);
	}
	if (shared)
		tracer_socks_put(tracer);
	return 1;
}

/* bpf.probe_names() -> { "cgroups", ... }: what probes() has, without trying any */
int lua_probe_names(lua_State *L)
{
	int n = 0;

	lua_newtable(L);
	for (const struct skel *s = skels; s->name; s++) {
		if (!skel_is_probe(s))
			continue;
		lua_pushstring(L, s->name);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}
