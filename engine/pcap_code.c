/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From classic BPF, instruction by instruction. */
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include "pcap_code.h"
#include "pcap_gen.h"
#include "util.h"

/* From here on classic loads are about other things than the packet (SKF_AD_OFF and below). */
#define NOT_A_BYTE 0x80000000U

static const char not_understood[] = "libpcap's code is not understood";

struct labels {
	int first; /* in front of the first classic instruction; the others follow */
	int pass;
};

/* What these instructions ask for that is not there, or NULL. */
static const char *not_there(const struct pcap_program *prog)
{
	for (int i = 0; i < prog->n; i++) {
		const struct pcap_insn *insn = &prog->insns[i];
		int class = BPF_CLASS(insn->code), mode = BPF_MODE(insn->code);
		int64_t longest = insn->jt > insn->jf ? insn->jt : insn->jf;

		if (class == BPF_JMP && BPF_OP(insn->code) == BPF_JA)
			longest = (int32_t)insn->k;
		if (class == BPF_JMP && longest < 0)
			return "a loop over headers (protochain) is not supported";
		if (class == BPF_JMP && i + 1 + longest >= prog->n)
			return not_understood;
		if (insn->k < NOT_A_BYTE)
			continue;
		if ((class == BPF_LD && mode == BPF_ABS) || (class == BPF_LDX && mode == BPF_MSH))
			return "a filter sees the bytes and the length of a packet, not its "
			       "direction or device";
	}
	return NULL;
}

/* A place in the room for each variable; returns where the rest of it ends. */
static int place_slots(struct pcap_gen *g)
{
	int end = PCAP_LOADED;

	for (int i = 0; i < g->prog->n; i++) {
		const struct pcap_insn *insn = &g->prog->insns[i];
		int class = BPF_CLASS(insn->code);
		bool load = class == BPF_LD || class == BPF_LDX;

		if (class != BPF_ST && class != BPF_STX &&
		    !(load && BPF_MODE(insn->code) == BPF_MEM))
			continue;
		if (!g->slots[insn->k % PCAP_SLOTS])
			g->slots[insn->k % PCAP_SLOTS] = end -= 4;
	}
	return end & ~7;
}

/* Variables are 0 until they are stored; the verifier can't know that none is read before. */
static void clear(struct pcap_gen *g)
{
	code_mov_imm(g->code, PCAP_A, 0);
	code_mov_imm(g->code, PCAP_X, 0);
	for (int i = 0; i < PCAP_SLOTS; i++)
		if (g->slots[i])
			code_store_imm(g->code, 4, PCAP_ROOM, g->slots[i], 0);
}

static bool load(struct pcap_gen *g, const struct pcap_insn *insn)
{
	int dst = BPF_CLASS(insn->code) == BPF_LD ? PCAP_A : PCAP_X;
	uint32_t size = BPF_SIZE(insn->code) == BPF_W ? 4 : BPF_SIZE(insn->code) == BPF_H ? 2 : 1;

	switch (BPF_MODE(insn->code)) {
	case BPF_IMM:
		code_alu32_imm(g->code, BPF_MOV, dst, (int32_t)insn->k);
		return true;
	case BPF_MEM:
		code_load(g->code, 4, dst, PCAP_ROOM, g->slots[insn->k % PCAP_SLOTS]);
		return true;
	case BPF_LEN:
		code_load(g->code, 4, dst, PCAP_ROOM, PCAP_WIRELEN);
		return true;
	case BPF_ABS:
		pcap_read_at(g, dst, insn->k, size);
		return dst == PCAP_A;
	case BPF_IND:
		pcap_read_behind_x(g, insn->k, size);
		return dst == PCAP_A;
	case BPF_MSH:
		pcap_read_at(g, dst, insn->k, 1);
		code_alu32_imm(g->code, BPF_AND, dst, 0xf);
		code_alu32_imm(g->code, BPF_LSH, dst, 2);
		return dst == PCAP_X;
	}
	return false;
}

/* By 32 bits and more: everything is shifted out. */
static void shift(struct pcap_gen *g, int op, const struct pcap_insn *insn)
{
	int out = code_label(g->code), done = code_label(g->code);

	if (BPF_SRC(insn->code) == BPF_X) {
		code_jump_if_imm(g->code, BPF_JGT, PCAP_X, 31, out);
		code_alu32(g->code, op, PCAP_A, PCAP_X);
	} else if (insn->k < 32) {
		code_alu32_imm(g->code, op, PCAP_A, (int32_t)insn->k);
	} else {
		code_jump(g->code, out);
	}
	code_jump(g->code, done);
	code_place(g->code, out);
	code_mov_imm(g->code, PCAP_A, 0);
	code_place(g->code, done);
}

static void divide(struct pcap_gen *g, int op, const struct pcap_insn *insn)
{
	if (BPF_SRC(insn->code) == BPF_X) {
		code_jump_if_imm(g->code, BPF_JEQ, PCAP_X, 0, g->fail);
		code_alu32(g->code, op, PCAP_A, PCAP_X);
	} else if (insn->k) {
		code_alu32_imm(g->code, op, PCAP_A, (int32_t)insn->k);
	} else {
		code_jump(g->code, g->fail);
	}
}

static bool alu(struct pcap_gen *g, const struct pcap_insn *insn)
{
	int op = BPF_OP(insn->code);

	switch (op) {
	case BPF_LSH:
	case BPF_RSH:
		shift(g, op, insn);
		return true;
	case BPF_DIV:
	case BPF_MOD:
		divide(g, op, insn);
		return true;
	case BPF_NEG:
		code_alu32_imm(g->code, op, PCAP_A, 0);
		return true;
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		if (BPF_SRC(insn->code) == BPF_X)
			code_alu32(g->code, op, PCAP_A, PCAP_X);
		else
			code_alu32_imm(g->code, op, PCAP_A, (int32_t)insn->k);
		return true;
	}
	return false;
}

static int opposite(int op)
{
	switch (op) {
	case BPF_JEQ:
		return BPF_JNE;
	case BPF_JGT:
		return BPF_JLE;
	case BPF_JGE:
		return BPF_JLT;
	}
	return 0;
}

static void jump_if(struct pcap_gen *g, int op, const struct pcap_insn *insn, int label)
{
	if (BPF_SRC(insn->code) == BPF_X)
		code_jump_if(g->code, op, PCAP_A, PCAP_X, label);
	else
		code_jump_if_imm(g->code, op, PCAP_A, insn->k, label);
}

/* next: label of the instruction behind this one */
static bool jump(struct pcap_gen *g, const struct pcap_insn *insn, int next)
{
	int op = BPF_OP(insn->code);

	if (op == BPF_JA) {
		code_jump(g->code, next + (int)insn->k);
		return true;
	}
	if (!opposite(op) && op != BPF_JSET)
		return false;
	if (!insn->jt && opposite(op)) {
		jump_if(g, opposite(op), insn, next + insn->jf);
		return true;
	}
	jump_if(g, op, insn, next + insn->jt);
	if (insn->jf)
		code_jump(g->code, next + insn->jf);
	return true;
}

static bool ret(struct pcap_gen *g, const struct pcap_insn *insn, int pass)
{
	if (BPF_RVAL(insn->code) == BPF_A) {
		code_jump_if_imm(g->code, BPF_JNE, PCAP_A, 0, pass);
		code_jump(g->code, g->fail);
	} else {
		code_jump(g->code, insn->k ? pass : g->fail);
	}
	return BPF_RVAL(insn->code) != BPF_X;
}

static bool translate(struct pcap_gen *g, int i, const struct labels *labels)
{
	const struct pcap_insn *insn = &g->prog->insns[i];

	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
	case BPF_LDX:
		return load(g, insn);
	case BPF_ST:
	case BPF_STX:
		code_store(g->code, 4, PCAP_ROOM, g->slots[insn->k % PCAP_SLOTS],
			   BPF_CLASS(insn->code) == BPF_ST ? PCAP_A : PCAP_X);
		return true;
	case BPF_ALU:
		return alu(g, insn);
	case BPF_JMP:
		return jump(g, insn, labels->first + i + 1);
	case BPF_RET:
		return ret(g, insn, labels->pass);
	case BPF_MISC:
		if (BPF_MISCOP(insn->code) == BPF_TAX)
			code_mov(g->code, PCAP_X, PCAP_A);
		else
			code_mov(g->code, PCAP_A, PCAP_X);
		return true;
	}
	return false;
}

/* pass: r0 = 1; fail: r0 = 0 */
static int finish(struct pcap_gen *g, int pass, struct err *err)
{
	int end = code_label(g->code), rc;

	code_place(g->code, pass);
	code_mov_imm(g->code, BPF_REG_0, 1);
	code_jump(g->code, end);
	code_place(g->code, g->fail);
	code_mov_imm(g->code, BPF_REG_0, 0);
	code_place(g->code, end);
	rc = code_finish(g->code, err);
	return rc ? err_prefix(err, "pcap") : 0;
}

static int generate(const char *text, const struct pcap_program *prog, enum pcap_link link,
		    struct code *code, struct err *err)
{
	struct pcap_gen g = { .prog = prog, .code = code, .fail = code_label(code) };
	struct labels labels = { .pass = code_label(code), .first = code->nr_labels };
	const char *missing = not_there(prog);
	int end = place_slots(&g);

	if (missing)
		return pcap_error(text, err, -EINVAL, missing);
	for (int i = 0; i < prog->n; i++)
		code_label(code);
	clear(&g);
	pcap_read_window(&g, link, end);
	for (int i = 0; i < prog->n; i++) {
		code_place(code, labels.first + i);
		if (!translate(&g, i, &labels))
			return pcap_error(text, err, -EINVAL, not_understood);
	}
	return finish(&g, labels.pass, err);
}

/* For a filter that is wrong for an IP packet, but not for an Ethernet frame. */
static int match_nothing(const char *text, struct code *code, struct err *err)
{
	struct pcap_program prog;
	int rc = pcap_classic(text, PCAP_LINK_ETHER, &prog, err);

	if (rc)
		return rc;
	pcap_classic_free(&prog);
	code_mov_imm(code, BPF_REG_0, 0);
	return code_finish(code, err);
}

int pcap_code(const char *text, enum patch_mark which, struct code *code, struct err *err)
{
	enum pcap_link link = which == PATCH_PCAP_IP ? PCAP_LINK_IP : PCAP_LINK_ETHER;
	struct pcap_program prog;
	int rc = pcap_classic(text, link, &prog, err);

	if (rc == -EINVAL && link == PCAP_LINK_IP)
		return match_nothing(text, code, err);
	if (rc)
		return rc;
	rc = generate(text, &prog, link, code, err);
	pcap_classic_free(&prog);
	return rc;
}

int pcap_filter_init(struct pcap_filter *filter, const char *text, struct err *err)
{
	int rc = 0;

	memset(filter, 0, sizeof(*filter));
	filter->text = strdup(text);
	if (!filter->text)
		rc = err_set(err, -ENOMEM, "out of memory");
	if (!rc)
		rc = pcap_code(text, PATCH_PCAP_ETHER, &filter->ether, err);
	if (!rc)
		rc = pcap_code(text, PATCH_PCAP_IP, &filter->ip, err);
	if (rc)
		pcap_filter_free(filter);
	return rc;
}

void pcap_filter_free(struct pcap_filter *filter)
{
	free(filter->text);
	code_free(&filter->ether);
	code_free(&filter->ip);
	filter->text = NULL;
}
