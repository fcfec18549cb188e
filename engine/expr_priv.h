/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * expr_priv.h - what the parts of expr share.
 *
 * expr_lex makes tokens, expr_parse a tree, expr_check and expr_list turn it into one with types in
 * which all that is constant is computed; expr_eval and expr_code walk that one.
 */
#ifndef BPFNET_EXPR_PRIV_H
#define BPFNET_EXPR_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"
#include "expr.h"
#include "record.h"

#define EXPR_MAX_TEXT  8192
#define EXPR_MAX_DEPTH 100 /* of parentheses and prefixes */
#define EXPR_MAX_CODE  4096

enum expr_type {
	TYPE_NONE,
	TYPE_BOOL,
	TYPE_INT,
	TYPE_ENUM,
	TYPE_ERRNO,
	TYPE_STR,
	TYPE_ADDR,
	TYPE_NIL,
};

/* A duration is in ns (UNIT_TIME) until it meets a field that has a unit of its own. */
enum expr_unit { UNIT_NONE, UNIT_BYTES, UNIT_TIME, UNIT_NS, UNIT_US, UNIT_MS };

enum expr_op {
	OP_NONE,
	OP_OR,
	OP_AND,
	OP_NOT,
	OP_EQ,
	OP_NE, /* only until it is checked, then it is OP_NOT of OP_EQ */
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE,
	OP_IN, /* checked: l is an integer, ranges */
	OP_NOT_IN, /* only until it is checked */
	OP_STARTS, /* only until it is checked */
	OP_BOR,
	OP_BXOR,
	OP_BAND,
	OP_SHL,
	OP_SHR,
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV,
	OP_MOD,
	OP_NEG,
	OP_BNOT,
	OP_CONST,
	OP_FIELD,
	OP_NAME, /* only until it is checked: of a field, or of what a field can be */
	OP_RANGE, /* l..r, an item of a list */
	OP_LIST, /* only until it is checked: l is the first item */
	/* made by the checks */
	OP_IS_NIL, /* l */
	OP_TEXT, /* l is a field; s and len; i: all of it and not just its start */
	OP_SAME_TEXT, /* l and r are fields */
	OP_ADDR, /* l is a field; in one of the spans */
	OP_SAME_ADDR, /* l and r are fields */
};

/* Both ends are in it. */
struct expr_range {
	int64_t lo, hi;
};

struct expr_span {
	uint8_t lo[16], hi[16];
};

struct node {
	enum expr_op op;
	enum expr_type type;
	enum expr_unit unit;
	int at, end; /* in the text */
	int width; /* of an integer: it is below 1 << width and not negative; 64: unknown */
	bool maybe_nil;
	bool braces; /* OP_LIST */
	struct node *l, *r;
	struct node *next; /* item of a list */
	const struct field *field;
	int64_t i;
	const char *s; /* text, or a name; ends with NUL */
	size_t len;
	struct expr_span span; /* of an address or a network */
	/* sorted, none touches the next; owned */
	struct expr_range *ranges;
	struct expr_span *spans;
	int n;
};

struct expr {
	char *text;
	int len;
	const struct layout *layout;
	struct node *root;
	struct node *nodes; /* all of them */
	int nr_nodes, max_nodes;
	char *strings; /* of tokens; twice the text's length is enough for them with a NUL each */
	size_t strings_len;
};

enum expr_token {
	TOK_END,
	TOK_OP, /* between two operands */
	TOK_NOT,
	TOK_TILDE,
	TOK_INT,
	TOK_STR,
	TOK_ADDR,
	TOK_NAME,
	TOK_TRUE,
	TOK_FALSE,
	TOK_NIL,
	TOK_OPEN,
	TOK_CLOSE,
	TOK_OPEN_LIST,
	TOK_CLOSE_LIST,
	TOK_COMMA,
	TOK_DOTS,
	TOK_ASSIGN,
};

struct token {
	enum expr_token kind;
	enum expr_op op;
	int at, end;
	int64_t i;
	enum expr_unit unit;
	const char *s;
	size_t len;
	struct expr_span span;
};

/*
 * Sets err to the place, as offset in the text, and what is wrong there. Returns -EINVAL.
 */
int expr_error(const struct expr *e, struct err *err, int at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Puts the text and the place in front of a message that is set already. Returns its code. */
int expr_error_at(const struct expr *e, struct err *err, int at);
/* A new node; NULL with err set to -EINVAL if there are too many. */
struct node *expr_node(struct expr *e, enum expr_op op, int at, int end, struct err *err);

/* Reads the token at text offset `at`. 0 or -EINVAL. */
int expr_lex(struct expr *e, int at, struct token *token, struct err *err);
/* Address or network as the addresses in it; IPv4 is mapped. False if it is none. */
bool expr_net_parse(const char *text, size_t len, struct expr_span *span);

/* Sets e->root, unchecked. 0 or -errno. */
int expr_parse(struct expr *e, struct err *err);

/* Sets types, finds names, computes constants. 0 or -errno. */
int expr_check(struct expr *e, struct err *err);
/* A value's own checks: the node to put in its place, or NULL with err set. */
struct node *expr_check_value(struct expr *e, struct node *n, struct err *err);
struct node *expr_check_compare(struct expr *e, struct node *n, struct err *err);
struct node *expr_check_in(struct expr *e, struct node *n, struct err *err);
struct node *expr_check_arith(struct expr *e, struct node *n, struct err *err);
/* The field of that name, or NULL; n may be anything. */
const struct field *expr_name_field(const struct expr *e, const struct node *n);
/* Text or a name becomes the integer that the field has for it. NULL with err set. */
struct node *expr_named(struct expr *e, const struct field *f, struct node *n, struct err *err);
/* Turns n, text in an operand's place, into an address. 0 or -EINVAL. */
int expr_text_addr(struct expr *e, struct node *n, struct err *err);
/* n->l, an address, is in one of the items, which are addresses and ranges. NULL with err set. */
struct node *expr_addr_in(struct expr *e, struct node *n, struct node *items, struct err *err);
bool expr_in_spans(const struct node *n, const uint8_t addr[16]);
/* l == "text", or l starts "text"; n holds the text and becomes the test. */
struct node *expr_text_test(struct expr *e, struct node *n, struct node *l, bool whole,
			    struct err *err);
/* n becomes the test whether all bytes of n->l, a field, are zero. */
struct node *expr_text_zero(struct node *n);
/* n becomes its opposite. */
struct node *expr_negate(struct expr *e, struct node *n, struct err *err);
/* Brings two integers to one unit and returns it; -errno. */
int expr_unify(struct expr *e, struct node *a, struct node *b, struct err *err);
/* How many bytes of its text a message shows. */
int expr_shown(const struct node *n);
/* "an integer" */
const char *expr_type_name(enum expr_type type);
int expr_wrong_type(struct expr *e, const struct node *a, const struct node *b, struct err *err);
int expr_unexpected(struct expr *e, const struct node *n, const char *expected, struct err *err);
struct node *expr_bool(struct node *n, bool value);

/* a op b with 64 bits that wrap; b is ignored by OP_NEG and OP_BNOT. */
int64_t expr_arith(enum expr_op op, int64_t a, int64_t b);
bool expr_compare(enum expr_op op, int64_t a, int64_t b);
bool expr_in_ranges(const struct node *n, int64_t i);
/* What an integer field that is nil looks like. */
int64_t expr_nil_raw(const struct field *f);

/* Where a condition goes to. */
struct branch {
	int yes, no; /* labels */
	int next; /* which of them is placed right behind; -1: neither */
};

/* A jump to the label, unless it follows. */
void expr_code_goto(struct code *code, int label, struct branch to);
/* if (dst op src) goto to.yes; else goto to.no */
void expr_code_branch(struct code *code, int op, int dst, int src, struct branch to);
void expr_code_branch_imm(struct code *code, int op, int dst, int64_t imm, struct branch to);
/* dst = the `size` bytes at `off` of the record, in loads that are aligned; uses register 0 */
void expr_code_load(struct code *code, int size, int dst, uint32_t off);
/* The conditions that are about memory; they use registers 0 to 2. */
void expr_code_text(struct code *code, const struct node *n, struct branch to);
void expr_code_same_text(struct code *code, const struct node *n, struct branch to);
void expr_code_addr(struct code *code, const struct node *n, struct branch to);
void expr_code_same_addr(struct code *code, const struct node *n, struct branch to);

#endif
