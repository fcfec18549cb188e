/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Integers: units, arithmetic on constants, how large a result can get. */
#include <errno.h>
#include "expr_priv.h"

/* Division as BPF has it: x / 0 is 0, x % 0 is x; and nothing overflows. */
static int64_t divide(enum expr_op op, int64_t a, int64_t b)
{
	if (b == 0)
		return op == OP_DIV ? 0 : a;
	if (b == -1)
		return op == OP_DIV ? (int64_t)(0 - (uint64_t)a) : 0;
	return op == OP_DIV ? a / b : a % b;
}

int64_t expr_arith(enum expr_op op, int64_t a, int64_t b)
{
	uint64_t x = (uint64_t)a, y = (uint64_t)b;

	switch (op) {
	case OP_ADD:
		return (int64_t)(x + y);
	case OP_SUB:
		return (int64_t)(x - y);
	case OP_MUL:
		return (int64_t)(x * y);
	case OP_DIV:
	case OP_MOD:
		return divide(op, a, b);
	case OP_BAND:
		return a & b;
	case OP_BOR:
		return a | b;
	case OP_BXOR:
		return a ^ b;
	case OP_SHL:
		return (int64_t)(x << (y & 63));
	case OP_SHR:
		return (int64_t)(x >> (y & 63));
	case OP_NEG:
		return (int64_t)(0 - x);
	default:
		return ~a;
	}
}

static int max(int a, int b)
{
	return a > b ? a : b;
}

static int min(int a, int b)
{
	return a < b ? a : b;
}

static int shift_width(const struct node *n)
{
	int l = n->l->width, by;

	if (n->r->op != OP_CONST)
		return n->op == OP_SHR ? l : 64;
	by = (int)(n->r->i & 63);
	if (n->op == OP_SHL)
		return l + by;
	return max(l - by, 0);
}

/* Above 63 bits nothing is known. */
static int result_width(const struct node *n)
{
	int l = n->l->width, r = n->r ? n->r->width : 64;

	switch (n->op) {
	case OP_ADD:
		return max(l, r) + 1;
	case OP_MUL:
		return l + r;
	case OP_BAND:
		return min(l, r);
	case OP_BOR:
	case OP_BXOR:
		return max(l, r);
	case OP_DIV:
		return l < 64 && r < 64 ? l : 64;
	case OP_MOD:
		return l;
	case OP_SHL:
	case OP_SHR:
		return shift_width(n);
	default:
		return 64;
	}
}

static bool is_literal(const struct node *n)
{
	return n->op == OP_CONST && (n->unit == UNIT_TIME || n->unit == UNIT_BYTES);
}

static bool is_time(enum expr_unit unit)
{
	return unit >= UNIT_TIME;
}

static const char *unit_text(enum expr_unit unit)
{
	static const char *const texts[] = { "has no unit", "is in bytes", "is a duration",
					     "is in ns",    "is in us",    "is in ms" };

	return texts[unit];
}

static int wrong_unit(struct expr *e, const struct node *lit, const struct node *other,
		      struct err *err)
{
	const char *what = is_time(lit->unit) ? "a duration" : "a size";

	expr_error(e, err, lit->at, "%.*s is %s, but %.*s %s", expr_shown(lit), e->text + lit->at,
		   what, expr_shown(other), e->text + other->at, unit_text(other->unit));
	if (other->unit == UNIT_NONE && other->op == OP_CONST)
		err_hint(err, "give both numbers a unit");
	else if (other->unit == UNIT_NONE)
		err_hint(err, "a unit goes with fields called *_ns, *_us, *_ms or *_bytes; "
			      "write a number without one");
	else
		err_hint(err, "the end of a field's name is its unit");
	return -EINVAL;
}

/* A duration becomes a number in a field's unit. */
static int convert(struct expr *e, struct node *lit, const struct node *other, struct err *err)
{
	static const int64_t ns[] = { [UNIT_NS] = 1, [UNIT_US] = 1000, [UNIT_MS] = 1000 * 1000 };

	if (lit->i % ns[other->unit]) {
		expr_error(e, err, lit->at, "%.*s is not a whole number of units of %.*s, which %s",
			   expr_shown(lit), e->text + lit->at, expr_shown(other),
			   e->text + other->at, unit_text(other->unit));
		return -EINVAL;
	}
	lit->i /= ns[other->unit];
	lit->unit = other->unit;
	return lit->unit;
}

int expr_unify(struct expr *e, struct node *a, struct node *b, struct err *err)
{
	struct node *lit = is_literal(a) ? a : b, *other = lit == a ? b : a;

	if (a->unit == b->unit)
		return a->unit;
	if (is_literal(lit)) {
		if (lit->unit == UNIT_TIME && is_time(other->unit))
			return convert(e, lit, other, err);
		return wrong_unit(e, lit, other, err);
	}
	if (a->unit == UNIT_NONE)
		return b->unit;
	/* fields with different units: the script's own business */
	return b->unit == UNIT_NONE ? a->unit : UNIT_NONE;
}

static int product_unit(struct expr *e, struct node *l, struct node *r, struct err *err)
{
	const struct node *time = l->unit == UNIT_TIME ? l : r;

	if (time->unit == UNIT_TIME) {
		const struct node *other = time == l ? r : l;

		if (other->op == OP_CONST && other->unit == UNIT_NONE)
			return UNIT_TIME;
		return expr_error(e, err, time->at,
				  "a duration can only be multiplied by a number");
	}
	if (l->unit == UNIT_NONE)
		return r->unit;
	return r->unit == UNIT_NONE ? l->unit : UNIT_NONE;
}

static int quotient_unit(struct expr *e, struct node *l, struct node *r, struct err *err)
{
	int rc;

	if (r->unit == UNIT_NONE && !(is_literal(l) && r->op != OP_CONST))
		return l->unit;
	if (l->unit == UNIT_BYTES && is_time(r->unit) && !is_literal(l) && !is_literal(r))
		return UNIT_NONE;
	rc = expr_unify(e, l, r, err);
	return rc < 0 ? rc : UNIT_NONE;
}

static int result_unit(struct expr *e, struct node *n, struct err *err)
{
	switch (n->op) {
	case OP_NEG:
	case OP_BNOT:
		return n->l->unit;
	case OP_MUL:
		return product_unit(e, n->l, n->r, err);
	case OP_DIV:
		return quotient_unit(e, n->l, n->r, err);
	case OP_SHL:
	case OP_SHR:
		if (is_literal(n->r))
			return expr_error(e, err, n->r->at, "the number of bits has no unit");
		if (n->l->unit == UNIT_TIME && n->r->op != OP_CONST)
			return expr_error(e, err, n->l->at,
					  "a duration can only be shifted by a number");
		return n->l->unit;
	default:
		return expr_unify(e, n->l, n->r, err);
	}
}

static struct node *check_operand(struct expr *e, struct node *n, struct err *err)
{
	n = expr_check_value(e, n, err);
	if (!n || n->type == TYPE_INT)
		return n;
	expr_unexpected(e, n, "an integer", err);
	return NULL;
}

struct node *expr_check_arith(struct expr *e, struct node *n, struct err *err)
{
	int unit;

	n->l = check_operand(e, n->l, err);
	if (!n->l)
		return NULL;
	if (n->r)
		n->r = check_operand(e, n->r, err);
	if (!n->r && n->op != OP_NEG && n->op != OP_BNOT)
		return NULL;
	unit = result_unit(e, n, err);
	if (unit < 0)
		return NULL;
	n->unit = (enum expr_unit)unit;
	n->type = TYPE_INT;
	n->maybe_nil = n->l->maybe_nil || (n->r && n->r->maybe_nil);
	if ((n->op == OP_DIV || n->op == OP_MOD) && n->r->op == OP_CONST && !n->r->i) {
		expr_error(e, err, n->r->at, "division by zero");
		return NULL;
	}
	if (n->l->op == OP_CONST && (!n->r || n->r->op == OP_CONST)) {
		n->i = expr_arith(n->op, n->l->i, n->r ? n->r->i : 0);
		n->op = OP_CONST;
		return expr_check_value(e, n, err);
	}
	n->width = min(result_width(n), 64);
	return n;
}
