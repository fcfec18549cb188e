/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Jumps of a condition: to the one of its two places that does not follow anyway. */
#include "code.h"
#include "expr_priv.h"

static int opposite(int op)
{
	static const int pairs[][2] = {
		{ BPF_JEQ, BPF_JNE }, { BPF_JSLT, BPF_JSGE }, { BPF_JSLE, BPF_JSGT },
		{ BPF_JLT, BPF_JGE }, { BPF_JLE, BPF_JGT },
	};

	for (int i = 0;; i++) {
		if (pairs[i][0] == op)
			return pairs[i][1];
		if (pairs[i][1] == op)
			return pairs[i][0];
	}
}

void expr_code_goto(struct code *code, int label, struct branch to)
{
	if (to.next != label)
		code_jump(code, label);
}

void expr_code_branch(struct code *code, int op, int dst, int src, struct branch to)
{
	if (to.next == to.yes) {
		code_jump_if(code, opposite(op), dst, src, to.no);
		return;
	}
	code_jump_if(code, op, dst, src, to.yes);
	expr_code_goto(code, to.no, to);
}

void expr_code_branch_imm(struct code *code, int op, int dst, int64_t imm, struct branch to)
{
	if (to.next == to.yes) {
		code_jump_if_imm(code, opposite(op), dst, imm, to.no);
		return;
	}
	code_jump_if_imm(code, op, dst, imm, to.yes);
	expr_code_goto(code, to.no, to);
}
