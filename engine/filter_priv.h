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

/* What the map holds under a value that is no verdict; programs only ask whether there is something. */
#define FILTER_VALUE 255

/* filter_maps.c: one entry of the filter that is in force. 0, -errno */
int filter_maps_set(struct filter_maps *maps, const struct filter_entry *entry);
void filter_maps_delete(struct filter_maps *maps, const struct filter_entry *entry);

/* What filter_add() is made of. The int ones return 0, or -errno with err set. */
struct filter_entry *filter_new_entry(struct filter *f, int kind, struct err *err);
int filter_add_int(struct filter *f, int kind, uint64_t i, struct err *err);
int filter_expected(const char *name, const char *what, const struct value *v, struct err *err);
/* filter_packet.c */
int filter_add_ifname(struct filter *f, int kind, const struct value *v, struct err *err);
int filter_add_packet_family(struct filter *f, int kind, const struct value *v, struct err *err);
int filter_add_proto(struct filter *f, int kind, const struct value *v, struct err *err);

#endif
