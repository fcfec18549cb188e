/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * stacks.h - kernel stacks as text, from an object's map of stacks (BPF_MAP_TYPE_STACK_TRACE).
 *
 * Programs get an id of the stack that they run on from bpf_get_stackid(), without
 * BPF_F_REUSE_STACKID: then an id means one stack for good, and its text is made once.
 */
#ifndef BPFNET_STACKS_H
#define BPFNET_STACKS_H

#include "err.h"

struct bpf_map;
struct stack_texts;

/*
 * For layout_set_stacks(); knows no stack until it has a map. Texts are the frames' as ksyms_text()
 * has them, innermost first, with ";" in between, without those of the BPF program itself, and "..."
 * for what is beyond 4,000 bytes. NULL: out of memory.
 */
struct stack_texts *stacks_new(void);
/* Another map of a loaded object, or the first; it is kept for as long as `texts` is. 0 or -errno. */
int stacks_set_map(struct stack_texts *texts, const struct bpf_map *map, struct err *err);

#endif
