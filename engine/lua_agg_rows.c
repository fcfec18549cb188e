/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Rows as Lua tables, and as text. */
#include <math.h>
#include <stdio.h>
#include "lua_agg_priv.h"
#include "luax.h"
#include "util.h"

#define TEXT_ROWS 20

/* An integer if it is one to Lua, else the nearest number. [-0, +1] */
static void push_int(lua_State *L, agg_int i)
{
	if (i >= INT64_MIN && i <= INT64_MAX)
		lua_pushinteger(L, (lua_Integer)i);
	else
		lua_pushnumber(L, (lua_Number)i);
}

/* [-0, +1] */
static void push_sum(lua_State *L, const struct agg_cell *cell)
{
	if (cell->real != 0)
		lua_pushnumber(L, (lua_Number)cell->sum + cell->real);
	else
		push_int(L, cell->sum);
}

/* bpfnet.hist's function that makes one from its parts; loaded with the first that is needed. [-0, +1] */
static void push_maker(lua_State *L)
{
	static const char key = 0;

	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TFUNCTION)
		return;
	lua_pop(L, 1);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "bpfnet.hist");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "of");
	lua_remove(L, -2);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

/* A bpfnet.hist. Its min and max are known if the row keeps them. [-0, +1] */
static void push_hist(lua_State *L, const struct agg_field *field, const struct agg_cell *cell)
{
	struct hist_pos pos = { 0 };
	uint64_t n;
	int bucket;

	push_maker(L);
	lua_createtable(L, 0, 7);
	lua_pushstring(L, hist_unit_name(field->unit));
	lua_setfield(L, -2, "unit");
	lua_pushinteger(L, (lua_Integer)hist_count(&cell->hist));
	lua_setfield(L, -2, "count");
	push_sum(L, cell);
	lua_setfield(L, -2, "sum");
	lua_pushinteger(L, (lua_Integer)cell->hist.zeros);
	lua_setfield(L, -2, "zeros");
	if (cell->n && field->whats & 1U << AGG_MIN) {
		push_int(L, cell->min);
		lua_setfield(L, -2, "min");
	}
	if (cell->n && field->whats & 1U << AGG_MAX) {
		push_int(L, cell->max);
		lua_setfield(L, -2, "max");
	}
	lua_newtable(L);
	while (hist_next(&cell->hist, &pos, &bucket, &n)) {
		lua_pushinteger(L, (lua_Integer)n);
		lua_rawseti(L, -2, bucket);
	}
	lua_setfield(L, -2, "buckets");
	lua_call(L, 1, 1);
}

/* [-0, +1] */
static void push_column(lua_State *L, enum agg_what what, const struct agg_field *field,
			const struct agg_cell *cell)
{
	if (what == AGG_HIST)
		push_hist(L, field, cell);
	else if (what == AGG_SUM)
		push_sum(L, cell);
	else if (!cell->n)
		lua_pushnil(L);
	else if (what == AGG_AVG)
		lua_pushnumber(L, ((lua_Number)cell->sum + cell->real) / (lua_Number)cell->n);
	else
		push_int(L, what == AGG_MIN ? cell->min : cell->max);
}

/* row[what] = value, or a table of them by the field's name; the row is on top. [-0, +0] */
static void set_columns(lua_State *L, const struct agg_spec *spec, enum agg_what what,
			const struct agg_row *row)
{
	const struct agg_columns *columns = &spec->columns[what];

	if (!columns->n)
		return;
	if (columns->list)
		lua_createtable(L, 0, columns->n);
	for (int i = 0; i < columns->n; i++) {
		const struct agg_field *field = &spec->values[columns->value[i]];

		push_column(L, what, field, &row->cells[columns->value[i]]);
		if (columns->list)
			lua_setfield(L, -2, field->name);
	}
	lua_setfield(L, -2, agg_what_name(what));
}

/* [-0, +1] */
static void push_row(lua_State *L, const struct agg *agg, const struct agg_row *row)
{
	const struct agg_spec *spec = agg_get_spec(agg);
	struct value value;
	uint32_t pos = 0;

	luaL_checkstack(L, 10, "row");
	lua_createtable(L, 0, spec->nr_by + 1 + AGG_WHATS);
	for (int i = 0; i < spec->nr_by && row->key_len; i++) {
		agg_row_cell(agg, row, &pos, &value);
		luax_push_value(L, &value);
		lua_setfield(L, -2, spec->by[i]);
	}
	lua_pushinteger(L, (lua_Integer)row->count);
	lua_setfield(L, -2, "count");
	for (int what = 0; what < AGG_WHATS; what++)
		set_columns(L, spec, (enum agg_what)what, row);
}

/* (view, agg) -> list of rows */
static int make_rows(lua_State *L)
{
	const struct agg_view *view = lua_touserdata(L, 1);
	const struct agg *agg = lua_touserdata(L, 2);

	lua_createtable(L, (int)view->n, 1);
	for (uint32_t i = 0; i < view->n; i++) {
		push_row(L, agg, view->rows[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	if (view->other->count) {
		push_row(L, agg, view->other);
		lua_setfield(L, -2, "other");
	}
	return 1;
}

/* Adds " NAME=VALUE" with the value that is on top. [-1, +0] */
static void add_pair(luaL_Buffer *b, const char *name, const char *field)
{
	lua_State *L = b->L;

	lua_pushfstring(L, " %s%s%s=%s", name, *field ? "." : "", field,
			luaL_tolstring(L, -1, NULL));
	lua_replace(L, -3);
	lua_pop(L, 1);
	luaL_addvalue(b);
}

static void add_quantiles(luaL_Buffer *b, const struct agg_field *field, const struct hist *hist)
{
	static const struct {
		const char *name;
		double q;
	} shown[] = { { "p50", 0.5 }, { "p99", 0.99 } };

	for (size_t i = 0; i < ARRAY_SIZE(shown) && hist_count(hist); i++) {
		lua_pushinteger(b->L, (lua_Integer)round(hist_quantile(hist, field->unit,
								       shown[i].q, 0, INFINITY)));
		add_pair(b, shown[i].name, field->name);
	}
}

static void add_columns(luaL_Buffer *b, const struct agg_spec *spec, const struct agg_row *row)
{
	for (int what = 0; what < AGG_WHATS; what++) {
		const struct agg_columns *columns = &spec->columns[what];

		for (int i = 0; i < columns->n; i++) {
			const struct agg_field *field = &spec->values[columns->value[i]];
			const struct agg_cell *cell = &row->cells[columns->value[i]];

			if (what == AGG_HIST) {
				add_quantiles(b, field, &cell->hist);
				continue;
			}
			push_column(b->L, (enum agg_what)what, field, cell);
			add_pair(b, agg_what_name((enum agg_what)what), field->name);
		}
	}
}

/* "\n  comm=curl daddr=10.0.0.1 count=3 sum.tx_bytes=17" */
static void add_row(luaL_Buffer *b, const struct agg *agg, const struct agg_row *row)
{
	const struct agg_spec *spec = agg_get_spec(agg);
	struct value value;
	uint32_t pos = 0;

	luaL_addstring(b, "\n ");
	for (int i = 0; i < spec->nr_by && row->key_len; i++) {
		agg_row_cell(agg, row, &pos, &value);
		luax_push_value(b->L, &value);
		add_pair(b, spec->by[i], "");
	}
	if (!row->key_len && spec->nr_by)
		luaL_addstring(b, " (other)");
	lua_pushinteger(b->L, (lua_Integer)row->count);
	add_pair(b, "count", "");
	add_columns(b, spec, row);
}

/* (view, agg) -> text */
static int make_text(lua_State *L)
{
	const struct agg_view *view = lua_touserdata(L, 1);
	const struct agg *agg = lua_touserdata(L, 2);
	const struct agg_spec *spec = agg_get_spec(agg);
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	luaL_addstring(&b, "Aggregate");
	for (int i = 0; i < spec->nr_by; i++) {
		luaL_addstring(&b, i ? ", " : " by ");
		luaL_addstring(&b, spec->by[i]);
	}
	lua_pushfstring(L, ": %I keys", (LUAI_UACINT)agg_keys(agg));
	luaL_addvalue(&b);
	for (uint32_t i = 0; i < view->n; i++)
		add_row(&b, agg, view->rows[i]);
	if (view->other->count)
		add_row(&b, agg, view->other);
	luaL_pushresult(&b);
	return 1;
}

/* (row, agg) -> row */
static int make_row(lua_State *L)
{
	push_row(L, lua_touserdata(L, 2), lua_touserdata(L, 1));
	return 1;
}

/*
 * Making tables may run the collector, and that finalizers which call this very object: `reading`
 * keeps them from taking away the rows, also when memory runs out half way. [-0, +1]
 */
static void make_guarded(lua_State *L, struct lagg *a, lua_CFunction make, const void *from)
{
	int rc;

	luaL_checkstack(L, 4, "rows");
	a->reading = true;
	lua_pushcfunction(L, make);
	lua_pushlightuserdata(L, (void *)from);
	lua_pushlightuserdata(L, a->agg);
	rc = lua_pcall(L, 2, 1, 0);
	a->reading = false;
	if (rc != LUA_OK)
		lua_error(L);
}

void lua_agg_push_row(lua_State *L, struct lagg *a, const struct agg_row *row)
{
	make_guarded(L, a, make_row, row);
}

void lua_agg_push_rows(lua_State *L, struct lagg *a, const char *where)
{
	struct agg_sort sort;
	struct agg_view view;
	uint32_t top;

	lua_agg_read_view(L, 2, where, agg_get_spec(a->agg), &sort, &top);
	if (agg_view(a->agg, &sort, top, &view))
		luaL_error(L, "%s: out of memory", where);
	make_guarded(L, a, make_rows, &view);
}

void lua_agg_push_text(lua_State *L, struct lagg *a)
{
	const struct agg_spec *spec = agg_get_spec(a->agg);
	uint32_t top = spec->top && spec->top < TEXT_ROWS ? spec->top : TEXT_ROWS;
	struct agg_view view;

	if (agg_view(a->agg, &spec->sort, top, &view))
		luaL_error(L, "tostring: out of memory");
	make_guarded(L, a, make_text, &view);
}
