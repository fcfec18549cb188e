/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Types: what each part of an expression is, names of fields, conditions. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "expr_priv.h"
#include "util.h"

const char *expr_type_name(enum expr_type type)
{
	static const char *const names[] = {
		[TYPE_NONE] = "nothing",    [TYPE_BOOL] = "a condition",
		[TYPE_INT] = "an integer",  [TYPE_ENUM] = "one of a set of names",
		[TYPE_ERRNO] = "an errno",  [TYPE_STR] = "text",
		[TYPE_ADDR] = "an address", [TYPE_NIL] = "nil",
	};

	return names[type];
}

int expr_shown(const struct node *n)
{
	return n->end - n->at < 40 ? n->end - n->at : 40;
}

int expr_wrong_type(struct expr *e, const struct node *a, const struct node *b, struct err *err)
{
	expr_error(e, err, b->at, "can't compare %.*s, which is %s, with %.*s, which is %s",
		   expr_shown(a), e->text + a->at, expr_type_name(a->type), expr_shown(b),
		   e->text + b->at, expr_type_name(b->type));
	if (a->type == TYPE_BOOL || b->type == TYPE_BOOL)
		err_hint(err, "compare a condition with true or false");
	return -EINVAL;
}

int expr_unexpected(struct expr *e, const struct node *n, const char *expected, struct err *err)
{
	return expr_error(e, err, n->at, "expected %s, but %.*s is %s", expected, expr_shown(n),
			  e->text + n->at, expr_type_name(n->type));
}

struct node *expr_bool(struct node *n, bool value)
{
	n->op = OP_CONST;
	n->type = TYPE_BOOL;
	n->i = value;
	return n;
}

struct node *expr_negate(struct expr *e, struct node *n, struct err *err)
{
	struct node * not ;

	if (n->op == OP_CONST)
		return expr_bool(n, !n->i);
	if (n->op == OP_NOT)
		return n->l;
	not = expr_node(e, OP_NOT, n->at, n->end, err);
	if (!not )
		return NULL;
	not ->type = TYPE_BOOL;
	not ->l = n;
	return not ;
}

const struct field *expr_name_field(const struct expr *e, const struct node *n)
{
	return n->op == OP_NAME ? layout_field(e->layout, n->s) : NULL;
}

static enum expr_type field_type(const struct field *f)
{
	switch (f->kind) {
	case FIELD_BOOL:
		return TYPE_BOOL;
	case FIELD_ENUM:
	case FIELD_REASON:
		return TYPE_ENUM;
	case FIELD_ERRNO:
		return TYPE_ERRNO;
	case FIELD_STR:
	case FIELD_BYTES:
	case FIELD_MAC:
		return TYPE_STR;
	case FIELD_ADDR4:
	case FIELD_ADDR6:
		return TYPE_ADDR;
	case FIELD_KSYM:
	case FIELD_STACK:
	case FIELD_LIST:
		return TYPE_NONE;
	default:
		return TYPE_INT;
	}
}

static enum expr_unit field_unit(const char *name)
{
	static const struct {
		const char *end;
		enum expr_unit unit;
	} ends[] = {
		{ "_ns", UNIT_NS }, { "_us", UNIT_US }, { "_ms", UNIT_MS }, { "_bytes", UNIT_BYTES }
	};
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t n = strlen(ends[i].end);

		if (len > n && str_eq(name + len - n, ends[i].end))
			return ends[i].unit;
	}
	return UNIT_NONE;
}

static int field_width(const struct field *f)
{
	int bits = f->bit_size ? f->bit_size : (int)f->size * 8;

	if (f->kind == FIELD_BOOL)
		return 1;
	if (f->kind == FIELD_INT || f->kind == FIELD_ERRNO || f->has_negative || bits > 63)
		return 64;
	return bits;
}

static struct node *check_name(struct expr *e, struct node *n, struct err *err)
{
	const struct field *f = expr_name_field(e, n);

	if (!f) {
		layout_no_field(e->layout, n->s, err);
		expr_error_at(e, err, n->at);
		return NULL;
	}
	n->op = OP_FIELD;
	n->field = f;
	n->type = field_type(f);
	if (n->type == TYPE_NONE) {
		expr_error(e, err, n->at, "\"%s\" is a %s, which can't be compared here", f->name,
			   field_type_name(f));
		if (f->kind == FIELD_LIST)
			err_hint(err, "compare %s, or the entries in the script", f->len->name);
		else
			err_hint(err, "compare it in the script");
		return NULL;
	}
	n->maybe_nil = f->kind == FIELD_OPT || f->kind == FIELD_ERRNO || f->kind == FIELD_REASON;
	if (n->type == TYPE_INT)
		n->unit = field_unit(f->name);
	if (n->type == TYPE_INT || n->type == TYPE_ENUM || n->type == TYPE_ERRNO ||
	    n->type == TYPE_BOOL)
		n->width = field_width(f);
	return n;
}

static struct node *check_condition(struct expr *e, struct node *n, struct err *err)
{
	n = expr_check_value(e, n, err);
	if (!n || n->type == TYPE_BOOL)
		return n;
	if (n->type == TYPE_INT)
		expr_error(e, err, n->at, "expected a condition, write \"%.*s != 0\"",
			   expr_shown(n), e->text + n->at);
	else
		expr_unexpected(e, n, "a condition", err);
	return NULL;
}

static struct node *check_not(struct expr *e, struct node *n, struct err *err)
{
	struct node *l = check_condition(e, n->l, err);

	return l ? expr_negate(e, l, err) : NULL;
}

static struct node *check_logic(struct expr *e, struct node *n, struct err *err)
{
	bool is_or = n->op == OP_OR;

	n->l = check_condition(e, n->l, err);
	n->r = n->l ? check_condition(e, n->r, err) : NULL;
	if (!n->r)
		return NULL;
	n->type = TYPE_BOOL;
	/* one that is constant decides, or says nothing */
	if (n->l->op == OP_CONST)
		return (n->l->i != 0) == is_or ? n->l : n->r;
	if (n->r->op == OP_CONST)
		return (n->r->i != 0) == is_or ? n->r : n->l;
	return n;
}

struct node *expr_check_value(struct expr *e, struct node *n, struct err *err)
{
	switch (n->op) {
	case OP_OR:
	case OP_AND:
		return check_logic(e, n, err);
	case OP_NOT:
		return check_not(e, n, err);
	case OP_EQ:
	case OP_NE:
	case OP_LT:
	case OP_LE:
	case OP_GT:
	case OP_GE:
	case OP_STARTS:
		return expr_check_compare(e, n, err);
	case OP_IN:
	case OP_NOT_IN:
		return expr_check_in(e, n, err);
	case OP_NAME:
		return check_name(e, n, err);
	case OP_CONST:
		n->width = n->i < 0 ? 64 : n->i ? 64 - __builtin_clzll((uint64_t)n->i) : 0;
		return n;
	default:
		return expr_check_arith(e, n, err);
	}
}

int expr_check(struct expr *e, struct err *err)
{
	e->root = check_condition(e, e->root, err);
	return e->root ? 0 : err->code;
}
