/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What aggregations in the kernel count of a record is what user space counts of it. Needs BPF. */
#define T_SECONDS 250 /* emulated machines are slow */
#include "lua_run.h" /* first: it has an err of its own */
#include "agg_adder.h"
#include "lua_agg.h"

static uint64_t random_bits(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

/* Few values for each field, so that keys come again; extremes among them; all bytes are something. */
static void random_record(uint8_t *record)
{
	uint64_t word;

	for (int i = 0; i < RECORD; i += 8) {
		word = random_bits();
		memcpy(record + i, &word, 8);
	}
	for (int i = 0; i < layout->nr_fields; i++) {
		const struct field *f = &layout->fields[i];
		uint64_t choice = random_bits();

		if (f->bit_size)
			continue;
		if (f->kind == FIELD_STR) {
			memset(record + f->offset, 'a', f->size);
			record[f->offset + choice % f->size] = 0;
			record[f->offset + f->size - 1] = (uint8_t)choice & 1 ? 'b' : 0;
			word = random_bits();
			if (choice % f->size + 1 < f->size)
				record[f->offset + choice % f->size + 1] = (uint8_t)word;
			continue;
		}
		word = choice % 5 == 0 ? 0 : choice % 5 == 1 ? ~0ULL : random_bits() >> choice % 64;
		if (f->kind == FIELD_BOOL || f->kind == FIELD_ENUM || f->kind == FIELD_ERRNO)
			word = choice % (f->kind == FIELD_BOOL ? 2 : 4);
		memcpy(record + f->offset, &word, f->size < 8 ? f->size : 8);
	}
}

static void check_hists(const struct hist *a, const struct hist *b)
{
	struct hist_pos at = { 0 }, bt = { 0 };
	uint64_t n, m = 0;
	int i, j = 0;

	CHECK_INT(a->zeros, b->zeros);
	while (hist_next(a, &at, &i, &n)) {
		CHECK(hist_next(b, &bt, &j, &m));
		CHECK_INT(i, j);
		CHECK_INT(n, m);
	}
	CHECK(!hist_next(b, &bt, &j, &m));
}

static void check_rows(const struct agg *agg, const struct agg_row *a, const struct agg_row *b,
		       bool hists)
{
	const struct agg_spec *spec = agg_get_spec(agg);

	CHECK_INT(a->count, b->count);
	CHECK_INT(a->key_len, b->key_len);
	CHECK(!memcmp(&a->cells[spec->nr_values], &b->cells[spec->nr_values], a->key_len));
	for (int i = 0; i < spec->nr_values; i++) {
		const struct agg_cell *x = &a->cells[i], *y = &b->cells[i];
		unsigned whats = spec->values[i].whats;

		CHECK_INT(x->n, y->n);
		if (whats & (1U << AGG_SUM | 1U << AGG_AVG | 1U << AGG_HIST))
			CHECK((uint64_t)x->sum == (uint64_t)y->sum);
		if (x->n && whats & 1U << AGG_MIN)
			CHECK(x->min == y->min);
		if (x->n && whats & 1U << AGG_MAX)
			CHECK(x->max == y->max);
		if (hists)
			check_hists(&x->hist, &y->hist);
	}
}

/* Both tables have the same rows. */
static void check_same(struct agg *a, struct agg *b)
{
	struct agg_sort sort = { .what = AGG_COUNT };
	struct agg_view va, vb;

	CHECK_INT(agg_view(a, &sort, 0, &va), 0);
	CHECK_INT(agg_view(b, &sort, 0, &vb), 0);
	CHECK_INT(va.n, vb.n);
	for (uint32_t i = 0; i < va.n; i++)
		check_rows(a, va.rows[i], vb.rows[i], true);
	check_rows(a, va.other, vb.other, true);
}

/* The same random records in the kernel and in user space. */
static void compare(const char *const *by, const char *const *values, int events)
{
	struct agg *agg = make_agg(by, values, 100000), *same = make_agg(by, values, 100000);
	struct agg_maps *maps = make_maps(agg), *same_maps = make_maps(same);
	struct adder adder;

	adder_new(&adder, maps, 0);
	for (int i = 0; i < events; i++) {
		random_record(adder.record);
		run(&adder, 1);
		CHECK_INT(agg_maps_add(same_maps, adder.record, &err), 0);
		if (i % 700 == 0)
			collect(maps);
	}
	collect(maps);
	check_same(agg, same);
	collect(maps);
	check_same(agg, same);
	CHECK_INT(agg_overflow(agg) + agg_dropped(agg), 0);
	adder_free(&adder);
	agg_maps_free(maps);
	agg_maps_free(same_maps);
	agg_free(agg);
	agg_free(same);
}

static void all_keys(void)
{
	start();
	make_layout();
	for (int i = 0; i < layout->nr_fields; i++)
		compare(LIST(layout->fields[i].name), LIST("sum u32"), 150);
	compare(LIST("comm", "v4", "u8", "odd", "u16", "s8"), LIST("max u32"), 1000);
	compare(LIST("addr", "be16", "yes", "kind", "error", "low", "high", "opt32", "opt_ns"),
		LIST("sum s64", "min s16"), 1000);
	compare(LIST("reason", "flags", "smac", "location", "stack"), LIST("sum u32"), 1000);
	compare(LIST("kind"), (const char *const[]){ NULL }, 100);
	compare((const char *const[]){ NULL }, (const char *const[]){ NULL }, 100);
	layout_free(layout);
	types_free(&types);
}

static void all_values(void)
{
	static const char *const fields[] = { "seq",  "u8",   "u16",  "u32",   "s8",
					      "s16",  "s32",  "s64",  "opt32", "opt_ns",
					      "be16", "be32", "be64", "low",   "high" };
	char text[4][32];

	start();
	make_layout();
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		for (int j = 0; j < 4; j++)
			snprintf(text[j], sizeof(text[j]), "%s %s", agg_what_name((enum agg_what)j),
				 fields[i]);
		compare(LIST("kind"), LIST(text[0], text[1], text[2], text[3]), 200);
		if (layout_field(layout, fields[i])->kind == FIELD_INT)
			continue;
		snprintf(text[0], sizeof(text[0]), "hist %s", fields[i]);
		compare(LIST("error"), LIST(text[0], "sum s64", "max opt32"), 300);
		compare((const char *const[]){ NULL }, LIST(text[0], text[1], text[2]), 300);
	}
	layout_free(layout);
	types_free(&types);
}

static void refused(const char *const *by, const char *const *values, const char *message)
{
	struct agg *agg = make_agg(by, values, 10);
	struct agg_maps *maps;

	CHECK(agg_maps_new(&maps, agg, layout, false, &err) < 0);
	CHECK(!maps);
	CHECK_HAS(err.msg, message);
	agg_free(agg);
}

static void mistakes(void)
{
	start();
	make_layout();
	refused(LIST("comn"), LIST("sum u8"), "unknown field \"comn\", did you mean \"comm\"?");
	refused(LIST("comm"), LIST("sum u9"), "unknown field \"u9\"");
	refused(LIST("comm"), LIST("sum addr"), "field \"addr\" is address, not an integer");
	refused(LIST("comm"), LIST("sum kind"), "field \"kind\" is string, not an integer");
	refused(LIST("comm"), LIST("sum flags"), "field \"flags\" is TCP flags, not an integer");
	refused(LIST("comm"), LIST("hist s64"), "field \"s64\" may be negative");
	refused(LIST("comm"), LIST("hist u8", "hist u16"), "only one has a histogram");
	refused(LIST("comm"),
		LIST("sum u8", "min u8", "max u8", "sum u16", "min u16", "max u16", "sum u32",
		     "max u32"),
		"more than 8 numbers");
	refused(LIST("comm", "addr", "s64", "opt_ns", "seq", "v4", "bytes", "odd", "u32"),
		LIST("sum u8"), "a key of comm, addr, s64, opt_ns, seq, v4, bytes, odd, u32 has");
	layout_free(layout);
	types_free(&types);
}

/* More keys than the bank has room for: every event is in a row or in the rest. */
static void overflow(void)
{
	struct agg *agg;
	struct agg_maps *maps;
	struct adder adder;
	struct agg_view view;
	struct agg_sort sort = { .what = AGG_COUNT };
	uint64_t count = 0, sum = 0;

	start();
	make_layout();
	agg = make_agg(LIST("u16"), LIST("sum seq", "min seq", "max seq"), 100);
	maps = make_maps(agg);
	adder_new(&adder, maps, 1024);
	run(&adder, 10000);
	collect(maps);
	CHECK_INT(agg_keys(agg), 100);
	CHECK_INT(agg_view(agg, &sort, 0, &view), 0);
	CHECK(view.other->count >= 9000 - 100);
	CHECK_INT(view.other->count, agg_overflow(agg));
	CHECK_INT(view.other->cells[0].max, 10000);
	for (uint32_t i = 0; i < view.n; i++) {
		count += view.rows[i]->count;
		sum += (uint64_t)view.rows[i]->cells[0].sum;
	}
	CHECK_INT(count + view.other->count, 10000);
	CHECK_INT(sum + (uint64_t)view.other->cells[0].sum, 10000ULL * 10001 / 2);
	CHECK_INT(agg_dropped(agg), 0);
	adder_free(&adder);
	agg_maps_free(maps);
	agg_free(agg);
	layout_free(layout);
	types_free(&types);
}

/* rows(), take() and the rest collect first; the script need not know where events are counted. */
static void scripts(void)
{
	struct agg_spec spec;
	struct adder adder;
	struct agg *agg;
	lua_State *L;

	start();
	make_layout();
	script_start(64 << 20, 0);
	L = script_state(script);
	spec = make_spec(LIST("u16"), LIST("sum seq", "hist opt_ns"), 100);
	agg = lua_agg_push(L, &spec);
	lua_agg_check(L, -1)->maps = make_maps(agg);
	adder_new(&adder, lua_agg_check(L, -1)->maps, 4);
	lua_setglobal(L, "agg");
	run(&adder, 100);
	script_ok("assert(#agg == 4 and #agg:rows() == 4)\n"
		  "assert(agg:row(3).count == 25 and agg:row(3).hist.count == 25)");
	run(&adder, 100);
	script_ok("agg:add(3, 1000, 5)\n"
		  "local n, sum = 0, 0\n"
		  "for _, r in ipairs(agg:take()) do n, sum = n + r.count, sum + r.sum end\n"
		  "assert(n == 201 and sum == 200 * 201 // 2 + 1000)\n"
		  "assert(#agg == 0)");
	run(&adder, 10);
	script_ok(
		"assert(tostring(agg):find('4 keys') and agg.overflow == 0 and agg.dropped == 0)");
	run(&adder, 10);
	script_ok("agg:clear() assert(#agg == 0)");
	run(&adder, 10);
	script_ok("local all = bpf.aggregate{ by = 'u16', sum = 'seq', hist = 'opt_ns' }\n"
		  "assert(all:merge(agg):row(0).count + all:row(1).count == 5)\n"
		  "agg:close() agg:close()");
	run(&adder, 10); /* into maps that only the program has */
	adder_free(&adder);
	script_end();
	layout_free(layout);
	types_free(&types);
}

static const struct t_case cases[] = {
	{ "keys of every kind are those of user space", all_keys },
	{ "numbers of every kind are those of user space", all_values },
	{ "fields that can't be used are named", mistakes },
	{ "what finds no room is in the rest", overflow },
	{ "scripts read what the kernel has counted", scripts },
};

T_MAIN(cases)
