/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "code.h"
#include "kbtf.h"
#include "points_copy.h"
#include "points_priv.h"
#include "util.h"

/* POINT_MARK_... of bpf/points.h: each is a wide instruction, and what replaces it is as long. */
#define MARK        0x62706e6574706f30ULL
#define MARK_COOKIE (MARK + 1)
#define MARK_ARG    (MARK + 2)
#define MARK_EXTRA  (MARK + 3)
#define MARK_RET    (MARK + 4)

bool point_is_copied(const struct site *site, bool at_return)
{
	return site->way == SHARED_FENTRY ||
	       (site->way == SHARED_KPROBE && at_return && !caps_attach_cookie());
}

int point_copy_opts(const struct site *site, bool at_return, struct bpf_prog_load_opts *opts)
{
	if (site->way != SHARED_FENTRY)
		return 0;
	if (site->btf_id <= 0)
		return -ENOENT;
	opts->expected_attach_type = at_return ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY;
	opts->attach_btf_id = (uint32_t)site->btf_id;
	if (site->btf_fd >= 0)
		opts->attach_btf_obj_fd = (uint32_t)site->btf_fd;
	return 0;
}

static uint64_t constant(const struct bpf_insn *insn)
{
	return (uint64_t)(uint32_t)insn[1].imm << 32 | (uint32_t)insn[0].imm;
}

/* r0 = value */
static void put_constant(struct bpf_insn *insn, uint64_t value)
{
	insn[0].imm = (int32_t)(uint32_t)value;
	insn[1].imm = (int32_t)(value >> 32);
}

/* r0 = word n of the context that r6 points to, and nothing */
static void put_load(struct bpf_insn *insn, int n)
{
	insn[0] = (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_DW,
				     .dst_reg = BPF_REG_0,
				     .src_reg = BPF_REG_6,
				     .off = (__s16)(8 * n) };
	insn[1] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X,
				     .dst_reg = BPF_REG_0,
				     .src_reg = BPF_REG_0 };
}

static void put_arg(struct bpf_insn *insn, uint32_t arg, int nr_args)
{
	if (arg < (uint32_t)nr_args)
		put_load(insn, (int)arg);
	else
		put_constant(insn, 0);
}

static void put_site(struct bpf_insn *insns, size_t n, const struct site *site, int nr_args)
{
	for (size_t i = 0; i < n; i++) {
		struct bpf_insn *insn = &insns[i];

		if (!code_is_wide(insn))
			continue;
		i++;
		if (insn->src_reg)
			continue;
		switch (constant(insn)) {
		case MARK_COOKIE:
			put_constant(insn, site_cookie(site));
			break;
		case MARK_ARG:
			put_arg(insn, site->row->arg, nr_args);
			break;
		case MARK_EXTRA:
			put_arg(insn, site->row->extra, nr_args);
			break;
		case MARK_RET:
			put_load(insn, nr_args);
			break;
		}
	}
}

int point_copy(const struct bpf_program *prog, const struct site *site, bool at_return)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	size_t n = bpf_program__insn_cnt(prog);
	struct bpf_insn *insns;
	int nr_args = 0, fd, rc = point_copy_opts(site, at_return, &opts);

	if (!rc && site->way == SHARED_FENTRY)
		rc = nr_args = site->btf_fd < 0 ? kbtf_nr_args(site->btf_id) : site->nr_args;
	if (rc < 0)
		return rc;
	insns = malloc(n * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(prog), n * sizeof(*insns));
	put_site(insns, n, site, nr_args);
	fd = bpf_prog_load(bpf_program__type(prog), bpf_program__name(prog), "Dual BSD/GPL", insns,
			   n, &opts);
	free(insns);
	return fd;
}
