/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What stands behind `in`: ranges of integers, ranges of addresses, texts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "expr_priv.h"
#include "util.h"

bool expr_in_ranges(const struct node *n, int64_t i)
{
	for (int k = 0; k < n->n; k++)
		if (i >= n->ranges[k].lo && i <= n->ranges[k].hi)
			return true;
	return false;
}

bool expr_in_spans(const struct node *n, const uint8_t addr[16])
{
	for (int k = 0; k < n->n; k++)
		if (memcmp(addr, n->spans[k].lo, 16) >= 0 && memcmp(addr, n->spans[k].hi, 16) <= 0)
			return true;
	return false;
}

static int by_range(const void *a, const void *b)
{
	const struct expr_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

static int by_span(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* Overlapping and adjacent ranges become one. */
static void merge_ranges(struct node *n)
{
	int last = 0;

	qsort(n->ranges, (size_t)n->n, sizeof(*n->ranges), by_range);
	for (int i = 1; i < n->n; i++) {
		struct expr_range *to = &n->ranges[last], *r = &n->ranges[i];

		if (to->hi == INT64_MAX || r->lo <= to->hi + 1)
			to->hi = r->hi > to->hi ? r->hi : to->hi;
		else
			n->ranges[++last] = *r;
	}
	n->n = last + 1;
}

/* Adjacent networks stay apart: their union may be none, and a network is cheaper to test. */
static void merge_spans(struct node *n)
{
	int last = 0;

	qsort(n->spans, (size_t)n->n, sizeof(*n->spans), by_span);
	for (int i = 1; i < n->n; i++) {
		struct expr_span *to = &n->spans[last], *s = &n->spans[i];

		if (memcmp(s->lo, to->hi, 16) > 0)
			n->spans[++last] = *s;
		else if (memcmp(s->hi, to->hi, 16) > 0)
			memcpy(to->hi, s->hi, 16);
	}
	n->n = last + 1;
}

static int count(const struct node *items)
{
	int n = 0;

	for (; items; items = items->next)
		n++;
	return n;
}

static void *no_memory(struct err *err)
{
	err_set(err, -ENOMEM, "out of memory");
	return NULL;
}

static int not_constant(struct expr *e, const struct node *n, const char *what, struct err *err)
{
	return expr_error(e, err, n->at, "expected %s, got %.*s", what, expr_shown(n),
			  e->text + n->at);
}

/* One end of a range, or a number alone; a name, if l has names. */
static int check_int(struct expr *e, struct node *l, struct node *item, int64_t *value,
		     struct err *err)
{
	bool named = l->op == OP_FIELD && field_has_names(l->field);

	if (named && (item->op == OP_NAME || (item->op == OP_CONST && item->type == TYPE_STR)))
		item = expr_named(e, l->field, item, err);
	else
		item = expr_check_value(e, item, err);
	if (!item)
		return err->code;
	if (item->op != OP_CONST || item->type != TYPE_INT)
		return not_constant(e, item, named ? "a name" : "an integer that is constant", err);
	if (expr_unify(e, l, item, err) < 0)
		return err->code;
	*value = item->i;
	return 0;
}

static int reversed(struct expr *e, const struct node *item, struct err *err)
{
	return expr_error(e, err, item->at, "the range %.*s ends before it begins",
			  expr_shown(item), e->text + item->at);
}

static int check_range(struct expr *e, struct node *l, struct node *item, struct expr_range *range,
		       struct err *err)
{
	int rc;

	if (item->op != OP_RANGE) {
		rc = check_int(e, l, item, &range->lo, err);
		range->hi = range->lo;
		return rc;
	}
	rc = check_int(e, l, item->l, &range->lo, err);
	if (!rc)
		rc = check_int(e, l, item->r, &range->hi, err);
	return rc || range->lo <= range->hi ? rc : reversed(e, item, err);
}

static struct node *int_in(struct expr *e, struct node *n, struct node *items, struct err *err)
{
	int i = 0;

	n->ranges = calloc((size_t)count(items), sizeof(*n->ranges));
	if (!n->ranges)
		return no_memory(err);
	for (struct node *item = items; item; item = item->next)
		if (check_range(e, n->l, item, &n->ranges[i++], err))
			return NULL;
	n->n = i;
	merge_ranges(n);
	if (n->l->op == OP_CONST)
		return expr_bool(n, expr_in_ranges(n, n->l->i));
	/* nil is the number 0 here, which the ranges hold or don't */
	if (n->l->type != TYPE_INT)
		n->l->maybe_nil = false;
	return n;
}

int expr_text_addr(struct expr *e, struct node *n, struct err *err)
{
	if (strlen(n->s) != n->len || !expr_net_parse(n->s, n->len, &n->span))
		return not_constant(e, n, "an address or a network like 10.0.0.0/8 or fd00::/8",
				    err);
	n->type = TYPE_ADDR;
	return 0;
}

static int check_addr(struct expr *e, struct node *item, struct err *err)
{
	if (item->op == OP_CONST && item->type == TYPE_STR)
		return expr_text_addr(e, item, err);
	if (item->op != OP_CONST || item->type != TYPE_ADDR)
		return not_constant(e, item, "an address or a network", err);
	return 0;
}

static int check_span(struct expr *e, struct node *item, struct expr_span *span, struct err *err)
{
	const struct expr_span *l, *r;
	int rc;

	if (item->op != OP_RANGE) {
		rc = check_addr(e, item, err);
		*span = item->span;
		return rc;
	}
	rc = check_addr(e, item->l, err);
	if (!rc)
		rc = check_addr(e, item->r, err);
	if (rc)
		return rc;
	l = &item->l->span;
	r = &item->r->span;
	if (memcmp(l->lo, l->hi, 16) != 0 || memcmp(r->lo, r->hi, 16) != 0)
		return expr_error(e, err, item->at, "a range is from an address to an address");
	if (memcmp(l->lo, r->lo, 16) > 0)
		return reversed(e, item, err);
	memcpy(span->lo, l->lo, 16);
	memcpy(span->hi, r->hi, 16);
	return 0;
}

struct node *expr_addr_in(struct expr *e, struct node *n, struct node *items, struct err *err)
{
	int i = 0;

	n->op = OP_ADDR;
	n->spans = calloc((size_t)count(items), sizeof(*n->spans));
	if (!n->spans)
		return no_memory(err);
	for (struct node *item = items; item; item = item->next)
		if (check_span(e, item, &n->spans[i++], err))
			return NULL;
	n->n = i;
	merge_spans(n);
	if (n->l->op == OP_CONST)
		return expr_bool(n, expr_in_spans(n, n->l->span.lo));
	return n;
}

/* The kernel keeps 15 bytes of a task's name: a longer one can only mean those. */
static bool is_comm(const struct field *f)
{
	size_t len = strlen(f->name);

	return f->kind == FIELD_STR && f->size == 16 &&
	       (str_eq(f->name, "comm") || (len > 5 && str_eq(f->name + len - 5, "_comm")));
}

struct node *expr_text_zero(struct node *n)
{
	n->op = OP_TEXT;
	n->s = "";
	n->len = 0;
	n->i = true;
	return n;
}

/* The bytes that the text of an address means, in its place. */
static int mac_bytes(struct expr *e, struct node *n, bool whole, struct err *err)
{
	uint8_t mac[6];

	if (!whole)
		return expr_error(e, err, n->at,
				  "a MAC address can only be compared with == and "
				  "!=, and in a list");
	if (strlen(n->s) != n->len || !mac_parse(n->s, mac))
		return not_constant(e, n, "a MAC address like \"02:42:ac:11:00:02\"", err);
	memcpy(n->span.lo, mac, sizeof(mac));
	n->s = (const char *)n->span.lo;
	n->len = sizeof(mac);
	return 0;
}

struct node *expr_text_test(struct expr *e, struct node *n, struct node *l, bool whole,
			    struct err *err)
{
	const struct field *f = l->field;
	size_t room = f->kind == FIELD_STR ? f->size - 1 : f->size;

	if (f->kind == FIELD_MAC && mac_bytes(e, n, whole, err))
		return NULL;
	if (f->kind == FIELD_STR && memchr(n->s, '\0', n->len)) {
		expr_error(e, err, n->at, "\"%s\" ends before its first NUL", f->name);
		return NULL;
	}
	if (n->len > room && is_comm(f))
		n->len = room;
	if (n->len > room) {
		expr_error(e, err, n->at, "\"%s\" holds %zu bytes, this text has %zu", f->name,
			   room, n->len);
		return NULL;
	}
	if (!whole && !n->len)
		return expr_bool(n, true);
	n->op = OP_TEXT;
	n->type = TYPE_BOOL;
	n->l = l;
	n->i = whole;
	return n;
}

static struct node *text_in(struct expr *e, struct node *n, struct node *items, struct err *err)
{
	struct node *all = NULL, *next, * or ;

	for (struct node *item = items; item; item = next) {
		next = item->next;
		if (item->op != OP_CONST || item->type != TYPE_STR) {
			not_constant(e, item, "text in quotes", err);
			return NULL;
		}
		item = expr_text_test(e, item, n->l, true, err);
		or = item && all ? expr_node(e, OP_OR, n->at, n->end, err) : item;
		if (! or)
			return NULL;
		if (all) {
			or->type = TYPE_BOOL;
			or->l = all;
			or->r = item;
		}
		all = or ;
	}
	return all;
}

static struct node *check_list(struct expr *e, struct node *n, struct err *err)
{
	struct node *list = n->r, *l = n->l;

	n->type = TYPE_BOOL;
	if (!list->braces && l->type != TYPE_ADDR && list->l->op != OP_RANGE) {
		expr_error(e, err, list->at, "expected a list in braces or a range after \"in\"");
		err_hint(err, "write == for a single value");
		return NULL;
	}
	switch (l->type) {
	case TYPE_INT:
	case TYPE_ENUM:
	case TYPE_ERRNO:
		return int_in(e, n, list->l, err);
	case TYPE_ADDR:
		return expr_addr_in(e, n, list->l, err);
	case TYPE_STR:
		if (l->op == OP_FIELD)
			return text_in(e, n, list->l, err);
		break;
	default:
		break;
	}
	expr_unexpected(e, l, "an integer, a field with text, or an address before \"in\"", err);
	return NULL;
}

struct node *expr_check_in(struct expr *e, struct node *n, struct err *err)
{
	bool negated = n->op == OP_NOT_IN;

	n->op = OP_IN;
	n->l = expr_check_value(e, n->l, err);
	n = n->l ? check_list(e, n, err) : NULL;
	return n && negated ? expr_negate(e, n, err) : n;
}
