/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* globals.h - a BPF object's global variables by name, found through its BTF. */
#ifndef BPFNET_GLOBALS_H
#define BPFNET_GLOBALS_H

#include <stddef.h>

struct bpf_object;

/*
 * Where variable `name` of section `section` (".bss", ".rodata", ".data") lies; NULL if there is
 * none, or its size is not `size`. Before loading that is its initial value, after globals_go_live() the live one.
 */
void *globals_find(const struct bpf_object *obj, const char *section, const char *name,
		   size_t size);

/* After loading: makes .bss and .data the kernel's own memory. 0 or -errno. */
int globals_go_live(const struct bpf_object *obj);

#endif
