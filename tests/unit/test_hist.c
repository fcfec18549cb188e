/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Buckets of histograms, by integers of any length; quantiles of known distributions. */
#include <math.h>
#include "hist.h"
#include "lua_run.h"
#include "util.h"

static const uint64_t ones[HIST_UNITS] = { 1, 1000000000, 1000000, 1000 };

/* Natural numbers of up to 2,048 bits. */
#define LIMBS 64

struct big {
	uint32_t limb[LIMBS];
};

static struct big big_of(uint64_t v)
{
	struct big b = { { (uint32_t)v, (uint32_t)(v >> 32) } };

	return b;
}

static struct big square(struct big a)
{
	struct big r = { { 0 } };

	for (int i = 0; i < LIMBS / 2; i++) {
		uint64_t carry = 0;

		for (int j = 0; a.limb[i] && j < LIMBS / 2; j++) {
			carry += (uint64_t)a.limb[i] * a.limb[j] + r.limb[i + j];
			r.limb[i + j] = (uint32_t)carry;
			carry >>= 32;
		}
		if (a.limb[i])
			r.limb[i + LIMBS / 2] = (uint32_t)carry;
	}
	return r;
}

static struct big power16(uint64_t v)
{
	return square(square(square(square(big_of(v)))));
}

static struct big shift(struct big a, int bits)
{
	struct big r = { { 0 } };

	for (int i = 0; i + bits / 32 < LIMBS; i++) {
		uint64_t v = (uint64_t)a.limb[i] << bits % 32;

		r.limb[i + bits / 32] |= (uint32_t)v;
		if (i + bits / 32 + 1 < LIMBS)
			r.limb[i + bits / 32 + 1] |= (uint32_t)(v >> 32);
	}
	return r;
}

static int compare(const struct big *a, const struct big *b)
{
	for (int i = LIMBS - 1; i >= 0; i--)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] > b->limb[i] ? 1 : -1;
	return 0;
}

/* v > one * 2^(i / 16), which is v^16 > one^16 * 2^i */
static bool above(int unit, uint64_t v, int i)
{
	struct big a = power16(v), b = power16(ones[unit]);

	if (i < 0)
		a = shift(a, -i);
	else
		b = shift(b, i);
	return compare(&a, &b) > 0;
}

static void check_value(int unit, uint64_t v)
{
	int i = hist_bucket((enum hist_unit)unit, v);

	if (!above(unit, v, i) || above(unit, v, i + 1))
		FAIL("unit %d: %" PRIu64 " is not in bucket %d", unit, v, i);
	if (v < 1ULL << 53)
		CHECK_INT(hist_bucket_real((enum hist_unit)unit, (double)v), i);
}

/* The greatest integer that is not above the edge i, bit by bit. */
static uint64_t floor_of_edge(int unit, int i)
{
	uint64_t v = 0;

	for (int bit = 63; bit >= 0; bit--)
		if (!above(unit, v | 1ULL << bit, i))
			v |= 1ULL << bit;
	return v;
}

static void check_edges(int unit)
{
	int first = hist_bucket((enum hist_unit)unit, 1);
	int last = hist_bucket((enum hist_unit)unit, UINT64_MAX);

	CHECK_INT(last - first, 1024);
	for (int i = first; i <= last; i++) {
		uint64_t v = floor_of_edge(unit, i);

		for (uint64_t near = v > 2 ? v - 2 : 1; near <= v + 2 && near; near++)
			check_value(unit, near);
		if (v) {
			CHECK(hist_bucket((enum hist_unit)unit, v) < i);
			CHECK(fabs(hist_edge((enum hist_unit)unit, i) / (double)v - 1) <=
			      1 / (double)v + 1e-14);
		}
		CHECK(hist_bucket((enum hist_unit)unit, v + 1) >= i);
	}
}

static void edges_of_ones(void)
{
	check_edges(HIST_ONE);
	for (int i = 0; i < 64; i++)
		CHECK_INT(hist_bucket(HIST_ONE, 1ULL << i), 16 * i - 1);
}

static void edges_of_times(void)
{
	check_edges(HIST_NS);
	check_edges(HIST_US);
	check_edges(HIST_MS);
	CHECK_INT(hist_bucket(HIST_NS, 1000000000), -1);
	CHECK_INT(hist_bucket(HIST_NS, 1000000001), 0);
	CHECK_INT(hist_bucket(HIST_US, 2000000), 15);
	CHECK_INT(hist_bucket(HIST_MS, 500), -17);
}

static uint64_t random_bits(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static void random_values(void)
{
	for (int i = 0; i < 20000; i++)
		for (int unit = 0; unit < HIST_UNITS; unit++)
			check_value(unit, random_bits() >> i % 64 | 1);
}

static void reals(void)
{
	CHECK_INT(hist_bucket_real(HIST_ONE, 0.5), -17);
	CHECK_INT(hist_bucket_real(HIST_ONE, 0.75), -7);
	CHECK_INT(hist_bucket_real(HIST_NS, 0.25e9), -33);
	CHECK_INT(hist_bucket_real(HIST_ONE, 5e-324), -1074 * 16 - 1);
	CHECK_INT(hist_bucket_real(HIST_ONE, 0x1p1000), 16000 - 1);
}

static void unit_names(void)
{
	CHECK_INT(hist_unit_of("latency_ns"), HIST_NS);
	CHECK_INT(hist_unit_of("srtt_us"), HIST_US);
	CHECK_INT(hist_unit_of("x_ms"), HIST_MS);
	CHECK_INT(hist_unit_of("tx_bytes"), HIST_ONE);
	CHECK_INT(hist_unit_of("_ns"), HIST_ONE);
	CHECK_INT(hist_unit_of("dns"), HIST_ONE);
	CHECK_INT(hist_unit_of(""), HIST_ONE);
	CHECK_STR(hist_unit_name(HIST_US), "us");
	CHECK_STR(hist_unit_name(HIST_ONE), "");
}

/* Uniform in (0, 1). */
static double uniform(void)
{
	return ((double)(random_bits() >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

static double draw(int distribution)
{
	switch (distribution) {
	case 0:
		return 1e3 + 1e6 * uniform();
	case 1:
		return -2e6 * log(uniform());
	case 2:
		return exp(13 + 1.5 * normal());
	case 3:
		return 1e4 / pow(uniform(), 1 / 1.2);
	default:
		return uniform() < 0.7 ? 1e4 + 1e3 * normal() : 1e8 + 1e7 * normal();
	}
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

#define VALUES 20000

static void check_quantiles(const struct hist *hist, enum hist_unit unit, uint64_t *values, int n)
{
	static const double qs[] = { 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1 };

	qsort(values, (size_t)n, sizeof(*values), by_value);
	for (size_t i = 0; i < ARRAY_SIZE(qs); i++) {
		double exact = (double)values[(int)ceil(qs[i] * n) - 1];
		double got = hist_quantile(hist, unit, qs[i], 0, INFINITY);

		if (fabs(got / exact - 1) > 0.022)
			FAIL("q %g: got %g, exactly %g", qs[i], got, exact);
	}
	CHECK(hist_quantile(hist, unit, 0.5, 1e30, INFINITY) >= 1e30);
	CHECK(hist_quantile(hist, unit, 0.5, 0, 1) <= 1);
}

static void quantiles(void)
{
	static uint64_t values[VALUES];

	for (int i = 0; i < 5 * HIST_UNITS; i++) {
		enum hist_unit unit = (enum hist_unit)(i % HIST_UNITS);
		struct hist hist = { 0 };

		for (int j = 0; j < VALUES; j++) {
			values[j] = (uint64_t)fmax(1, draw(i / HIST_UNITS));
			CHECK_INT(hist_add(&hist, hist_bucket(unit, values[j]), 1), 0);
		}
		CHECK_INT(hist_count(&hist), VALUES);
		check_quantiles(&hist, unit, values, VALUES);
		hist_free(&hist);
	}
}

static void zeros(void)
{
	struct hist hist = { .zeros = 3 };

	CHECK_INT(hist_add(&hist, hist_bucket(HIST_ONE, 8), 1), 0);
	CHECK(hist_quantile(&hist, HIST_ONE, 0.75, 0, INFINITY) == 0);
	CHECK(fabs(hist_quantile(&hist, HIST_ONE, 0.76, 0, INFINITY) / 8 - 1) < 0.022);
	hist_reset(&hist);
	CHECK(hist_quantile(&hist, HIST_ONE, 0.5, 0, INFINITY) == -1);
	hist_free(&hist);
}

static void check_same(const struct hist *a, const struct hist *b)
{
	struct hist_pos at = { 0 }, bt = { 0 };
	int i, j = 0, last = INT32_MIN;
	uint64_t n, m = 0;

	CHECK_INT(a->zeros, b->zeros);
	while (hist_next(a, &at, &i, &n)) {
		CHECK(hist_next(b, &bt, &j, &m));
		CHECK_INT(i, j);
		CHECK_INT(n, m);
		CHECK(i > last);
		last = i;
	}
	CHECK(!hist_next(b, &bt, &j, &m));
}

static void merge(void)
{
	struct hist parts[2] = { 0 }, both = { 0 };

	for (int i = 0; i < 5000; i++) {
		int bucket = hist_bucket_real(HIST_US, draw(i % 5) * pow(10, i % 20 - 10));

		hist_add(&parts[i % 2], bucket, (uint64_t)i);
		hist_add(&both, bucket, (uint64_t)i);
	}
	parts[0].zeros = 5;
	parts[1].zeros = 7;
	both.zeros = 12;
	CHECK_INT(hist_merge(&parts[0], &parts[1]), 0);
	check_same(&parts[0], &both);
	CHECK_INT(hist_count(&both), 4999 * 5000 / 2 + 12);
	for (int i = 0; i < 2; i++)
		hist_free(&parts[i]);
	hist_free(&both);
}

/* Both implementations put the same integers into the same buckets, which rows() shows. */
static void lua_agrees(void)
{
	static const char *const fields[] = { "v", "v_ns", "v_us", "v_ms" };
	char code[1024];

	script_start(64 << 20, 0);
	for (int unit = 0; unit < HIST_UNITS; unit++) {
		snprintf(
			code, sizeof(code),
			"local f, unit = '%s', '%s'\n"
			"local agg = bpf.aggregate{ hist = f }\n"
			"local h = require('bpfnet.hist').new{ unit = unit }\n"
			"local function add(v) if v >= 0 then agg:add(v) h:add(v) end end\n"
			"for e = 0, 62 do for j = 0, 15 do\n"
			"  local v = %llu * 2.0 ^ (j / 16)\n"
			"  while v >= 2 do v = v / 2 end\n"
			"  local t = (math.floor(v * 2.0 ^ 52) << 10) >> (62 - e)\n"
			"  for d = -2, 2 do add(t + d) end\n"
			"end end\n"
			"math.randomseed(7)\n"
			"for i = 1, 20000 do add(math.random(0) >> i %% 62 + 1) end\n"
			"local got = agg:rows()[1].hist\n"
			"assert(got.unit == unit and got.count == h.count and got.zeros == h.zeros)\n"
			"for i, n in pairs(h.buckets) do assert(got.buckets[i] == n, i) end\n"
			"for i, n in pairs(got.buckets) do assert(h.buckets[i] == n, i) end\n",
			fields[unit], hist_unit_name((enum hist_unit)unit),
			(unsigned long long)ones[unit]);
		script_ok(code);
	}
	script_end();
}

static const struct t_case cases[] = {
	{ "integers are between the edges of their buckets", random_values },
	{ "edges of plain values, and their neighbours", edges_of_ones },
	{ "edges of times, and their neighbours", edges_of_times },
	{ "numbers that are not whole", reals },
	{ "a field's name says its unit", unit_names },
	{ "quantiles of five distributions are within 2.2 percent", quantiles },
	{ "zero is a bucket of its own", zeros },
	{ "two histograms merge to what one would have", merge },
	{ "bpfnet.hist counts in the same buckets", lua_agrees },
};

T_MAIN(cases)
