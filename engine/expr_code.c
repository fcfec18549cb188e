/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From a checked expression to instructions: conditions and integers.
 *
 * A condition becomes jumps to where it is true and where it is not; no boolean is ever made.
 * Integers are computed in the registers 1 to 4, as a stack; 0 and 5 are for what is short-lived.
 */
#include <errno.h>
#include "code.h"
#include "expr_priv.h"

#define LAST_REG 4
#define OTHER    5 /* second operand, when LAST_REG holds the first */
#define LINEAR   8 /* more ranges than this are searched by halves */

struct gen {
	const struct expr *e;
	struct code *code;
	struct err *err;
	int saved; /* words in use at CODE_ROOM */
	int rc;
};

static void gen_bits(struct gen *g, const struct field *f, int reg, bool is_signed)
{
	int bits = f->bit_size ? f->bit_size : (int)f->size * 8;
	int left = 64 - bits - f->bit_offset;

	if (is_signed && bits < 64) {
		code_alu_imm(g->code, BPF_LSH, reg, left);
		code_alu_imm(g->code, BPF_ARSH, reg, 64 - bits);
	} else if (f->bit_size) {
		if (f->bit_offset)
			code_alu_imm(g->code, BPF_RSH, reg, f->bit_offset);
		if (bits < 32)
			code_alu_imm(g->code, BPF_AND, reg, (int32_t)((1U << bits) - 1));
		else if (bits < 64) {
			code_alu_imm(g->code, BPF_LSH, reg, 64 - bits);
			code_alu_imm(g->code, BPF_RSH, reg, 64 - bits);
		}
	}
}

static void gen_raw(struct gen *g, const struct field *f, int reg)
{
	bool is_signed = f->kind == FIELD_INT || f->kind == FIELD_ERRNO || f->has_negative;

	expr_code_load(g->code, (int)f->size, reg, f->offset);
	if (f->kind == FIELD_BE && f->size > 1)
		code_big_endian(g->code, (int)f->size * 8, reg);
	gen_bits(g, f, reg, is_signed);
}

/* Jumps to `nil` if that is what the field is; -1: nobody cares. */
static void gen_field(struct gen *g, const struct node *n, int reg, int nil)
{
	gen_raw(g, n->field, reg);
	if (n->field->kind == FIELD_BOOL) {
		/* any byte but 0 is true */
		int zero = code_label(g->code);

		code_jump_if_imm(g->code, BPF_JEQ, reg, 0, zero);
		code_mov_imm(g->code, reg, 1);
		code_place(g->code, zero);
	}
	if (n->maybe_nil && nil >= 0)
		code_jump_if_imm(g->code, BPF_JEQ, reg, expr_nil_raw(n->field), nil);
}

/* reg = -reg if it is negative */
static void gen_abs(struct gen *g, int reg)
{
	int positive = code_label(g->code);

	code_jump_if_imm(g->code, BPF_JSGE, reg, 0, positive);
	code_alu_imm(g->code, BPF_NEG, reg, 0);
	code_place(g->code, positive);
}

/* BPF divides without a sign: divide what is positive, then set the sign. */
static void gen_divide(struct gen *g, const struct node *n, int a, int b)
{
	int op = n->op == OP_DIV ? BPF_DIV : BPF_MOD, done;
	bool a_signed = n->l->width == 64, b_signed = n->r->width == 64;

	/* the sign of a result is in register 0; a remainder has that of the dividend */
	if (a_signed || (b_signed && op == BPF_DIV)) {
		code_mov(g->code, BPF_REG_0, a);
		if (b_signed && op == BPF_DIV)
			code_alu(g->code, BPF_XOR, BPF_REG_0, b);
	}
	if (a_signed)
		gen_abs(g, a);
	if (b_signed)
		gen_abs(g, b);
	code_alu(g->code, op, a, b);
	if (a_signed || (b_signed && op == BPF_DIV)) {
		done = code_label(g->code);
		code_jump_if_imm(g->code, BPF_JSGE, BPF_REG_0, 0, done);
		code_alu_imm(g->code, BPF_NEG, a, 0);
		code_place(g->code, done);
	}
}

static int alu_op(enum expr_op op)
{
	static const int ops[] = {
		[OP_BOR] = BPF_OR,  [OP_BXOR] = BPF_XOR, [OP_BAND] = BPF_AND, [OP_SHL] = BPF_LSH,
		[OP_SHR] = BPF_RSH, [OP_ADD] = BPF_ADD,  [OP_SUB] = BPF_SUB,  [OP_MUL] = BPF_MUL,
		[OP_DIV] = BPF_DIV, [OP_MOD] = BPF_MOD,
	};

	return ops[op];
}

static void apply(struct gen *g, const struct node *n, int a, int b)
{
	if (n->op == OP_DIV || n->op == OP_MOD) {
		gen_divide(g, n, a, b);
		return;
	}
	if (n->op == OP_SHL || n->op == OP_SHR)
		code_alu_imm(g->code, BPF_AND, b, 63);
	code_alu(g->code, alu_op(n->op), a, b);
}

/* The second operand as part of the instruction, if it can be. */
static bool apply_constant(struct gen *g, const struct node *n, const struct node *r, int a)
{
	bool shift = n->op == OP_SHL || n->op == OP_SHR;
	int64_t i = shift ? r->i & 63 : r->i;

	if (r->op != OP_CONST || i != (int32_t)i)
		return false;
	if ((n->op == OP_DIV || n->op == OP_MOD) && (i < 0 || n->l->width == 64))
		return false;
	code_alu_imm(g->code, alu_op(n->op), a, (int32_t)i);
	return true;
}

static void gen_int(struct gen *g, const struct node *n, int reg, int nil);

/* Out of registers: the first operand waits in memory. */
static void gen_second_saved(struct gen *g, const struct node *n, const struct node *r, int nil)
{
	int off = 8 * g->saved;

	if (g->saved == CODE_WORDS) {
		if (!g->rc) {
			g->rc = err_set(g->err, -E2BIG, "nested too deeply, less fits a program");
			expr_error_at(g->e, g->err, r->at);
		}
		return;
	}
	g->saved++;
	code_store(g->code, 8, CODE_ROOM, off, LAST_REG);
	gen_int(g, r, LAST_REG, nil);
	code_mov(g->code, OTHER, LAST_REG);
	code_load(g->code, 8, LAST_REG, CODE_ROOM, off);
	g->saved--;
	apply(g, n, LAST_REG, OTHER);
}

static bool commutes(enum expr_op op)
{
	return op == OP_ADD || op == OP_MUL || op == OP_BAND || op == OP_BOR || op == OP_BXOR;
}

static void gen_binary(struct gen *g, const struct node *n, int reg, int nil)
{
	bool swap = n->l->op == OP_CONST && commutes(n->op);
	const struct node *l = swap ? n->r : n->l, *r = swap ? n->l : n->r;

	gen_int(g, l, reg, nil);
	if (apply_constant(g, n, r, reg))
		return;
	if (reg == LAST_REG) {
		gen_second_saved(g, n, r, nil);
		return;
	}
	gen_int(g, r, reg + 1, nil);
	apply(g, n, reg, reg + 1);
}

static void gen_int(struct gen *g, const struct node *n, int reg, int nil)
{
	switch (n->op) {
	case OP_CONST:
		code_mov_imm(g->code, reg, n->i);
		break;
	case OP_FIELD:
		gen_field(g, n, reg, nil);
		break;
	case OP_NEG:
		gen_int(g, n->l, reg, nil);
		code_alu_imm(g->code, BPF_NEG, reg, 0);
		break;
	case OP_BNOT:
		gen_int(g, n->l, reg, nil);
		code_alu_imm(g->code, BPF_XOR, reg, -1);
		break;
	default:
		gen_binary(g, n, reg, nil);
	}
}

static int jump_op(enum expr_op op)
{
	static const int ops[] = {
		[OP_EQ] = BPF_JEQ, [OP_LT] = BPF_JSLT, [OP_LE] = BPF_JSLE, [OP_GT] = BPF_JSGT, [OP_GE] = BPF_JSGE
	};

	return ops[op];
}

static void gen_compare(struct gen *g, const struct node *n, struct branch to)
{
	const struct node *l = n->l, *r = n->r;
	int nil = to.no;

	if (r->op != OP_CONST) {
		gen_int(g, l, BPF_REG_1, nil);
		gen_int(g, r, BPF_REG_2, nil);
		expr_code_branch(g->code, jump_op(n->op), BPF_REG_1, BPF_REG_2, to);
		return;
	}
	/* the number that stands for nil may give the right answer by itself */
	if (l->op == OP_FIELD && l->maybe_nil && !expr_compare(n->op, expr_nil_raw(l->field), r->i))
		nil = -1;
	gen_int(g, l, BPF_REG_1, nil);
	expr_code_branch_imm(g->code, jump_op(n->op), BPF_REG_1, r->i, to);
}

/* Register 1 is known to be at least `least`. */
static void gen_linear(struct gen *g, const struct expr_range *r, int n, int64_t least,
		       struct branch to)
{
	for (int i = 0; i < n; i++, r++) {
		bool single = r->lo == r->hi;

		if (!single && r->lo > least)
			code_jump_if_imm(g->code, BPF_JSLT, BPF_REG_1, r->lo, to.no);
		if (i == n - 1)
			expr_code_branch_imm(g->code, single ? BPF_JEQ : BPF_JSLE, BPF_REG_1, r->hi,
					     to);
		else
			code_jump_if_imm(g->code, single ? BPF_JEQ : BPF_JSLE, BPF_REG_1, r->hi,
					 to.yes);
	}
}

static void gen_ranges(struct gen *g, const struct expr_range *r, int n, int64_t least,
		       struct branch to)
{
	int half = n / 2, right;

	if (n <= LINEAR) {
		gen_linear(g, r, n, least, to);
		return;
	}
	right = code_label(g->code);
	code_jump_if_imm(g->code, BPF_JSGE, BPF_REG_1, r[half].lo, right);
	gen_ranges(g, r, half, least, (struct branch){ to.yes, to.no, -1 });
	code_place(g->code, right);
	gen_ranges(g, r + half, n - half, r[half].lo, to);
}

static void gen_in(struct gen *g, const struct node *n, struct branch to)
{
	const struct node *l = n->l;
	bool told = l->op == OP_FIELD && l->maybe_nil && !expr_in_ranges(n, expr_nil_raw(l->field));

	gen_int(g, l, BPF_REG_1, told ? -1 : to.no);
	gen_ranges(g, n->ranges, n->n, l->width < 64 ? 0 : INT64_MIN, to);
}

static void gen_nil(struct gen *g, const struct node *n, struct branch to)
{
	if (n->l->op == OP_FIELD) {
		gen_raw(g, n->l->field, BPF_REG_1);
		expr_code_branch_imm(g->code, BPF_JEQ, BPF_REG_1, expr_nil_raw(n->l->field), to);
		return;
	}
	gen_int(g, n->l, BPF_REG_1, to.yes);
	expr_code_goto(g->code, to.no, to);
}

static void gen(struct gen *g, const struct node *n, struct branch to);

static void gen_logic(struct gen *g, const struct node *n, struct branch to)
{
	int right = code_label(g->code);
	struct branch left = { to.yes, right, right };

	if (n->op == OP_AND)
		left = (struct branch){ right, to.no, right };
	gen(g, n->l, left);
	code_place(g->code, right);
	gen(g, n->r, to);
}

static void gen(struct gen *g, const struct node *n, struct branch to)
{
	switch (n->op) {
	case OP_CONST:
		expr_code_goto(g->code, n->i ? to.yes : to.no, to);
		break;
	case OP_OR:
	case OP_AND:
		gen_logic(g, n, to);
		break;
	case OP_NOT:
		gen(g, n->l, (struct branch){ to.no, to.yes, to.next });
		break;
	case OP_FIELD:
		gen_raw(g, n->field, BPF_REG_1);
		expr_code_branch_imm(g->code, BPF_JNE, BPF_REG_1, 0, to);
		break;
	case OP_IN:
		gen_in(g, n, to);
		break;
	case OP_IS_NIL:
		gen_nil(g, n, to);
		break;
	case OP_TEXT:
		expr_code_text(g->code, n, to);
		break;
	case OP_SAME_TEXT:
		expr_code_same_text(g->code, n, to);
		break;
	case OP_ADDR:
		expr_code_addr(g->code, n, to);
		break;
	case OP_SAME_ADDR:
		expr_code_same_addr(g->code, n, to);
		break;
	default:
		gen_compare(g, n, to);
	}
}

int expr_code(const struct expr *e, struct code *code, int no, struct err *err)
{
	struct gen g = { .e = e, .code = code, .err = err };
	int yes = code_label(code), n = code->n;

	gen(&g, e->root, (struct branch){ yes, no, yes });
	code_place(code, yes);
	if (g.rc)
		return g.rc;
	if (code->no_memory)
		return err_set(err, -ENOMEM, "out of memory");
	n = code->n - n;
	if (n > EXPR_MAX_CODE)
		return err_set(err, -E2BIG,
			       "where: expression too long: %d instructions, at most %d", n,
			       EXPR_MAX_CODE);
	return 0;
}
