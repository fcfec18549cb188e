/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_syms.h - where the kernel's functions are: any number in one scan. */
#ifndef BPFNET_POINTS_SYMS_H
#define BPFNET_POINTS_SYMS_H

#include <stdbool.h>
#include <stdint.h>

struct point_sym {
	const char *name;
	bool found;
	uint64_t address; /* 0: hidden (kernel.kptr_restrict) */
	char module[56]; /* "" for the kernel itself */
};

/*
 * Fills in all of list by reading /proc/kallsyms once, some 60 ms; of two symbols with one name the
 * first is taken. 0 or -errno, and then none is found.
 */
int point_syms_find(struct point_sym *list, int n);

#endif
