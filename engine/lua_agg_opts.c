/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The options of bpf.aggregate() and of rows(). */
#include "lua_agg_priv.h"
#include "luax.h"
#include "util.h"

#define MOST_KEYS 10000000

static void check(lua_State *L, int rc, const struct err *err, const char *where)
{
	if (rc)
		luax_throw(L, err, where);
}

/* One field's name, which is on top; what < 0: into `by`. */
static void take_name(lua_State *L, struct agg_spec *spec, int what, const char *where,
		      const char *option)
{
	struct err err;
	int rc;

	if (lua_type(L, -1) != LUA_TSTRING)
		luax_bad_option(L, where, option, "the name of a field, or a list of names", -1);
	if (what < 0)
		rc = agg_spec_by(spec, lua_tostring(L, -1), &err);
	else
		rc = agg_spec_value(spec, (enum agg_what)what, lua_tostring(L, -1), &err);
	check(L, rc, &err, where);
}

static void take_names(lua_State *L, int index, struct agg_spec *spec, int what, const char *where)
{
	const char *option = what < 0 ? "by" : agg_what_name((enum agg_what)what);
	int type = lua_getfield(L, index, option);
	lua_Integer n;

	if (type != LUA_TTABLE) {
		if (type != LUA_TNIL)
			take_name(L, spec, what, where, option);
		lua_pop(L, 1);
		return;
	}
	n = (lua_Integer)lua_rawlen(L, -1);
	if (what >= 0) {
		if (!n)
			luax_bad_option(L, where, option, "the name of a field, or a list of names",
					-1);
		spec->columns[what].list = true;
	}
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, -1, i);
		take_name(L, spec, what, where, option);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* A whole number from 1 to most, or `other` if the option is not there. */
static uint32_t take_number(lua_State *L, int index, const char *option, lua_Integer most,
			    uint32_t other, const char *where)
{
	lua_Integer n = other;
	int ok = 1;

	if (lua_getfield(L, index, option) != LUA_TNIL) {
		n = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &ok) : 0;
		if (!ok || n < 1 || n > most)
			luaL_error(
				L,
				"%s: bad option \"%s\": expected an integer from 1 to %I, got %s",
				where, option, most, luaL_tolstring(L, -1, NULL));
	}
	lua_pop(L, 1);
	return (uint32_t)n;
}

static void take_sort(lua_State *L, int index, const struct agg_spec *spec, struct agg_sort *sort,
		      const char *where)
{
	struct err err;
	int type = lua_getfield(L, index, "sort");

	if (type == LUA_TSTRING)
		check(L, agg_spec_sort(spec, lua_tostring(L, -1), sort, &err), &err, where);
	else if (type != LUA_TNIL)
		luax_bad_option(L, where, "sort", "a string as \"count\" or \"sum\"", -1);
	lua_pop(L, 1);
}

void lua_agg_read_spec(lua_State *L, int index, const char *where, struct agg_spec *spec)
{
	static const char *const known[] = { "by",   "count", "sum",  "min",      "max", "avg",
					     "hist", "topk",  "sort", "max_keys", NULL };

	if (!lua_istable(L, index))
		luaL_error(L, "%s: expected a table of options, got %s", where,
			   luax_typename(L, index));
	luax_check_keys(L, index, where, known);
	agg_spec_init(spec);
	take_names(L, index, spec, -1, where);
	/* Every row has its count, so the option only says so. */
	if (lua_getfield(L, index, "count") != LUA_TNIL &&
	    !(lua_isboolean(L, -1) && lua_toboolean(L, -1)))
		luax_bad_option(L, where, "count", "true", -1);
	lua_pop(L, 1);
	for (int what = 0; what < AGG_WHATS; what++)
		take_names(L, index, spec, what, where);
	spec->top = take_number(L, index, "topk", MOST_KEYS, 0, where);
	spec->max_keys = take_number(L, index, "max_keys", MOST_KEYS, spec->max_keys, where);
	spec->sort = agg_spec_default_sort(spec);
	take_sort(L, index, spec, &spec->sort, where);
}

void lua_agg_read_view(lua_State *L, int index, const char *where, const struct agg_spec *spec,
		       struct agg_sort *sort, uint32_t *top)
{
	static const char *const known[] = { "top", "sort", NULL };

	*sort = spec->sort;
	*top = spec->top;
	if (lua_isnoneornil(L, index))
		return;
	if (!lua_istable(L, index))
		luaL_error(L, "%s: expected a table of options, got %s", where,
			   luax_typename(L, index));
	luax_check_keys(L, index, where, known);
	*top = take_number(L, index, "top", MOST_KEYS, *top, where);
	take_sort(L, index, spec, sort, where);
}
