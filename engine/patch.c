/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "code.h"
#include "patch.h"
#include "util.h"

static const struct bpf_insn r0_is[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2 },
};

/* if (*(u64 *)r6 == r8) it = r7; r0 = what was there */
static const struct bpf_insn exchange[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_8 },
	{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
	  .dst_reg = BPF_REG_6,
	  .src_reg = BPF_REG_7,
	  .imm = BPF_CMPXCHG },
};

static const struct mark {
	uint64_t constant; /* as it is written in the header in bpf/ */
	int otherwise; /* r0, where there is no code */
} marks[PATCH_MARKS] = {
	[PATCH_STAGE] = { 0x62706e6574737467ULL, 0 },
	[PATCH_PCAP_ETHER] = { 0x62706e6574706365ULL, 1 },
	[PATCH_PCAP_IP] = { 0x62706e6574706369ULL, 1 },
	[PATCH_EXCHANGE] = { 0x62706e6574786368ULL, 2 },
};

/* What stands for a mark. */
struct piece {
	const struct bpf_insn *insns;
	size_t n;
};

static const struct patch_set *current;

/* libbpf reads the tables after we have returned, until the program is loaded. */
static void *func_info, *line_info;

void patch_use(const struct patch_set *set)
{
	current = set;
}

struct patch {
	const struct bpf_insn *old;
	size_t nr_old;
	struct piece pieces[PATCH_MARKS];
	size_t *place; /* from old to new positions; the last is the new length */
};

/* The mark that a wide instruction loads, PATCH_MARKS if it is none. */
static int mark_at(const struct bpf_insn *insn)
{
	uint64_t value;
	int i = 0;

	if (!code_is_wide(insn) || insn->src_reg)
		return PATCH_MARKS;
	value = (uint64_t)(uint32_t)insn[1].imm << 32 | (uint32_t)insn[0].imm;
	while (i < PATCH_MARKS && marks[i].constant != value)
		i++;
	return i;
}

bool patch_has_mark(const void *elf, size_t size, enum patch_mark which)
{
	struct bpf_insn insn[2];

	/* Programs are aligned in their file, so no section has to be looked for. */
	for (size_t at = 0; at + sizeof(insn) <= size; at += sizeof(*insn)) {
		memcpy(insn, (const char *)elf + at, sizeof(insn));
		if (mark_at(insn) == (int)which)
			return true;
	}
	return false;
}

static void choose_pieces(struct patch *p)
{
	for (int i = 0; i < PATCH_MARKS; i++) {
		const struct code *code = current ? current->code[i] : NULL;

		if (code && code->n)
			p->pieces[i] = (struct piece){ code->insns, (size_t)code->n };
		else
			p->pieces[i] = (struct piece){ &r0_is[marks[i].otherwise], 1 };
	}
	if (caps_fetch())
		p->pieces[PATCH_EXCHANGE] = (struct piece){ exchange, ARRAY_SIZE(exchange) };
}

/* Fills place; returns how many marks there are. */
static int find_places(struct patch *p)
{
	size_t at = 0;
	int found = 0;

	for (size_t i = 0; i < p->nr_old; i++) {
		int mark;

		p->place[i] = at;
		if (!code_is_wide(&p->old[i])) {
			at++;
			continue;
		}
		mark = mark_at(&p->old[i++]);
		p->place[i] = at + 1;
		at += mark < PATCH_MARKS ? p->pieces[mark].n : 2;
		found += mark < PATCH_MARKS;
	}
	p->place[p->nr_old] = at;
	return found;
}

/* Distance of a jump at old position i, whose old distance is `off`. */
static long distance(const struct patch *p, size_t i, long off)
{
	return (long)p->place[(size_t)((long)i + 1 + off)] - (long)p->place[i] - 1;
}

static int copy_insn(const struct patch *p, size_t i, struct bpf_insn *to)
{
	const struct bpf_insn *insn = &p->old[i];
	bool jump = BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32;
	long off;

	*to = *insn;
	if (code_is_wide(insn)) {
		to[1] = insn[1];
		if (insn->src_reg == BPF_PSEUDO_FUNC)
			to->imm = (int32_t)distance(p, i, insn->imm);
		return 0;
	}
	if (!jump || BPF_OP(insn->code) == BPF_EXIT)
		return 0;
	if (BPF_OP(insn->code) == BPF_CALL) {
		if (insn->src_reg == BPF_PSEUDO_CALL)
			to->imm = (int32_t)distance(p, i, insn->imm);
		return 0;
	}
	off = distance(p, i, insn->off);
	to->off = (__s16)off;
	return off == to->off ? 0 : -E2BIG;
}

static int copy_all(const struct patch *p, struct bpf_insn *to)
{
	int rc = 0;

	for (size_t i = 0; i < p->nr_old && !rc; i++) {
		bool wide = code_is_wide(&p->old[i]);
		int mark = wide ? mark_at(&p->old[i]) : PATCH_MARKS;

		if (mark < PATCH_MARKS)
			memcpy(to + p->place[i], p->pieces[mark].insns,
			       p->pieces[mark].n * sizeof(*to));
		else
			rc = copy_insn(p, i, to + p->place[i]);
		i += wide;
	}
	return rc;
}

/* The tables of functions and lines begin each entry with the instruction it is about. */
static int move_table(const struct patch *p, void **copy, const void **table, size_t n, size_t size)
{
	free(*copy);
	*copy = NULL;
	if (!n || !*table)
		return 0;
	*copy = malloc(n * size);
	if (!*copy)
		return -ENOMEM;
	memcpy(*copy, *table, n * size);
	for (size_t i = 0; i < n; i++) {
		uint32_t *insn_off = (void *)((char *)*copy + i * size);

		if (*insn_off <= p->nr_old)
			*insn_off = (uint32_t)p->place[*insn_off];
	}
	*table = *copy;
	return 0;
}

static int move_tables(const struct patch *p, struct bpf_prog_load_opts *opts)
{
	int rc = move_table(p, &func_info, &opts->func_info, opts->func_info_cnt,
			    opts->func_info_rec_size);

	return rc ? rc :
		    move_table(p, &line_info, &opts->line_info, opts->line_info_cnt,
			       opts->line_info_rec_size);
}

int patch_program(struct bpf_program *prog, struct bpf_prog_load_opts *opts)
{
	struct patch p = {
		.old = bpf_program__insns(prog),
		.nr_old = bpf_program__insn_cnt(prog),
	};
	struct bpf_insn *insns = NULL;
	int rc = 0;

	choose_pieces(&p);
	p.place = malloc((p.nr_old + 1) * sizeof(*p.place));
	if (!p.place)
		return -ENOMEM;
	if (!find_places(&p))
		goto out;
	insns = malloc(p.place[p.nr_old] * sizeof(*insns));
	rc = insns ? copy_all(&p, insns) : -ENOMEM;
	if (!rc)
		rc = move_tables(&p, opts);
	if (!rc)
		rc = bpf_program__set_insns(prog, insns, p.place[p.nr_old]);
out:
	free(insns);
	free(p.place);
	return rc;
}
