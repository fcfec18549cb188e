/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * agg_maps.h - an aggregation that programs in the kernel fill.
 *
 * They count into one of two banks; to collect, user space makes them use the other one, waits until
 * none is left in the first, and empties that into the table of rows.
 */
#ifndef BPFNET_AGG_MAPS_H
#define BPFNET_AGG_MAPS_H

#include <stdbool.h>
#include "agg.h"

struct agg_maps;
struct code;

/*
 * Makes the maps for events of `layout`, of which copies are kept. prealloc: kernels before 6.1 need
 * memory set aside. 0; -EINVAL: a field that does not exist or can't be used so, more than one histogram,
 * a key or row that is too large; other -errno: the kernel refuses. Holds agg.
 */
int agg_maps_new(struct agg_maps **maps, struct agg *agg, const struct layout *layout,
		 bool prealloc, struct err *err);
/* What was not collected is lost. Programs may go on counting: they hold the maps by themselves. */
void agg_maps_free(struct agg_maps *maps);
/* One more agg_maps_free() is needed. Returns maps. */
struct agg_maps *agg_maps_hold(struct agg_maps *maps);
/*
 * Appends code that adds the event at CODE_RECORD, and falls through at its end. It uses the registers
 * 0 to 5, and all CODE_WORDS words at CODE_ROOM. 0; lack of memory is told by code_finish().
 */
int agg_maps_code(const struct agg_maps *maps, struct code *code, struct err *err);
/* The same for one record in user space, straight into the rows. 0, -E2BIG or -ENOMEM. */
int agg_maps_add(struct agg_maps *maps, const void *record, struct err *err);
/*
 * Moves what the kernel has counted into the rows: each event exactly once, also if an error comes in
 * between: the next call goes on. What did not find its own row in the kernel is in the rest, where it
 * has no buckets. 0; -ETIMEDOUT: a program has not ended within a second; -errno.
 */
int agg_maps_collect(struct agg_maps *maps, struct err *err);

#endif
