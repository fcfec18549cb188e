/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * code.h - BPF instructions written one after the other, with labels for jumps.
 *
 * Lack of memory is remembered and told by code_finish(), so that nobody has to check each call.
 */
#ifndef BPFNET_CODE_H
#define BPFNET_CODE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"

/*
 * What stage code finds: bpf/probe.h, stage(). It may use the registers 0 to 5 as it likes and has
 * to leave these two as they are. A call of a helper destroys 1 to 5.
 */
#define CODE_RECORD BPF_REG_6
#define CODE_ROOM   BPF_REG_7
#define CODE_WORDS  20 /* of 8 bytes, at CODE_ROOM */

struct code {
	struct bpf_insn *insns;
	int n;
	int room;
	int *labels; /* instruction that a label stands before; -1: not placed yet */
	int nr_labels;
	bool no_memory;
	bool too_long;
};

/* A constant of 64 bits, the one instruction that takes two places. */
static inline bool code_is_wide(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_DW | BPF_IMM);
}

/* The widest access, at most 8 bytes, that is aligned at `off` and not wider than `max`, which is > 0. */
static inline int code_widest(uint32_t off, uint32_t max)
{
	uint32_t size = 8;

	while (size > max || off % size)
		size /= 2;
	return (int)size;
}

void code_init(struct code *code);
void code_free(struct code *code);
/* A label to jump to, before or after it is placed. Each must be placed once. */
int code_label(struct code *code);
void code_place(struct code *code, int label);

/* dst = src; dst = imm, sign-extended to 64 bits, in as many instructions as it takes */
void code_mov(struct code *code, int dst, int src);
void code_mov_imm(struct code *code, int dst, int64_t imm);
/* dst = dst op src, in 64 bits; op: BPF_ADD, BPF_AND, BPF_RSH, ... */
void code_alu(struct code *code, int op, int dst, int src);
void code_alu_imm(struct code *code, int op, int dst, int32_t imm);
/* The same in 32 bits, BPF_MOV and BPF_NEG too; the upper half of dst becomes 0. */
void code_alu32(struct code *code, int op, int dst, int src);
void code_alu32_imm(struct code *code, int op, int dst, int32_t imm);
/* dst = zero-extended memory; size in bytes: 1, 2, 4 or 8 */
void code_load(struct code *code, int size, int dst, int src, int off);
void code_store(struct code *code, int size, int dst, int off, int src);
void code_store_imm(struct code *code, int size, int dst, int off, int32_t imm);
/* *(u64 *)(dst + off) += src, atomically */
void code_atomic_add(struct code *code, int dst, int off, int src);
/* The same, and src = what was there before. Needs caps_fetch(). */
void code_fetch_add(struct code *code, int dst, int off, int src);
/* if (*(u64 *)(dst + off) == r0) it = src; r0 = what was there before. Needs caps_fetch(). */
void code_cmpxchg(struct code *code, int dst, int off, int src);
/* dst = dst from or to big-endian, of 16, 32 or 64 bits */
void code_big_endian(struct code *code, int bits, int dst);
/* dst = the map, for a helper; dst = address of byte `off` of the value of an array of one */
void code_map(struct code *code, int dst, int map_fd);
void code_map_value(struct code *code, int dst, int map_fd, uint32_t off);
void code_call(struct code *code, int helper);
/* returns r0: not in stage code, which ends by reaching its end */
void code_exit(struct code *code);
void code_jump(struct code *code, int label);
/* if (dst op src) goto label, in 64 bits; op: BPF_JEQ, BPF_JSGT, ... */
void code_jump_if(struct code *code, int op, int dst, int src, int label);
/* the same with a constant; destroys register 0 if it does not fit 32 bits */
void code_jump_if_imm(struct code *code, int op, int dst, int64_t imm, int label);

/*
 * Resolves the labels and takes out what can't be reached, which the verifier refuses. A jump to a
 * label at the end leaves the code. 0; -ENOMEM; -E2BIG if a jump is too far.
 */
int code_finish(struct code *code, struct err *err);

#endif
