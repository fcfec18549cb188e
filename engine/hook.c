/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "attach.h"
#include "code.h"
#include "hook.h"
#include "kbtf.h"
#include "util.h"

void hook_init(struct hook *h)
{
	*h = (struct hook){ .stub_fd = -1, .slot_fd = -1, .attached_fd = -1, .counted_fd = -1 };
}

/* Loads r1 = ctx; tail call of slot 0; a slot that is empty ends it with 0. */
static int load_stub(const struct hook *h, const struct bpf_program *prog,
		     struct bpf_prog_load_opts *opts)
{
	struct code code;
	struct err err;
	int rc, fd;

	code_init(&code);
	code_map(&code, BPF_REG_2, h->slot_fd);
	code_mov_imm(&code, BPF_REG_3, 0);
	code_call(&code, BPF_FUNC_tail_call);
	code_mov_imm(&code, BPF_REG_0, 0);
	code_exit(&code);
	rc = code_finish(&code, &err);
	fd = rc ? rc :
		  bpf_prog_load(bpf_program__type(prog), bpf_program__name(prog), "Dual BSD/GPL",
				code.insns, (size_t)code.n, opts);
	if (!rc && fd < 0)
		fd = -errno;
	code_free(&code);
	return fd;
}

int hook_open(struct hook *h, const struct bpf_program *prog, int prog_fd,
	      struct bpf_prog_load_opts *opts)
{
	hook_init(h);
	snprintf(h->program, sizeof(h->program), "%s", bpf_program__name(prog));
	snprintf(h->sec, sizeof(h->sec), "%s", bpf_program__section_name(prog));
	h->slot_fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "hook", sizeof(uint32_t),
				    sizeof(uint32_t), 1, NULL);
	if (h->slot_fd < 0)
		return -errno;
	h->stub_fd = load_stub(h, prog, opts);
	h->counted_fd = h->stub_fd;
	/* after the stub, which makes the array one for programs of its kind */
	return h->stub_fd < 0 ? h->stub_fd : hook_put(h, prog_fd);
}

static int attach_stub(struct hook *h, const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int rc = kbtf_attach_opts(bpf_program__section_name(prog), &opts);

	if (!rc)
		rc = hook_open(h, prog, bpf_program__fd(prog), &opts);
	if (rc)
		return rc;
	h->attached_fd = attach_program(h->stub_fd, h->sec);
	return h->attached_fd < 0 ? h->attached_fd : 0;
}

int hook_attach(struct hook *h, struct bpf_program *prog)
{
	int rc = 0;

	hook_init(h);
	if (attach_knows(bpf_program__section_name(prog))) {
		rc = attach_stub(h, prog);
	} else {
		snprintf(h->program, sizeof(h->program), "%s", bpf_program__name(prog));
		h->link = bpf_program__attach(prog);
		h->counted_fd = bpf_program__fd(prog);
		rc = h->link ? 0 : -errno;
	}
	if (rc)
		hook_detach(h);
	return rc;
}

int hook_put(struct hook *h, int fd)
{
	uint32_t zero = 0;
	int rc = fd < 0 ? bpf_map_delete_elem(h->slot_fd, &zero) :
			  bpf_map_update_elem(h->slot_fd, &zero, &fd, BPF_ANY);

	return rc ? -errno : 0;
}

int hook_set(struct hook *h, const struct bpf_program *prog)
{
	if (h->link)
		return -EOPNOTSUPP;
	return prog ? hook_put(h, bpf_program__fd(prog)) : -ENOENT;
}

void hook_detach(struct hook *h)
{
	bpf_link__destroy(h->link);
	h->link = NULL;
	close_fd(&h->attached_fd);
	close_fd(&h->stub_fd);
	/* last: an array that nobody holds empties itself, and the stub would find nothing */
	close_fd(&h->slot_fd);
}

uint64_t hook_missed(const struct hook *h)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	uint64_t missed = attach_missed(h->attached_fd);

	return bpf_obj_get_info_by_fd(h->counted_fd, &info, &size) ? missed :
								     missed + info.recursion_misses;
}
