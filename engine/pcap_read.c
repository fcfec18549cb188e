/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How a packet filter reads the packet: all that it can in one call of a helper at its start. */
#include <linux/filter.h>
#include "pcap_gen.h"

/* What a classic instruction loads at a fixed place, in bytes; 0: nothing. */
static uint32_t fixed_size(const struct pcap_insn *insn)
{
	bool fixed = BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS;

	if (BPF_CLASS(insn->code) == BPF_LDX && BPF_MODE(insn->code) == BPF_MSH)
		return 1;
	if (!fixed)
		return 0;
	return BPF_SIZE(insn->code) == BPF_W ? 4 : BPF_SIZE(insn->code) == BPF_H ? 2 : 1;
}

/* Where in the room these bytes of the packet are; 0: nowhere, or not aligned. */
static int window_place(const struct pcap_gen *g, uint32_t k, uint32_t size)
{
	int at;

	if (k < g->first || k - g->first + size > g->size)
		return 0;
	at = g->at + (int)(k - g->first);
	return at % (int)size ? 0 : at;
}

/* Starts it at the first load, and so that the words of an IP header are aligned. */
static void place_window(struct pcap_gen *g, enum pcap_link link, int end)
{
	g->first = UINT32_MAX;
	for (int i = 0; i < g->prog->n; i++) {
		const struct pcap_insn *insn = &g->prog->insns[i];

		if (fixed_size(insn) && insn->k < g->first)
			g->first = insn->k;
	}
	g->at = PCAP_WINDOW + (int)((g->first + (link == PCAP_LINK_ETHER ? 2 : 0)) & 3);
	g->size = (uint32_t)(end - g->at);
}

/* For one load alone a window is not worth it. */
static void shrink_window(struct pcap_gen *g)
{
	uint32_t needed = 0;
	int loads = 0;

	for (int i = 0; i < g->prog->n; i++) {
		const struct pcap_insn *insn = &g->prog->insns[i];
		uint32_t size = fixed_size(insn);

		if (!size || !window_place(g, insn->k, size))
			continue;
		loads++;
		if (insn->k - g->first + size > needed)
			needed = insn->k - g->first + size;
	}
	g->size = loads > 1 ? needed : 0;
}

/* r0 = 0, or goto fail; r2: how many bytes, r3: from where */
static void call_read(struct pcap_gen *g, int to)
{
	code_mov(g->code, BPF_REG_1, PCAP_ROOM);
	code_alu_imm(g->code, BPF_ADD, BPF_REG_1, to);
	code_call(g->code, BPF_FUNC_probe_read_kernel);
	code_jump_if_imm(g->code, BPF_JNE, BPF_REG_0, 0, g->fail);
}

/* r3 = address of byte k of the packet; k is less than 2^31 */
static void address(struct pcap_gen *g, uint32_t k)
{
	code_load(g->code, 8, BPF_REG_3, PCAP_ROOM, PCAP_DATA);
	if (k)
		code_alu_imm(g->code, BPF_ADD, BPF_REG_3, (int32_t)k);
}

/* All of it that the packet has; what that leaves free must not be garbage to the verifier. */
static void read_window(struct pcap_gen *g)
{
	int all = code_label(g->code), none = code_label(g->code);

	for (int at = PCAP_WINDOW; at < g->at + (int)g->size; at += 8)
		code_store_imm(g->code, 8, PCAP_ROOM, at, 0);
	code_load(g->code, 4, BPF_REG_2, PCAP_ROOM, PCAP_CAPLEN);
	code_jump_if_imm(g->code, BPF_JLE, BPF_REG_2, g->first, none);
	code_alu_imm(g->code, BPF_SUB, BPF_REG_2, (int32_t)g->first);
	code_jump_if_imm(g->code, BPF_JLE, BPF_REG_2, g->size, all);
	code_mov_imm(g->code, BPF_REG_2, g->size);
	code_place(g->code, all);
	address(g, g->first);
	call_read(g, g->at);
	code_place(g->code, none);
}

void pcap_read_window(struct pcap_gen *g, enum pcap_link link, int end)
{
	place_window(g, link, end);
	shrink_window(g);
	if (g->size)
		read_window(g);
}

static void load_big_endian(struct pcap_gen *g, uint32_t size, int dst, int at)
{
	code_load(g->code, (int)size, dst, PCAP_ROOM, at);
	if (size > 1)
		code_big_endian(g->code, 8 * (int)size, dst);
}

void pcap_read_at(struct pcap_gen *g, int dst, uint32_t k, uint32_t size)
{
	int at = window_place(g, k, size);

	code_load(g->code, 4, BPF_REG_1, PCAP_ROOM, PCAP_CAPLEN);
	code_jump_if_imm(g->code, BPF_JLT, BPF_REG_1, (int64_t)k + size, g->fail);
	if (!at) {
		address(g, k);
		code_mov_imm(g->code, BPF_REG_2, size);
		call_read(g, PCAP_LOADED);
		at = PCAP_LOADED;
	}
	load_big_endian(g, size, dst, at);
}

void pcap_read_behind_x(struct pcap_gen *g, uint32_t k, uint32_t size)
{
	code_mov_imm(g->code, BPF_REG_3, k);
	code_alu(g->code, BPF_ADD, BPF_REG_3, PCAP_X);
	code_mov(g->code, BPF_REG_2, BPF_REG_3);
	code_alu_imm(g->code, BPF_ADD, BPF_REG_2, (int32_t)size);
	code_load(g->code, 4, BPF_REG_1, PCAP_ROOM, PCAP_CAPLEN);
	code_jump_if(g->code, BPF_JGT, BPF_REG_2, BPF_REG_1, g->fail);
	code_load(g->code, 8, BPF_REG_1, PCAP_ROOM, PCAP_DATA);
	code_alu(g->code, BPF_ADD, BPF_REG_3, BPF_REG_1);
	code_mov_imm(g->code, BPF_REG_2, size);
	call_read(g, PCAP_LOADED);
	load_big_endian(g, size, PCAP_A, PCAP_LOADED);
}
