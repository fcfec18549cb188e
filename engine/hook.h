/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * hook.h - a place in the kernel where one of an object's programs runs, and which one.
 *
 * What is attached is a stub that jumps (a tail call) to the program that is set: so that a
 * probe's programs can be exchanged between one event and the next, with no event seen twice or
 * by none.
 */
#ifndef BPFNET_HOOK_H
#define BPFNET_HOOK_H

#include <stdint.h>

struct bpf_link;
struct bpf_prog_load_opts;
struct bpf_program;

struct hook {
	char program[64];
	char sec[96]; /* section name: where it is */
	int stub_fd;
	int slot_fd; /* program array of one */
	int attached_fd;
	struct bpf_link *link; /* instead of all these, for kinds that can't have a stub */
	int counted_fd; /* the program that the kernel keeps count for; not its own */
};

/* Nothing is open or attached; for hook_detach(). */
void hook_init(struct hook *hook);
/*
 * A stub that is not attached yet and runs prog_fd. opts: what the kernel has to know of the place,
 * the same as for the program. 0 or -errno.
 */
int hook_open(struct hook *hook, const struct bpf_program *prog, int prog_fd,
	      struct bpf_prog_load_opts *opts);
/* From now on the program prog_fd runs in the stub; -1: none. 0 or -errno. */
int hook_put(struct hook *hook, int prog_fd);
/* Attaches at the place of `prog`, a loaded program, which runs from then on. 0 or -errno. */
int hook_attach(struct hook *hook, struct bpf_program *prog);
/* From now on prog runs there. 0; -EOPNOTSUPP for a kind that can't; -errno. */
int hook_set(struct hook *hook, const struct bpf_program *prog);
/* Events that are under way on other CPUs may still be finished. */
void hook_detach(struct hook *hook);
/* Runs that the kernel left out, see object_missed(). */
uint64_t hook_missed(const struct hook *hook);

#endif
