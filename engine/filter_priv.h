/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* filter_priv.h - struct filter, for filter.c, which fills it, and filter_maps.c, which writes it. */
#ifndef BPFNET_FILTER_PRIV_H
#define BPFNET_FILTER_PRIV_H

#include "filter.h"

struct filter {
	const struct filter_kinds *kinds;
	struct filter_entry *entries;
	int n;
	int room;
	uint64_t active; /* bit per kind */
};

#endif
