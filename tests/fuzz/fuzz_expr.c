/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_expr.c - expressions as nobody would write them (libFuzzer).
 *
 * The input up to a NUL is the text; what follows is the record that it is evaluated on. What can
 * be parsed is compiled as well, and its jumps have to stay inside.
 */
#include <stdlib.h>
#include <string.h>
#include "code.h"
#include "expr.h"
#include "expr_cases.h"

static struct layout *layout;

static void check_insns(const struct code *code)
{
	for (int i = 0; i < code->n; i++) {
		const struct bpf_insn *insn = &code->insns[i];
		int to = i + 1 + insn->off;

		if (BPF_CLASS(insn->code) == BPF_JMP && (to <= i || to > code->n))
			abort();
		if (BPF_CLASS(insn->code) == BPF_STX && insn->dst_reg != CODE_ROOM)
			abort();
		if (BPF_CLASS(insn->code) == BPF_LDX && insn->src_reg == CODE_RECORD &&
		    (insn->off < 0 || insn->off >= (int)sizeof(struct rec)))
			abort();
		i += insn->code == (BPF_LD | BPF_DW | BPF_IMM);
	}
}

static void compile(const struct expr *expr)
{
	struct code code;
	struct err err;
	int no;

	code_init(&code);
	no = code_label(&code);
	if (!expr_code(expr, &code, no, &err)) {
		code_place(&code, no);
		if (!code_finish(&code, &err))
			check_insns(&code);
	}
	code_free(&code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = strnlen((const char *)data, size), left = size - len;
	uint8_t *rec = calloc(1, sizeof(struct rec));
	char *text = malloc(len + 1);
	struct expr *expr;
	struct err err;

	if (!layout)
		layout = expr_layout();
	memcpy(text, data, len);
	text[len] = '\0';
	memcpy(rec, data + len, left < sizeof(struct rec) ? left : sizeof(struct rec));
	if (!expr_new(&expr, text, layout, &err)) {
		expr_eval(expr, rec);
		compile(expr);
		expr_free(expr);
	} else if (!*err.msg || strlen(err.msg) >= sizeof(err.msg)) {
		abort();
	}
	free(text);
	free(rec);
	return 0;
}
