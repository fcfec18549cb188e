/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* context.h - how a program finds out what its CPU was doing: bpf/context.h. */
#ifndef BPFNET_CONTEXT_H
#define BPFNET_CONTEXT_H

struct bpf_object;

/* Writes the constants that bpf/context.h asks for, if the object has them. Before it is loaded. */
void context_setup(struct bpf_object *obj);

#endif
