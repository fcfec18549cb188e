/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* attach.h - attaches one loaded program where its section name says. */
#ifndef BPFNET_ATTACH_H
#define BPFNET_ATTACH_H

struct bpf_link;
struct bpf_program;

/* 0 or -errno. */
int attach_program(struct bpf_link **link, struct bpf_program *prog);

#endif
