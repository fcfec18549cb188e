/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "code.h"
#include "patch.h"
#include "util.h"

#define MARK 0x62706e6574737467ULL /* STAGE_MARK of bpf/probe.h */

static const struct code *current;

/* libbpf reads the tables after we have returned, until the program is loaded. */
static void *func_info, *line_info;

static const struct bpf_insn send_all = { .code = BPF_ALU64 | BPF_MOV | BPF_K };

void patch_use(const struct code *code)
{
	current = code;
}

struct patch {
	const struct bpf_insn *old;
	size_t nr_old;
	const struct bpf_insn *code; /* what stands for the mark */
	size_t nr_code;
	size_t *place; /* from old to new positions; the last is the new length */
};

static bool is_mark(const struct bpf_insn *insn)
{
	return code_is_wide(insn) && insn->src_reg == 0 &&
	       (uint32_t)insn[0].imm == (uint32_t)MARK &&
	       (uint32_t)insn[1].imm == (uint32_t)(MARK >> 32);
}

/* Fills place; returns how many marks there are. */
static int find_places(struct patch *p)
{
	size_t at = 0;
	int marks = 0;

	for (size_t i = 0; i < p->nr_old; i++) {
		const struct bpf_insn *insn = &p->old[i];

		p->place[i] = at;
		if (!code_is_wide(insn)) {
			at++;
			continue;
		}
		p->place[i + 1] = at + 1;
		at += is_mark(insn) ? p->nr_code : 2;
		marks += is_mark(insn);
		i++;
	}
	p->place[p->nr_old] = at;
	return marks;
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
		if (is_mark(&p->old[i]))
			memcpy(to + p->place[i], p->code, p->nr_code * sizeof(*to));
		else
			rc = copy_insn(p, i, to + p->place[i]);
		i += code_is_wide(&p->old[i]);
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
		.code = current && current->n ? current->insns : &send_all,
		.nr_code = current && current->n ? (size_t)current->n : 1,
	};
	struct bpf_insn *insns = NULL;
	int rc = 0;

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
