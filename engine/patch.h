/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* patch.h - instructions in the place of the mark that bpf/probe.h leaves in front of each send. */
#ifndef BPFNET_PATCH_H
#define BPFNET_PATCH_H

struct bpf_prog_load_opts;
struct bpf_program;
struct code;

/* What the programs loaded from now on get; NULL: every event is sent. Must stay until then. */
void patch_use(const struct code *code);
/*
 * Puts it into a program that libbpf is about to load (from prog_prepare_load_fn, which sees the
 * relocated program). 0, -ENOMEM, or -E2BIG if a jump over it becomes too long.
 */
int patch_program(struct bpf_program *prog, struct bpf_prog_load_opts *opts);

#endif
