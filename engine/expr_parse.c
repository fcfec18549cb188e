/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From tokens to a tree, by the precedence of operators. */
#include <errno.h>
#include <string.h>
#include "expr_priv.h"

struct parser {
	struct expr *e;
	struct err *err;
	struct token tok;
	int end; /* of the token before */
	int depth;
};

enum precedence {
	PREC_OR = 1,
	PREC_AND,
	PREC_NOT, /* weaker than a comparison: "not a == b" is "not (a == b)" */
	PREC_COMPARE,
	PREC_BOR,
	PREC_BXOR,
	PREC_BAND,
	PREC_SHIFT,
	PREC_ADD,
	PREC_MUL,
};

static const enum precedence precedence[] = {
	[OP_OR] = PREC_OR,          [OP_AND] = PREC_AND,        [OP_EQ] = PREC_COMPARE,
	[OP_NE] = PREC_COMPARE,     [OP_LT] = PREC_COMPARE,     [OP_LE] = PREC_COMPARE,
	[OP_GT] = PREC_COMPARE,     [OP_GE] = PREC_COMPARE,     [OP_IN] = PREC_COMPARE,
	[OP_NOT_IN] = PREC_COMPARE, [OP_STARTS] = PREC_COMPARE, [OP_BOR] = PREC_BOR,
	[OP_BXOR] = PREC_BXOR,      [OP_BAND] = PREC_BAND,      [OP_SHL] = PREC_SHIFT,
	[OP_SHR] = PREC_SHIFT,      [OP_ADD] = PREC_ADD,        [OP_SUB] = PREC_ADD,
	[OP_MUL] = PREC_MUL,        [OP_DIV] = PREC_MUL,        [OP_MOD] = PREC_MUL,
};

static struct node *parse(struct parser *p, enum precedence min);

static int advance(struct parser *p)
{
	p->end = p->tok.end;
	return expr_lex(p->e, p->tok.end, &p->tok, p->err);
}

/* Says what stands at the place instead of what was expected. */
static struct node *unexpected(struct parser *p, const char *expected)
{
	int len = p->tok.end - p->tok.at;

	if (p->tok.kind == TOK_END)
		expr_error(p->e, p->err, p->tok.at, "expected %s, got the end", expected);
	else
		expr_error(p->e, p->err, p->tok.at, "expected %s, got \"%.*s\"", expected,
			   len < 40 ? len : 40, p->e->text + p->tok.at);
	if (p->tok.kind == TOK_ASSIGN)
		err_hint(p->err, "compare with ==");
	if (p->tok.kind == TOK_NOT)
		err_hint(p->err, "put \"not ...\" in parentheses");
	return NULL;
}

static struct node *node(struct parser *p, enum expr_op op, int at, struct node *l, struct node *r)
{
	struct node *n = expr_node(p->e, op, at, p->end, p->err);

	if (n) {
		n->l = l;
		n->r = r;
	}
	return n;
}

static struct node *constant(struct parser *p, enum expr_type type)
{
	const struct token t = p->tok;
	struct node *n;

	if (advance(p))
		return NULL;
	n = node(p, OP_CONST, t.at, NULL, NULL);
	if (!n)
		return NULL;
	n->type = type;
	n->i = t.i;
	n->unit = t.unit;
	n->s = t.s;
	n->len = t.len;
	n->span = t.span;
	if (t.kind == TOK_NAME)
		n->op = OP_NAME;
	if (t.kind == TOK_TRUE)
		n->i = 1;
	return n;
}

static struct node *parse_parens(struct parser *p)
{
	int at = p->tok.at;
	struct node *n;

	if (advance(p))
		return NULL;
	n = parse(p, PREC_OR);
	if (!n)
		return NULL;
	if (p->tok.kind != TOK_CLOSE) {
		unexpected(p, "\")\" or an operator");
		return NULL;
	}
	if (advance(p))
		return NULL;
	n->at = at;
	n->end = p->end;
	return n;
}

static struct node *parse_primary(struct parser *p)
{
	switch (p->tok.kind) {
	case TOK_INT:
		return constant(p, TYPE_INT);
	case TOK_STR:
		return constant(p, TYPE_STR);
	case TOK_ADDR:
		return constant(p, TYPE_ADDR);
	case TOK_NAME:
		return constant(p, TYPE_NONE);
	case TOK_TRUE:
	case TOK_FALSE:
		return constant(p, TYPE_BOOL);
	case TOK_NIL:
		return constant(p, TYPE_NIL);
	case TOK_OPEN:
		return parse_parens(p);
	default:
		return unexpected(p, "a field or a value");
	}
}

/* A prefix, what it stands before, and how deep that may be. */
static struct node *parse_prefixed(struct parser *p, enum expr_op op, enum precedence min)
{
	int at = p->tok.at;
	struct node *l = advance(p) ? NULL : parse(p, min);

	return l ? node(p, op, at, l, NULL) : NULL;
}

static struct node *parse_operand(struct parser *p, enum precedence min)
{
	if (p->tok.kind == TOK_NOT && min <= PREC_NOT)
		return parse_prefixed(p, OP_NOT, PREC_NOT);
	if (p->tok.kind == TOK_OP && p->tok.op == OP_SUB)
		return parse_prefixed(p, OP_NEG, PREC_MUL + 1);
	if (p->tok.kind == TOK_TILDE)
		return parse_prefixed(p, OP_BNOT, PREC_MUL + 1);
	return parse_primary(p);
}

static struct node *parse_item(struct parser *p)
{
	struct node *l = parse(p, PREC_BOR), *r;

	if (!l || p->tok.kind != TOK_DOTS)
		return l;
	r = advance(p) ? NULL : parse(p, PREC_BOR);
	return r ? node(p, OP_RANGE, l->at, l, r) : NULL;
}

static struct node *parse_items(struct parser *p, struct node *list)
{
	struct node **last = &list->l;

	list->braces = true;
	if (advance(p))
		return NULL;
	if (p->tok.kind == TOK_CLOSE_LIST) {
		expr_error(p->e, p->err, list->at, "the list is empty, so nothing is in it");
		return NULL;
	}
	while (p->tok.kind != TOK_CLOSE_LIST) {
		*last = parse_item(p);
		if (!*last)
			return NULL;
		last = &(*last)->next;
		if (p->tok.kind == TOK_COMMA) {
			if (advance(p))
				return NULL;
		} else if (p->tok.kind != TOK_CLOSE_LIST) {
			return unexpected(p, "\",\" or \"}\"");
		}
	}
	if (advance(p))
		return NULL;
	list->end = p->end;
	return list;
}

/* What stands behind `in`: a list in braces, or a range or network alone. */
static struct node *parse_list(struct parser *p)
{
	struct node *list = node(p, OP_LIST, p->tok.at, NULL, NULL);

	if (!list)
		return NULL;
	if (p->tok.kind == TOK_OPEN_LIST)
		return parse_items(p, list);
	list->l = parse_item(p);
	list->end = p->end;
	return list->l ? list : NULL;
}

/* The operator behind an operand, or OP_NONE. 0 or -EINVAL. `not in` is two words. */
static int peek_operator(struct parser *p, enum precedence min, enum expr_op *op)
{
	int at = p->tok.at;

	*op = p->tok.kind == TOK_OP ? p->tok.op : OP_NONE;
	if (p->tok.kind != TOK_NOT || min > PREC_COMPARE)
		return 0;
	if (advance(p))
		return -EINVAL;
	if (p->tok.kind != TOK_OP || p->tok.op != OP_IN) {
		unexpected(p, "\"in\" after \"not\"");
		return -EINVAL;
	}
	p->tok.at = at;
	p->tok.op = OP_NOT_IN;
	*op = OP_NOT_IN;
	return 0;
}

static struct node *parse_right(struct parser *p, enum expr_op op)
{
	if (advance(p))
		return NULL;
	if (op == OP_IN || op == OP_NOT_IN)
		return parse_list(p);
	return parse(p, precedence[op] + 1);
}

static bool is_comparison(const struct parser *p)
{
	return p->tok.kind == TOK_OP && precedence[p->tok.op] == PREC_COMPARE;
}

static struct node *parse_operators(struct parser *p, struct node *l, enum precedence min)
{
	enum expr_op op;
	struct node *r;

	for (;;) {
		if (peek_operator(p, min, &op))
			return NULL;
		if (op == OP_NONE || precedence[op] < min)
			return l;
		r = parse_right(p, op);
		l = r ? node(p, op, l->at, l, r) : NULL;
		if (!l)
			return NULL;
		if (precedence[op] == PREC_COMPARE && is_comparison(p)) {
			expr_error(p->e, p->err, p->tok.at,
				   "a comparison of a comparison, write \"a < b and b < c\"");
			return NULL;
		}
	}
}

static struct node *parse(struct parser *p, enum precedence min)
{
	struct node *n;

	if (p->depth == EXPR_MAX_DEPTH) {
		expr_error(p->e, p->err, p->tok.at, "nested more than %d deep", EXPR_MAX_DEPTH);
		return NULL;
	}
	p->depth++;
	n = parse_operand(p, min);
	if (n)
		n = parse_operators(p, n, min);
	p->depth--;
	return n;
}

int expr_parse(struct expr *e, struct err *err)
{
	struct parser p = { .e = e, .err = err };

	if (advance(&p))
		return err->code;
	e->root = parse(&p, PREC_OR);
	if (!e->root)
		return err->code;
	if (p.tok.kind != TOK_END) {
		unexpected(&p, "an operator or the end");
		return err->code;
	}
	return 0;
}
