/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_choose.h - between points_choose.c, which decides, and points_find.c, which looks. */
#ifndef BPFNET_POINTS_CHOOSE_H
#define BPFNET_POINTS_CHOOSE_H

#include "points_priv.h"

/* One choice. */
struct choice {
	struct points *p;
	const struct bpf_object *obj;
	const struct refusals *refused;
	bool usable[SHARED_WAYS][2]; /* shared programs: at entry, at return */
	char refusal[160]; /* why one of them is not, where the kernel said so */
};

/* Section of a program for the point that works here; NULL if there is none, with point->why. */
const char *point_tracepoint(const struct choice *c, struct point *point);
/* Fills in all sites' btf_id, in one pass over the kernel's types. 0 or -errno. */
int point_find_types(const struct choice *c);
/* The same for functions in modules, of which some are read. */
void point_find_module_types(const struct choice *choice);
/* Fills in all sites' sym. 0 or -errno. */
int point_find_symbols(const struct choice *c);

#endif
