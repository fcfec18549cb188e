/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* skels.h - the BPF objects inside the binary; the table is generated from bpf/ by the Makefile. */
#ifndef BPFNET_SKELS_H
#define BPFNET_SKELS_H

#include <stdbool.h>
#include <stddef.h>

struct skel {
	const char *name;
	const void *(*elf_bytes)(size_t *size);
};

extern const struct skel skels[]; /* sorted by name, ends with a NULL name */

/* NULL if there is none. */
const struct skel *skel_find(const char *name);
/* False for those that others use: the table of sockets, the redirect. */
bool skel_is_probe(const struct skel *skel);

#endif
