/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Comparisons, by the types of their sides; names of enums and errnos. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "expr_priv.h"
#include "util.h"

static bool is_named(const struct field *f)
{
	return f && field_has_names(f);
}

/* ", did you mean ...? (known: ...)" as far as it is known. */
static void tell_known(const struct field *f, const char *name, char *buf, size_t size)
{
	const char *near = field_near_name(f, name);
	size_t len = 0;
	int i = 0;

	*buf = '\0';
	if (near)
		len = (size_t)snprintf(buf, size, ", did you mean \"%.50s\"?", near);
	for (; i < f->nr_names && len < size - 72; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%.60s",
					i ? ", " : " (known: ", f->names[i].name);
	if (i)
		snprintf(buf + len, size - len, i < f->nr_names ? ", ...)" : ")");
	if (!i && f->kind == FIELD_REASON)
		snprintf(buf, size, ": this kernel has no names for reasons, newer ones (5.17) do");
}

struct node *expr_named(struct expr *e, const struct field *f, struct node *n, struct err *err)
{
	char known[400];

	if (!field_number(f, n->s, n->len, &n->i)) {
		tell_known(f, n->s, known, sizeof(known));
		expr_error(e, err, n->at, "\"%.50s\" is no value of \"%.50s\"%s", n->s, f->name,
			   known);
		return NULL;
	}
	n->op = OP_CONST;
	n->type = TYPE_INT;
	return expr_check_value(e, n, err);
}

/* What stands beside a field that has names is one of them, if it can be. */
static struct node *check_side(struct expr *e, struct node *n, const struct field *beside,
			       struct err *err)
{
	bool is_text = n->op == OP_CONST && n->type == TYPE_STR;

	if (is_named(beside) && (is_text || (n->op == OP_NAME && !expr_name_field(e, n))))
		return expr_named(e, beside, n, err);
	return expr_check_value(e, n, err);
}

static struct node *check_right(struct expr *e, struct node *l, struct node *r, struct err *err)
{
	if (l->op == OP_FIELD && is_named(l->field)) {
		/* here a name of the field's own comes before a field with the same name */
		for (int i = 0; r->op == OP_NAME && i < l->field->nr_names; i++)
			if (str_eq(l->field->names[i].name, r->s))
				return expr_named(e, l->field, r, err);
		return check_side(e, r, l->field, err);
	}
	r = check_side(e, r, NULL, err);
	if (!r && l->type == TYPE_STR)
		err_hint(err, "text stands in quotes");
	return r;
}

static int check_sides(struct expr *e, struct node *n, struct err *err)
{
	n->l = check_side(e, n->l, expr_name_field(e, n->r), err);
	if (n->l)
		n->r = check_right(e, n->l, n->r, err);
	return n->l && n->r ? 0 : err->code;
}

static enum expr_op mirrored(enum expr_op op)
{
	switch (op) {
	case OP_LT:
		return OP_GT;
	case OP_LE:
		return OP_GE;
	case OP_GT:
		return OP_LT;
	case OP_GE:
		return OP_LE;
	default:
		return op;
	}
}

static bool is_ordered(enum expr_op op)
{
	return op >= OP_LT && op <= OP_GE;
}

/* Constants to the right. */
static void turn(struct node *n)
{
	struct node *l = n->l;

	if (n->op == OP_STARTS || l->op != OP_CONST || n->r->op == OP_CONST)
		return;
	n->l = n->r;
	n->r = l;
	n->op = mirrored(n->op);
}

static struct node *compare_nil(struct expr *e, struct node *n, struct err *err)
{
	if (is_ordered(n->op) || n->op == OP_STARTS) {
		expr_error(e, err, n->r->at, "nil can only be compared with == and !=");
		return NULL;
	}
	if (n->l->op == OP_FIELD && n->l->field->kind == FIELD_FLAGS) {
		n->r->type = TYPE_INT; /* 0: as a number it is never nil */
		return n;
	}
	if (n->l->op == OP_FIELD && n->l->field->kind == FIELD_MAC)
		return expr_text_zero(n);
	if (!n->l->maybe_nil) {
		expr_error(e, err, n->l->at, "%.*s is never nil", expr_shown(n->l),
			   e->text + n->l->at);
		return NULL;
	}
	n->op = OP_IS_NIL;
	return n;
}

static struct node *compare_bool(struct expr *e, struct node *n, struct err *err)
{
	if (is_ordered(n->op)) {
		expr_error(e, err, n->at, "conditions can only be compared with == and !=");
		return NULL;
	}
	if (n->r->op == OP_CONST)
		return n->r->i ? n->l : expr_negate(e, n->l, err);
	if (n->l->op == OP_FIELD && n->r->op == OP_FIELD) {
		n->op = OP_EQ;
		return n;
	}
	expr_error(e, err, n->at,
		   "only fields can be compared here, or a condition with true or false");
	return NULL;
}

static bool same_names(const struct field *a, const struct field *b)
{
	if (a->nr_names != b->nr_names)
		return false;
	for (int i = 0; i < a->nr_names; i++)
		if (a->names[i].value != b->names[i].value ||
		    !str_eq(a->names[i].name, b->names[i].name))
			return false;
	return true;
}

static struct node *compare_ints(struct expr *e, struct node *n, struct err *err)
{
	struct node *l = n->l, *r = n->r;

	if (l->type != TYPE_INT && is_ordered(n->op)) {
		expr_error(e, err, n->at, "%.*s is %s, which has no order", expr_shown(l),
			   e->text + l->at, expr_type_name(l->type));
		return NULL;
	}
	if (expr_unify(e, l, r, err) < 0)
		return NULL;
	if (l->op == OP_CONST)
		return expr_bool(n, expr_compare(n->op, l->i, r->i));
	/* among errnos and reasons the number 0 is what nil is */
	if (l->type != TYPE_INT && l->maybe_nil && r->op == OP_CONST && r->i == 0)
		n->op = OP_IS_NIL;
	else if (l->type != TYPE_INT && r->op == OP_CONST)
		l->maybe_nil = false;
	return n;
}

static struct node *compare_addr(struct expr *e, struct node *n, struct err *err)
{
	struct node *r = n->r;

	if (is_ordered(n->op)) {
		expr_error(e, err, n->at, "addresses can only be compared with ==, != and in");
		return NULL;
	}
	if (r->op != OP_CONST) {
		n->op = OP_SAME_ADDR;
		return n;
	}
	if (memcmp(r->span.lo, r->span.hi, 16) != 0) {
		expr_error(e, err, r->at, "%.*s is a network, write \"in\"", expr_shown(r),
			   e->text + r->at);
		return NULL;
	}
	if (n->l->op == OP_CONST)
		return expr_bool(n, memcmp(&n->l->span, &r->span, sizeof(r->span)) == 0);
	return expr_addr_in(e, n, r, err);
}

static struct node *compare_text(struct expr *e, struct node *n, struct err *err)
{
	struct node *l = n->l, *r = n->r;

	if (is_ordered(n->op)) {
		expr_error(e, err, n->at, "text can only be compared with ==, !=, in and starts");
		return NULL;
	}
	if (r->op == OP_CONST && l->op == OP_CONST) {
		expr_error(e, err, n->at, "expected a field, got text on both sides");
		return NULL;
	}
	if (r->op == OP_CONST)
		return expr_text_test(e, r, l, n->op != OP_STARTS, err);
	if (n->op == OP_STARTS) {
		expr_unexpected(e, r, "text in quotes after \"starts\"", err);
		return NULL;
	}
	if (l->field->kind != r->field->kind ||
	    (l->field->kind == FIELD_BYTES && l->field->size != r->field->size)) {
		expr_error(e, err, r->at, "\"%s\" and \"%s\" are not of one kind", l->field->name,
			   r->field->name);
		return NULL;
	}
	n->op = OP_SAME_TEXT;
	return n;
}

/* Like compare_nil() etc: with `!=` already taken for `==`. */
static struct node *compare(struct expr *e, struct node *n, struct err *err)
{
	enum expr_type l = n->l->type, r = n->r->type;

	n->type = TYPE_BOOL;
	if (n->op == OP_STARTS && (l != TYPE_STR || r != TYPE_STR || n->l->op == OP_CONST)) {
		expr_unexpected(e, l == TYPE_STR && n->l->op != OP_CONST ? n->r : n->l,
				l == TYPE_STR && n->l->op != OP_CONST ?
					"text in quotes after \"starts\"" :
					"a field with text before \"starts\"",
				err);
		return NULL;
	}
	if (r == TYPE_NIL && l != TYPE_NIL)
		return compare_nil(e, n, err);
	if (l == TYPE_ADDR && r == TYPE_STR && n->r->op == OP_CONST) {
		if (expr_text_addr(e, n->r, err))
			return NULL;
		r = TYPE_ADDR;
	}
	if ((l == TYPE_ENUM || l == TYPE_ERRNO) && r == TYPE_INT && n->r->op == OP_CONST)
		return compare_ints(e, n, err);
	if (l == r && (l != TYPE_ENUM || same_names(n->l->field, n->r->field))) {
		if (l == TYPE_BOOL)
			return compare_bool(e, n, err);
		if (l == TYPE_STR)
			return compare_text(e, n, err);
		if (l == TYPE_ADDR)
			return compare_addr(e, n, err);
		if (l != TYPE_NIL)
			return compare_ints(e, n, err);
	}
	expr_wrong_type(e, n->l, n->r, err);
	return NULL;
}

struct node *expr_check_compare(struct expr *e, struct node *n, struct err *err)
{
	bool negated = n->op == OP_NE;

	if (check_sides(e, n, err))
		return NULL;
	if (negated)
		n->op = OP_EQ;
	turn(n);
	n = compare(e, n, err);
	return n && negated ? expr_negate(e, n, err) : n;
}
