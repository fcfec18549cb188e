/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The value of a checked expression for one record, in user space. */
#include <endian.h>
#include <string.h>
#include "expr_priv.h"

static uint64_t load(const struct field *f, const uint8_t *p)
{
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	bool swap = f->kind == FIELD_BE;

	switch (f->size) {
	case 1:
		memcpy(&u8, p, 1);
		return u8;
	case 2:
		memcpy(&u16, p, 2);
		return swap ? be16toh(u16) : u16;
	case 4:
		memcpy(&u32, p, 4);
		return swap ? be32toh(u32) : u32;
	default:
		memcpy(&u64, p, 8);
		return swap ? be64toh(u64) : u64;
	}
}

int64_t expr_nil_raw(const struct field *f)
{
	if (f->kind == FIELD_ERRNO || f->kind == FIELD_REASON)
		return 0;
	return f->size == 8 ? -1 : (int64_t)((1ULL << f->size * 8) - 1);
}

static int64_t get_field(const struct node *n, const uint8_t *rec, bool *nil)
{
	const struct field *f = n->field;
	int unused = 64 - (f->bit_size ? f->bit_size : (int)f->size * 8);
	uint64_t raw = load(f, rec + f->offset) >> f->bit_offset << unused;
	bool is_signed = f->kind == FIELD_INT || f->kind == FIELD_ERRNO || f->has_negative;
	int64_t value = is_signed ? (int64_t)raw >> unused : (int64_t)(raw >> unused);

	if (f->kind == FIELD_BOOL)
		return value != 0;
	if (n->maybe_nil && value == expr_nil_raw(f))
		*nil = true;
	return value;
}

static int64_t eval_int(const struct node *n, const uint8_t *rec, bool *nil)
{
	int64_t l;

	if (n->op == OP_CONST)
		return n->i;
	if (n->op == OP_FIELD)
		return get_field(n, rec, nil);
	l = eval_int(n->l, rec, nil);
	return expr_arith(n->op, l, n->r ? eval_int(n->r, rec, nil) : 0);
}

bool expr_compare(enum expr_op op, int64_t a, int64_t b)
{
	switch (op) {
	case OP_EQ:
		return a == b;
	case OP_LT:
		return a < b;
	case OP_LE:
		return a <= b;
	case OP_GT:
		return a > b;
	default:
		return a >= b;
	}
}

static bool eval_compare(const struct node *n, const uint8_t *rec)
{
	bool nil = false;
	int64_t l = eval_int(n->l, rec, &nil), r = eval_int(n->r, rec, &nil);

	return !nil && expr_compare(n->op, l, r);
}

static bool eval_in(const struct node *n, const uint8_t *rec)
{
	bool nil = false;
	int64_t i = eval_int(n->l, rec, &nil);

	return !nil && expr_in_ranges(n, i);
}

static bool eval_nil(const struct node *n, const uint8_t *rec)
{
	bool nil = false;

	eval_int(n->l, rec, &nil);
	return nil;
}

/* The field's own bytes; those behind a text's NUL don't count. */
static bool eval_text(const struct node *n, const uint8_t *rec)
{
	const struct field *f = n->l->field;
	const uint8_t *p = rec + f->offset;

	if (memcmp(p, n->s, n->len) != 0)
		return false;
	if (!n->i)
		return true;
	if (f->kind == FIELD_STR)
		return p[n->len] == '\0';
	for (size_t i = n->len; i < f->size; i++)
		if (p[i])
			return false;
	return true;
}

static bool eval_same_text(const struct node *n, const uint8_t *rec)
{
	const struct field *a = n->l->field, *b = n->r->field;
	const char *s = (const char *)rec + a->offset, *t = (const char *)rec + b->offset;
	size_t len;

	if (a->kind != FIELD_STR)
		return memcmp(s, t, a->size) == 0;
	len = strnlen(s, a->size);
	return len == strnlen(t, b->size) && memcmp(s, t, len) == 0;
}

static void get_addr(const struct field *f, const uint8_t *rec, uint8_t addr[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	if (f->kind == FIELD_ADDR6) {
		memcpy(addr, rec + f->offset, 16);
		return;
	}
	memcpy(addr, prefix, sizeof(prefix));
	memcpy(addr + 12, rec + f->offset, 4);
}

static bool eval_addr(const struct node *n, const uint8_t *rec)
{
	uint8_t addr[16];

	get_addr(n->l->field, rec, addr);
	return expr_in_spans(n, addr);
}

static bool eval_same_addr(const struct node *n, const uint8_t *rec)
{
	uint8_t a[16], b[16];

	get_addr(n->l->field, rec, a);
	get_addr(n->r->field, rec, b);
	return memcmp(a, b, 16) == 0;
}

static bool eval(const struct node *n, const uint8_t *rec)
{
	bool nil;

	switch (n->op) {
	case OP_CONST:
		return n->i;
	case OP_OR:
		return eval(n->l, rec) || eval(n->r, rec);
	case OP_AND:
		return eval(n->l, rec) && eval(n->r, rec);
	case OP_NOT:
		return !eval(n->l, rec);
	case OP_FIELD:
		return get_field(n, rec, &nil);
	case OP_IN:
		return eval_in(n, rec);
	case OP_IS_NIL:
		return eval_nil(n, rec);
	case OP_TEXT:
		return eval_text(n, rec);
	case OP_SAME_TEXT:
		return eval_same_text(n, rec);
	case OP_ADDR:
		return eval_addr(n, rec);
	case OP_SAME_ADDR:
		return eval_same_addr(n, rec);
	default:
		return eval_compare(n, rec);
	}
}

bool expr_eval(const struct expr *e, const void *record)
{
	return eval(e->root, record);
}
