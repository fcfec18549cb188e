/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The table of rows by itself, and the mistakes that bpf.aggregate() tells. */
#include <errno.h>
#include "agg.h"
#include "lua_run.h"
#include "util.h"

static struct agg_spec spec;
static struct agg *agg;
static struct err err;

static void start(const char *by, const char *const *values, uint32_t max_keys)
{
	agg_spec_init(&spec);
	CHECK_INT(agg_spec_by(&spec, by, &err), 0);
	for (int what = 0; what < AGG_WHATS; what++)
		if (values[what])
			CHECK_INT(agg_spec_value(&spec, (enum agg_what)what, values[what], &err),
				  0);
	spec.max_keys = max_keys;
	spec.sort = agg_spec_default_sort(&spec);
	CHECK_INT(agg_new(&agg, &spec, &err), 0);
}

static const char *const all[AGG_WHATS] = { "v", "v", "v", "v", "v" };

static void add(int64_t key, int64_t v)
{
	struct agg_value value = { AGG_INT, v, 0 };
	struct agg_key k;

	agg_key_start(&k);
	agg_key_int(&k, key);
	CHECK_INT(agg_add(agg, &k, &value), 0);
}

static const struct agg_row *row(int64_t key)
{
	struct agg_key k;

	agg_key_start(&k);
	agg_key_int(&k, key);
	return agg_find(agg, &k);
}

static struct agg_view view(uint32_t top)
{
	struct agg_view v;

	CHECK_INT(agg_view(agg, &spec.sort, top, &v), 0);
	return v;
}

static void adding(void)
{
	const struct agg_cell *cell;

	start("k", all, 100);
	CHECK(!row(1));
	for (int i = 1; i <= 10; i++)
		add(1, i);
	add(2, 0);
	add(1, INT64_MAX);
	add(1, INT64_MAX);
	CHECK_INT(agg_keys(agg), 2);
	CHECK_INT(row(1)->count, 12);
	cell = &row(1)->cells[0];
	CHECK_INT(cell->n, 12);
	CHECK(cell->sum == (agg_int)INT64_MAX * 2 + 55);
	CHECK_INT(cell->min, 1);
	CHECK_INT(cell->max, INT64_MAX);
	CHECK_INT(hist_count(&cell->hist), 12);
	CHECK_INT(row(2)->cells[0].hist.zeros, 1);
	agg_free(agg);
}

/* As many keys as fill the table many times over; each comes back, in its order. */
static void many_keys(void)
{
	struct agg_view v;
	struct value cell;

	start("k", (const char *const[AGG_WHATS]){ NULL }, 5000);
	for (int i = 0; i < 20000; i++)
		add(i % 5000 - 2500, 0);
	CHECK_INT(agg_keys(agg), 5000);
	CHECK_INT(agg_overflow(agg), 0);
	v = view(0);
	CHECK_INT(v.n, 5000);
	for (int i = 0; i < 5000; i++) {
		uint32_t pos = 0;

		agg_row_cell(agg, v.rows[i], &pos, &cell);
		CHECK_INT(cell.type, VALUE_INT);
		CHECK_INT(cell.i, i - 2500);
		CHECK_INT(v.rows[i]->count, 4);
	}
	CHECK_INT(v.other->count, 0);
	agg_free(agg);
}

static void overflow(void)
{
	struct agg_view v;
	int64_t sum = 0;

	start("k", all, 10);
	for (int i = 0; i < 1000; i++)
		add(i % 25, i);
	CHECK_INT(agg_keys(agg), 10);
	CHECK_INT(agg_overflow(agg), 600);
	v = view(3);
	CHECK_INT(v.n, 3);
	for (uint32_t i = 0; i < v.n; i++)
		sum += (int64_t)v.rows[i]->cells[0].sum;
	CHECK_INT(sum + (int64_t)v.other->cells[0].sum, 999 * 1000 / 2);
	CHECK_INT(v.other->count, 1000 - 3 * 40);
	CHECK_INT(hist_count(&v.other->cells[0].hist), 1000 - 3 * 40);
	CHECK_INT(v.other->cells[0].min, 0);
	CHECK_INT(v.other->cells[0].max, 999);
	v = view(3); /* the same again: a view changes nothing */
	CHECK_INT(v.other->count, 1000 - 3 * 40);
	agg_clear(agg);
	CHECK_INT(agg_keys(agg) + agg_overflow(agg) + view(0).other->count, 0);
	add(30, 1);
	CHECK_INT(agg_keys(agg), 1);
	agg_free(agg);
}

static void merging(void)
{
	struct agg *a;

	start("k", all, 10);
	a = agg;
	for (int i = 0; i < 100; i++)
		add(i % 20, i);
	CHECK_INT(agg_new(&agg, &spec, &err), 0);
	for (int i = 0; i < 100; i++)
		add(i % 20 + 5, i);
	CHECK_INT(agg_merge(agg, a), 0);
	CHECK_INT(agg_keys(agg), 10);
	CHECK_INT(agg_overflow(agg), 50 + 50 + 25);
	CHECK_INT(row(5)->count, 10);
	CHECK_INT(row(5)->cells[0].sum, (5 + 25 + 45 + 65 + 85) + (0 + 20 + 40 + 60 + 80));
	CHECK_INT(view(0).other->count, 125);
	agg_free(a);
	agg_free(agg);
}

/* Each kind of cell comes back as it went in, and no two keys are one. */
static void cells(void)
{
	static const char bytes[] = "a\0b";
	struct value values[] = {
		{ .type = VALUE_NIL },
		{ .type = VALUE_BOOL, .i = 0 },
		{ .type = VALUE_BOOL, .i = 1 },
		{ .type = VALUE_INT, .i = INT64_MIN },
		{ .type = VALUE_INT, .i = -1 },
		{ .type = VALUE_INT, .i = 0 },
		{ .type = VALUE_INT, .i = INT64_MAX },
		{ .type = VALUE_STR, .s = "", .len = 0 },
		{ .type = VALUE_STR, .s = "a", .len = 1 },
		{ .type = VALUE_STR, .s = bytes, .len = 3 },
	};
	struct agg_view v;
	struct value got;
	struct agg_key k;

	start("k", (const char *const[AGG_WHATS]){ NULL }, 100);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(values); i++) {
		agg_key_start(&k);
		agg_key_value(&k, &values[i % ARRAY_SIZE(values)]);
		CHECK_INT(agg_add(agg, &k, NULL), 0);
	}
	v = view(0);
	CHECK_INT(v.n, ARRAY_SIZE(values));
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		uint32_t pos = 0;

		agg_row_cell(agg, v.rows[i], &pos, &got);
		CHECK_INT(pos, v.rows[i]->key_len);
		CHECK_INT(got.type, values[i].type);
		if (got.type == VALUE_STR) {
			CHECK_INT(got.len, values[i].len);
			CHECK(memcmp(got.s, values[i].s, got.len) == 0);
		} else if (got.type != VALUE_NIL) {
			CHECK_INT(got.i, values[i].i);
		}
		CHECK_INT(v.rows[i]->count, 2);
	}
	agg_free(agg);
}

static void long_keys(void)
{
	char text[AGG_MAX_KEY] = { 0 };
	struct agg_key k;

	start("k", (const char *const[AGG_WHATS]){ NULL }, 100);
	for (size_t len = AGG_MAX_KEY - 10; len <= AGG_MAX_KEY; len++) {
		agg_key_start(&k);
		agg_key_str(&k, text, len);
		CHECK_INT(agg_add(agg, &k, NULL), len + 3 <= AGG_MAX_KEY ? 0 : -E2BIG);
	}
	agg_key_start(&k);
	for (int i = 0; i < 915; i++)
		agg_key_int(&k, i);
	CHECK_INT(agg_add(agg, &k, NULL), -E2BIG);
	CHECK(!agg_find(agg, &k));
	CHECK_INT(agg_keys(agg), 8);
	agg_free(agg);
}

static void specs(void)
{
	struct agg_spec other;
	struct agg_sort sort;

	start("k", all, 1);
	agg_free(agg);
	other = spec;
	other.max_keys = 5;
	CHECK(agg_spec_same(&spec, &other));
	CHECK_INT(agg_spec_value(&other, AGG_SUM, "w", &err), 0);
	CHECK(!agg_spec_same(&spec, &other));
	CHECK(other.columns[AGG_SUM].list && !other.columns[AGG_MAX].list);
	CHECK_INT(agg_spec_sort(&other, "sum.w", &sort, &err), 0);
	CHECK_INT(sort.value, 1);
	CHECK_INT(agg_spec_sort(&other, "max", &sort, &err), 0);
	CHECK_INT(sort.what, AGG_MAX);
	CHECK_INT(agg_spec_sort(&other, "max.w", &sort, &err), -EINVAL);
	CHECK_INT(agg_spec_sort(&other, "hist", &sort, &err), -EINVAL);
	CHECK_INT(agg_spec_sort(&other, "", &sort, &err), -EINVAL);
	CHECK_INT(agg_spec_by(&other, "k", &err), -EINVAL);
	CHECK_HAS(err.msg, "twice");
	CHECK_INT(agg_spec_by(&other, "sum", &err), -EINVAL);
	CHECK_INT(agg_spec_by(&other, "", &err), -EINVAL);
	CHECK_INT(agg_spec_value(&other, AGG_SUM, "w", &err), -EINVAL);
	for (int i = other.nr_values; i < AGG_MAX_VALUES; i++)
		CHECK_INT(agg_spec_value(&other, AGG_SUM, (char[]){ (char)('a' + i), 0 }, &err), 0);
	CHECK_INT(agg_spec_value(&other, AGG_MIN, "more", &err), -EINVAL);
	CHECK_HAS(err.msg, "16");
}

static void wrong_options(void)
{
	static const struct {
		const char *code, *message;
	} rows[] = {
		{ "bpf.aggregate()", "bpf.aggregate: expected a table of options, got no value" },
		{ "bpf.aggregate{ bye = 'a' }", "unknown option \"bye\", did you mean \"by\"?" },
		{ "bpf.aggregate{ 'a' }", "options have names" },
		{ "bpf.aggregate{ by = 7 }", "bad option \"by\": expected the name of a field" },
		{ "bpf.aggregate{ by = { 'a', 7 } }", "bad option \"by\": expected the name" },
		{ "bpf.aggregate{ by = { 'a', 'a' } }", "\"a\" is twice in \"by\"" },
		{ "bpf.aggregate{ by = 'hist' }", "rows have a hist of their own" },
		{ "bpf.aggregate{ sum = {} }", "bad option \"sum\"" },
		{ "bpf.aggregate{ sum = { 'a', 'a' } }", "\"a\" is twice in \"sum\"" },
		{ "bpf.aggregate{ count = 'a' }", "bad option \"count\": expected true" },
		{ "bpf.aggregate{ topk = 0 }", "bad option \"topk\": expected an integer from 1" },
		{ "bpf.aggregate{ topk = 1.5 }", "bad option \"topk\"" },
		{ "bpf.aggregate{ max_keys = '9' }", "bad option \"max_keys\"" },
		{ "bpf.aggregate{ sort = 'sum' }", "can't sort by \"sum\"" },
		{ "bpf.aggregate{ sort = 1 }", "bad option \"sort\"" },
		{ "bpf.aggregate{ sum = 'a', sort = 'summ' }", "did you mean \"sum\"?" },
		{ "bpf.aggregate{ by = ('x'):rep(64) }", "is no name of a field" },
		{ "bpf.aggregate{}:rows{ tip = 1 }", "agg:rows: unknown option \"tip\"" },
		{ "bpf.aggregate{}:take{ sort = 'x' }", "agg:take: can't sort by \"x\"" },
		{ "bpf.aggregate{}:rows(7)", "agg:rows: expected a table of options" },
	};

	script_start(64 << 20, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		script_fails(rows[i].code, rows[i].message);
	script_end();
}

static void wrong_calls(void)
{
	static const struct {
		const char *call, *message;
	} rows[] = {
		{ "agg:add()", "agg:add: expected 3 values (k, v, h), got 0" },
		{ "agg:add(1, 2, 3, 4)", "agg:add: expected 3 values (k, v, h), got 4" },
		{ "agg:add({}, 2, 3)",
		  "field \"k\": expected a string, integer, boolean or nil, got table" },
		{ "agg:add(1.5, 2, 3)",
		  "field \"k\": expected a string, integer, boolean or nil, got 1.5" },
		{ "agg:add(1, '2', 3)", "field \"v\": expected an integer or nil, got string" },
		{ "agg:add(1, 2.5, 3)", "field \"v\": expected an integer or nil, got 2.5" },
		{ "agg:add(1, 2, -3)", "field \"h\": expected a number >= 0 or nil, got -3" },
		{ "agg:add(1, 2, 0/0)", "field \"h\": expected a number >= 0 or nil" },
		{ "agg:add(1, 2, 1/0)", "field \"h\": expected a number >= 0 or nil, got inf" },
		{ "agg:add(('x'):rep(9000), 1, 1)", "the key has more than 8192 bytes" },
		{ "agg.add(other, 1, 2, 3)", "call it with a colon" },
		{ "agg.add(nil, 1, 2, 3)", "call it with a colon" },
		{ "agg:row()", "agg:row: expected 1 key (k), got 0" },
		{ "agg:merge(agg)", "can't merge with itself" },
		{ "agg:merge(other)", "has other fields" },
		{ "agg:merge(7)", "bpf.Aggregate expected, got number" },
		{ "agg:merge(io.stdout)", "bpf.Aggregate expected" },
		{ "agg:close() agg:close() agg:add(1, 2, 3)",
		  "agg:add: the aggregation is closed" },
		{ "agg:close() return #agg", "closed" },
		{ "agg.nothing = 1", "attempt to index" },
	};
	char code[512];

	script_start(64 << 20, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(code, sizeof(code),
			 "agg = bpf.aggregate{ by = 'k', sum = 'v', hist = 'h' }\n"
			 "other = bpf.aggregate{ by = 'k', sum = 'v', max = 'h' }\n%s",
			 rows[i].call);
		script_fails(code, rows[i].message);
		script_ok(
			"assert(tostring(agg):find('closed') or #agg == 0 and agg.overflow == 0)");
	}
	script_end();
}

/* A finalizer that runs while rows are made can't take them away. */
static void finalizers(void)
{
	script_start(64 << 20, 0);
	script_ok("local agg = bpf.aggregate{ by = 'k', sum = 'v' }\n"
		  "for i = 1, 3000 do agg:add('key' .. i, i) end\n"
		  "local refused, done = 0, 0\n"
		  "local function arm() setmetatable({}, { __gc = function()\n"
		  "  local ok, m = pcall(agg.clear, agg)\n"
		  "  if ok then for i = 1, 3000 do agg:add('key' .. i, i) end end\n"
		  "  refused = refused + (not ok and m:find('being read') and 1 or 0)\n"
		  "  pcall(agg.rows, agg) tostring(agg)\n"
		  "  done = done + 1 arm() end }) end\n"
		  "arm()\n"
		  "collectgarbage('setpause', 100)\n"
		  "for i = 1, 20 do\n"
		  "  local rows, sum = agg:rows(), 0\n"
		  "  for _, r in ipairs(rows) do sum = sum + r.sum end\n"
		  "  assert(sum == 3000 * 3001 / 2)\n"
		  "end\n"
		  "assert(done > 0 and refused > 0)\n"
		  "arm = function() end");
	script_end();
}

static void memory_limit(void)
{
	script_start(8 << 20, 0);
	script_fails(
		"agg = bpf.aggregate{ by = 'k', hist = 'v' }\n"
		"for i = 1, 8000 do agg:add('key' .. i, i) end\n"
		"rows = {}\n"
		"for i = 1, 100 do rows[i] = agg:take() for j = 1, 8000 do agg:add(j, j) end end",
		"not enough memory");
	script_ok("rows = nil collectgarbage() assert(#agg <= 10000 and agg:close() == nil)");
	script_end();
}

static const struct t_case test_cases[] = {
	{ "count, sum, min, max and buckets of each key", adding },
	{ "many keys come back in their order", many_keys },
	{ "what finds no room is added up, and so is what is not shown", overflow },
	{ "merging adds up, within the bound", merging },
	{ "cells of a key keep type and bytes", cells },
	{ "keys that are too long are refused", long_keys },
	{ "names and what may be sorted by", specs },
	{ "mistakes in options", wrong_options },
	{ "mistakes in calls", wrong_calls },
	{ "finalizers find rows that are being read protected", finalizers },
	{ "running out of Lua's memory leaks nothing", memory_limit },
};

T_MAIN(test_cases)
