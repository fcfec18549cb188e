/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "code.h"

#define UNPLACED (-1)

void code_init(struct code *code)
{
	memset(code, 0, sizeof(*code));
}

void code_free(struct code *code)
{
	free(code->insns);
	free(code->labels);
	code_init(code);
}

/* Room for one more of `size` bytes; false, and remembered, if there is none. */
static bool grow(struct code *code, void **list, int n, size_t size)
{
	void *bigger;

	/* a power of two is full */
	if (n & (n - 1) || (n && n < 16))
		return true;
	bigger = realloc(*list, (n ? 2 * (size_t)n : 16) * size);
	if (!bigger) {
		code->no_memory = true;
		return false;
	}
	*list = bigger;
	return true;
}

int code_label(struct code *code)
{
	if (!grow(code, (void **)&code->labels, code->nr_labels, sizeof(*code->labels)))
		return 0;
	code->labels[code->nr_labels] = UNPLACED;
	return code->nr_labels++;
}

void code_place(struct code *code, int label)
{
	if (!code->no_memory)
		code->labels[label] = code->n;
}

static void emit(struct code *code, int op, int dst, int src, int off, int32_t imm)
{
	if (code->no_memory || !grow(code, (void **)&code->insns, code->n, sizeof(*code->insns)))
		return;
	code->insns[code->n++] = (struct bpf_insn){
		.code = (__u8)op,
		.dst_reg = (__u8)(dst & 15),
		.src_reg = (__u8)(src & 15),
		.off = (__s16)off,
		.imm = imm,
	};
}

/* The one instruction that takes two places. */
static void emit_imm64(struct code *code, int dst, int src, uint64_t imm)
{
	emit(code, BPF_LD | BPF_DW | BPF_IMM, dst, src, 0, (int32_t)(uint32_t)imm);
	emit(code, 0, 0, 0, 0, (int32_t)(uint32_t)(imm >> 32));
}

void code_mov(struct code *code, int dst, int src)
{
	if (dst != src)
		emit(code, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

void code_mov_imm(struct code *code, int dst, int64_t imm)
{
	if (imm == (int32_t)imm)
		emit(code, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)imm);
	else
		emit_imm64(code, dst, 0, (uint64_t)imm);
}

void code_alu(struct code *code, int op, int dst, int src)
{
	emit(code, BPF_ALU64 | op | BPF_X, dst, src, 0, 0);
}

void code_alu_imm(struct code *code, int op, int dst, int32_t imm)
{
	emit(code, BPF_ALU64 | op | BPF_K, dst, 0, 0, imm);
}

void code_alu32(struct code *code, int op, int dst, int src)
{
	emit(code, BPF_ALU | op | BPF_X, dst, src, 0, 0);
}

void code_alu32_imm(struct code *code, int op, int dst, int32_t imm)
{
	emit(code, BPF_ALU | op | BPF_K, dst, 0, 0, imm);
}

static int size_bits(int size)
{
	switch (size) {
	case 1:
		return BPF_B;
	case 2:
		return BPF_H;
	case 4:
		return BPF_W;
	default:
		return BPF_DW;
	}
}

void code_load(struct code *code, int size, int dst, int src, int off)
{
	emit(code, BPF_LDX | BPF_MEM | size_bits(size), dst, src, off, 0);
}

void code_store(struct code *code, int size, int dst, int off, int src)
{
	emit(code, BPF_STX | BPF_MEM | size_bits(size), dst, src, off, 0);
}

void code_store_imm(struct code *code, int size, int dst, int off, int32_t imm)
{
	emit(code, BPF_ST | BPF_MEM | size_bits(size), dst, 0, off, imm);
}

void code_atomic_add(struct code *code, int dst, int off, int src)
{
	emit(code, BPF_STX | BPF_ATOMIC | BPF_DW, dst, src, off, BPF_ADD);
}

void code_fetch_add(struct code *code, int dst, int off, int src)
{
	emit(code, BPF_STX | BPF_ATOMIC | BPF_DW, dst, src, off, BPF_ADD | BPF_FETCH);
}

void code_cmpxchg(struct code *code, int dst, int off, int src)
{
	emit(code, BPF_STX | BPF_ATOMIC | BPF_DW, dst, src, off, BPF_CMPXCHG);
}

void code_big_endian(struct code *code, int bits, int dst)
{
	emit(code, BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, bits);
}

void code_map(struct code *code, int dst, int map_fd)
{
	emit_imm64(code, dst, BPF_PSEUDO_MAP_FD, (uint32_t)map_fd);
}

void code_map_value(struct code *code, int dst, int map_fd, uint32_t off)
{
	emit_imm64(code, dst, BPF_PSEUDO_MAP_VALUE, (uint64_t)off << 32 | (uint32_t)map_fd);
}

void code_call(struct code *code, int helper)
{
	emit(code, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

void code_exit(struct code *code)
{
	emit(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Until code_finish() a jump has its label in the offset, plus one: 0 is no label. */
static int label_mark(struct code *code, int label)
{
	if (label >= INT16_MAX)
		code->too_long = true;
	return label + 1;
}

void code_jump(struct code *code, int label)
{
	emit(code, BPF_JMP | BPF_JA, 0, 0, label_mark(code, label), 0);
}

void code_jump_if(struct code *code, int op, int dst, int src, int label)
{
	emit(code, BPF_JMP | op | BPF_X, dst, src, label_mark(code, label), 0);
}

void code_jump_if_imm(struct code *code, int op, int dst, int64_t imm, int label)
{
	if (imm == (int32_t)imm) {
		emit(code, BPF_JMP | op | BPF_K, dst, 0, label_mark(code, label), (int32_t)imm);
		return;
	}
	code_mov_imm(code, BPF_REG_0, imm);
	code_jump_if(code, op, dst, BPF_REG_0, label);
}

static bool is_jump(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP && BPF_OP(insn->code) != BPF_CALL &&
	       BPF_OP(insn->code) != BPF_EXIT;
}

/* Marks what can be reached. Backward jumps are rare, so it goes round until nothing changes. */
static void find_reached(const struct code *code, bool *reached)
{
	bool again = true;

	reached[0] = true;
	while (again) {
		again = false;
		for (int i = 0; i < code->n; i++) {
			const struct bpf_insn *insn = &code->insns[i];
			int next = i + (code_is_wide(insn) ? 2 : 1);

			if (!reached[i])
				continue;
			if (code_is_wide(insn))
				reached[i + 1] = true;
			if (is_jump(insn)) {
				int to = code->labels[insn->off - 1];

				again |= to <= i && !reached[to];
				reached[to] = true;
			}
			if (insn->code != (BPF_JMP | BPF_JA) && insn->code != (BPF_JMP | BPF_EXIT))
				reached[next] = true;
			i = next - 1;
		}
	}
}

/* place: where each instruction goes to; the last is the length. */
static int move(struct code *code, const bool *reached, int *place, struct err *err)
{
	int n = 0;

	for (int i = 0; i <= code->n; i++) {
		place[i] = n;
		n += reached[i];
	}
	n = place[code->n];
	for (int i = 0; i < code->n; i++) {
		struct bpf_insn insn = code->insns[i];

		if (!reached[i])
			continue;
		if (is_jump(&insn)) {
			int off = place[code->labels[insn.off - 1]] - place[i] - 1;

			if (off != (int16_t)off)
				return err_set(err, -E2BIG, "%d instructions are too many", n);
			insn.off = (__s16)off;
		}
		code->insns[place[i]] = insn;
		if (code_is_wide(&insn)) {
			code->insns[place[i] + 1] = code->insns[i + 1];
			i++;
		}
	}
	code->n = n;
	return 0;
}

int code_finish(struct code *code, struct err *err)
{
	size_t n = (size_t)code->n + 1;
	bool *reached = calloc(n, sizeof(*reached));
	int *place = calloc(n, sizeof(*place)), rc = -ENOMEM;

	if (code->no_memory || !reached || !place)
		err_set(err, rc, "out of memory");
	else if (code->too_long)
		rc = err_set(err, -E2BIG, "more than %d jumps", INT16_MAX);
	else if (code->n == 0)
		rc = 0;
	else {
		find_reached(code, reached);
		rc = move(code, reached, place, err);
	}
	free(reached);
	free(place);
	return rc;
}
