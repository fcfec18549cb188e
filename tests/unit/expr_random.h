/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * expr_random.h - random expressions that are valid, and records that are likely to be near what
 * such an expression asks for.
 */
#ifndef BPFNET_TEST_EXPR_RANDOM_H
#define BPFNET_TEST_EXPR_RANDOM_H

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include "expr_cases.h"
#include "util.h"

struct expr_random {
	uint64_t seed;
	const struct layout *layout;
	char text[8192];
	size_t len;
	/* what the expression mentions, for records */
	int64_t ints[64];
	uint8_t addrs[32][16];
	char texts[32][20];
	int nr_ints, nr_addrs, nr_texts;
};

static inline uint64_t rnd(struct expr_random *x)
{
	uint64_t z = x->seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline int below(struct expr_random *x, int n)
{
	return (int)(rnd(x) % (uint64_t)n);
}

__attribute__((format(printf, 2, 3))) static inline void put(struct expr_random *x, const char *fmt,
							     ...)
{
	va_list ap;

	va_start(ap, fmt);
	x->len += (size_t)vsnprintf(x->text + x->len, sizeof(x->text) - x->len, fmt, ap);
	va_end(ap);
	if (x->len >= sizeof(x->text)) {
		printf("random text too long\n");
		abort();
	}
}

static inline int64_t some_int(struct expr_random *x)
{
	static const int64_t edges[] = {
		0,
		1,
		2,
		-1,
		-2,
		7,
		127,
		128,
		255,
		256,
		-128,
		32767,
		65535,
		65536,
		INT32_MAX,
		INT32_MIN,
		UINT32_MAX,
		1LL << 32,
		-(1LL << 32),
		INT64_MAX,
		INT64_MIN,
		INT64_MIN + 1,
		1LL << 40,
		63,
		64,
	};

	switch (below(x, 4)) {
	case 0:
		return edges[below(x, ARRAY_SIZE(edges))];
	case 1:
		return below(x, 300) - 100;
	case 2:
		return (int64_t)(rnd(x) >> below(x, 64));
	default:
		return edges[below(x, ARRAY_SIZE(edges))] ^ below(x, 4);
	}
}

static inline const struct field *some_field(struct expr_random *x, uint32_t kinds)
{
	for (;;) {
		const struct field *f = &x->layout->fields[below(x, x->layout->nr_fields)];

		if (kinds & 1u << f->kind)
			return f;
	}
}

#define INTS (1u << FIELD_UINT | 1u << FIELD_INT | 1u << FIELD_OPT | 1u << FIELD_BE)

static inline void put_int(struct expr_random *x, int64_t i)
{
	if (x->nr_ints < (int)ARRAY_SIZE(x->ints))
		x->ints[x->nr_ints++] = i;
	if (i == INT64_MIN || !below(x, 4))
		put(x, "0x%" PRIx64, (uint64_t)i);
	else
		put(x, "%" PRId64, i);
}

static inline void put_arith(struct expr_random *x, int depth)
{
	static const char *const ops[] = { "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>" };
	int what = depth ? below(x, 8) : below(x, 4);

	if (what == 0) {
		put_int(x, some_int(x));
	} else if (what < 4) {
		put(x, "%s", some_field(x, INTS)->name);
	} else if (what == 4) {
		put(x, "%s(", below(x, 2) ? "-" : "~");
		put_arith(x, depth - 1);
		put(x, ")");
	} else {
		bool parens = below(x, 3);

		put(x, parens ? "(" : "");
		put_arith(x, depth - 1);
		put(x, " %s ", ops[below(x, ARRAY_SIZE(ops))]);
		put_arith(x, depth - 1);
		put(x, parens ? ")" : "");
	}
}

/* Many levels to the right: more than there are registers. */
static inline void put_deep(struct expr_random *x)
{
	static const char *const ops[] = { "+", "-", "/", "%", "^", "<<" };
	int n = 3 + below(x, 12);

	for (int i = 0; i < n; i++)
		put(x, "(%s %s ", some_field(x, INTS)->name, ops[below(x, ARRAY_SIZE(ops))]);
	put_int(x, 1 + below(x, 9));
	for (int i = 0; i < n; i++)
		put(x, ")");
}

static inline const char *some_compare(struct expr_random *x, bool ordered)
{
	static const char *const ops[] = { "==", "!=", "<", "<=", ">", ">=" };

	return ops[below(x, ordered ? 6 : 2)];
}

static inline const char *some_in(struct expr_random *x)
{
	return below(x, 3) ? "in" : "not in";
}

static inline void put_int_list(struct expr_random *x)
{
	int n = 1 + below(x, below(x, 3) ? 5 : 30);

	put(x, " %s {", some_in(x));
	for (int i = 0; i < n; i++) {
		int64_t lo = some_int(x), hi = lo;

		if (!below(x, 3) && __builtin_add_overflow(lo, below(x, 1000), &hi))
			hi = lo;
		put(x, i ? ", " : "");
		put_int(x, lo);
		if (lo != hi || !below(x, 9)) {
			put(x, "..");
			put_int(x, hi);
		}
	}
	put(x, "}");
}

static inline void put_int_condition(struct expr_random *x)
{
	switch (below(x, 8)) {
	case 0:
		put_deep(x);
		break;
	case 1:
		put(x, "%s %s nil", some_field(x, 1u << FIELD_OPT)->name, some_compare(x, false));
		return;
	case 2:
	case 3:
		put_arith(x, 0);
		put_int_list(x);
		return;
	case 4:
		put(x, "duration_ns %s %dus", some_compare(x, true), below(x, 100));
		return;
	default:
		put_arith(x, below(x, 4));
	}
	put(x, " %s ", some_compare(x, true));
	put_arith(x, below(x, 2));
}

static inline void put_named_condition(struct expr_random *x)
{
	const struct field *f = some_field(x, 1u << FIELD_ENUM | 1u << FIELD_ERRNO);
	static const char *const errnos[] = { "EPERM", "ECONNREFUSED", "'ETIMEDOUT'", "5", "0" };
	int n = 1 + below(x, 3);

	if (f->kind == FIELD_ERRNO && !below(x, 4)) {
		put(x, "%s %s nil", f->name, some_compare(x, false));
		return;
	}
	if (below(x, 5) == 0) {
		put(x, "%s %s %s", f->kind == FIELD_ENUM ? "ended" : "error",
		    some_compare(x, false), f->kind == FIELD_ENUM ? "began" : "cause");
		return;
	}
	put(x, "%s ", f->name);
	put(x, n == 1 ? "%s " : "%s {", n == 1 ? some_compare(x, false) : some_in(x));
	for (int i = 0; i < n; i++)
		put(x, "%s%s", i ? ", " : "",
		    f->kind == FIELD_ENUM ? f->names[below(x, f->nr_names)].name :
					    errnos[below(x, ARRAY_SIZE(errnos))]);
	put(x, n == 1 ? "" : "}");
}

static inline void put_text(struct expr_random *x, const struct field *f)
{
	uint32_t room = f->kind == FIELD_STR ? f->size - 1 : f->size;
	int len = below(x, (int)room + 1);
	char *copy = x->texts[x->nr_texts < 31 ? x->nr_texts++ : 31];

	memset(copy, 0, 20);
	put(x, "\"");
	for (int i = 0; i < len; i++) {
		copy[i] = "ab\xff"[below(x, 8) ? below(x, 2) : 2];
		put(x, below(x, 8) && copy[i] > 0 ? "%c" : "\\x%02x", (unsigned char)copy[i]);
	}
	put(x, "\"");
}

static inline void put_text_condition(struct expr_random *x)
{
	const struct field *f = some_field(x, 1u << FIELD_STR | 1u << FIELD_BYTES);
	int n = 1 + below(x, 4);

	if (!below(x, 4)) {
		put(x, "%s %s ", f->name, some_compare(x, false));
		if (f->kind == FIELD_BYTES)
			put(x, "mac");
		else
			put(x, "%s", some_field(x, 1u << FIELD_STR)->name);
		return;
	}
	if (n == 1)
		put(x, "%s %s ", f->name, below(x, 2) ? "starts" : some_compare(x, false));
	else
		put(x, "%s %s {", f->name, some_in(x));
	for (int i = 0; i < n; i++) {
		put(x, i ? "," : "");
		put_text(x, f);
	}
	put(x, n == 1 ? "" : "}");
}

static inline void some_addr(struct expr_random *x, uint8_t addr[16])
{
	static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
	bool v6 = !below(x, 3);

	memcpy(addr, mapped, 16);
	if (v6) {
		memset(addr, 0, 16);
		addr[0] = below(x, 2) ? 0xfd : 0;
		addr[7] = (uint8_t)below(x, 3);
		addr[8] = (uint8_t)(below(x, 2) * 0x80);
	}
	addr[12] = (uint8_t)(10 + below(x, 2) * 0xa0);
	addr[14] = (uint8_t)below(x, 3);
	addr[15] = (uint8_t)rnd(x);
}

static inline void put_addr(struct expr_random *x, const uint8_t addr[16])
{
	char buf[48];

	memcpy(x->addrs[x->nr_addrs < 31 ? x->nr_addrs++ : 31], addr, 16);
	put(x, below(x, 3) ? "%s" : "'%s'", addr_format(addr, buf));
}

static inline void put_net(struct expr_random *x)
{
	uint8_t a[16], b[16];
	char buf[48];

	some_addr(x, a);
	some_addr(x, b);
	switch (below(x, 3)) {
	case 0:
		put_addr(x, a);
		break;
	case 1:
		addr_format(a, buf);
		memcpy(x->addrs[x->nr_addrs < 31 ? x->nr_addrs++ : 31], a, 16);
		put(x, "%s/%d", buf, below(x, strchr(buf, ':') ? 129 : 33));
		break;
	default:
		put_addr(x, memcmp(a, b, 16) < 0 ? a : b);
		put(x, " .. ");
		put_addr(x, memcmp(a, b, 16) < 0 ? b : a);
	}
}

static inline void put_addr_condition(struct expr_random *x)
{
	const struct field *f = some_field(x, 1u << FIELD_ADDR4 | 1u << FIELD_ADDR6);
	int n = below(x, 5);
	uint8_t addr[16];

	if (n == 0) {
		some_addr(x, addr);
		put(x, "%s %s ", f->name, some_compare(x, false));
		if (below(x, 2))
			put_addr(x, addr);
		else
			put(x, "%s", some_field(x, 1u << FIELD_ADDR4 | 1u << FIELD_ADDR6)->name);
		return;
	}
	put(x, "%s %s {", f->name, some_in(x));
	for (int i = 0; i < n; i++) {
		put(x, i ? ", " : "");
		put_net(x);
	}
	put(x, "}");
}

static inline void put_condition(struct expr_random *x, int depth)
{
	int what = below(x, depth ? 14 : 8);

	if (what < 4) {
		put_int_condition(x);
	} else if (what == 4) {
		put_named_condition(x);
	} else if (what == 5) {
		put_text_condition(x);
	} else if (what == 6) {
		put_addr_condition(x);
	} else if (what == 7) {
		static const char *const bools[] = { "old",          "fresh",
						     "old == fresh", "fresh == false",
						     "old != fresh", "true",
						     "false" };

		put(x, "%s", bools[below(x, below(x, 9) ? 5 : 7)]);
	} else if (what == 8) {
		put(x, "not ");
		put_condition(x, depth - 1);
	} else {
		bool parens = below(x, 3);

		put(x, parens ? "(" : "");
		put_condition(x, depth - 1);
		put(x, below(x, 2) ? " and " : " or ");
		put_condition(x, depth - 1);
		put(x, parens ? ")" : "");
	}
}

/* A new expression in x->text. A few are refused: for a constant that is zero as a divisor. */
static inline void expr_random(struct expr_random *x)
{
	x->len = 0;
	x->nr_ints = x->nr_addrs = x->nr_texts = 0;
	put_condition(x, below(x, 4));
}

static inline uint64_t near_int(struct expr_random *x)
{
	switch (below(x, 6)) {
	case 0:
		return ~0ULL;
	case 1:
		return (uint64_t)some_int(x);
	case 2:
		return (uint64_t)below(x, 4);
	default:
		if (!x->nr_ints)
			return rnd(x);
		return (uint64_t)x->ints[below(x, x->nr_ints)] + (uint64_t)below(x, 3) - 1;
	}
}

static inline void fill_int(struct expr_random *x, const struct field *f, uint8_t *p)
{
	uint64_t value = near_int(x), mask = ~0ULL, old = 0;

	if ((f->kind == FIELD_ENUM || f->kind == FIELD_BOOL) && below(x, 8))
		value = f->kind == FIELD_BOOL ? rnd(x) % 3 :
						(uint64_t)f->names[below(x, f->nr_names)].value;
	if (f->kind == FIELD_ERRNO && below(x, 4))
		value = (uint64_t[]){ 0, 0, 1, 5, 110, 111 }[below(x, 6)];
	if (f->bit_size) {
		mask = (1ULL << f->bit_size) - 1;
		memcpy(&old, p, f->size);
		value = (old & ~(mask << f->bit_offset)) | (value & mask) << f->bit_offset;
	}
	if (f->kind == FIELD_BE)
		value = htobe64(value << (64 - f->size * 8));
	memcpy(p, &value, f->size);
}

static inline void fill_bytes(struct expr_random *x, const struct field *f, uint8_t *p)
{
	size_t len;

	for (uint32_t i = 0; i < f->size; i++)
		p[i] = (uint8_t) "ab\0\xff"[below(x, 4)];
	if (x->nr_texts && below(x, 4)) {
		const char *text = x->texts[below(x, x->nr_texts)];

		/* with its NUL or without, and with what is there behind it */
		len = strlen(text) + (size_t)below(x, 2);
		memcpy(p, text, len < f->size ? len : f->size);
		if (!below(x, 2) && len < f->size)
			memset(p + len, 0, f->size - len);
	}
}

static inline void fill_addr(struct expr_random *x, const struct field *f, uint8_t *p)
{
	uint8_t addr[16];

	if (x->nr_addrs && below(x, 4))
		memcpy(addr, x->addrs[below(x, x->nr_addrs)], 16);
	else
		some_addr(x, addr);
	if (!below(x, 3))
		addr[below(x, 16)] ^= (uint8_t)(1 << below(x, 8));
	addr[15] += (uint8_t)(below(x, 3) - 1);
	memcpy(p, f->size == 4 ? addr + 12 : addr, f->size);
}

static inline void expr_random_record(struct expr_random *x, uint8_t *rec)
{
	for (int i = 0; i < x->layout->nr_fields; i++) {
		const struct field *f = &x->layout->fields[i];

		if (f->kind == FIELD_STR || f->kind == FIELD_BYTES)
			fill_bytes(x, f, rec + f->offset);
		else if (f->kind == FIELD_ADDR4 || f->kind == FIELD_ADDR6)
			fill_addr(x, f, rec + f->offset);
		else
			fill_int(x, f, rec + f->offset);
	}
}

#endif
