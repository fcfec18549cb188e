/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * stage.h - what is decided about an event once it is complete, in the kernel, in this order:
 *
 *	where		does the event count at all?
 *	sample		is its connection one of those looked at?
 *	aggregations	add it up
 *	threshold	is it worth sending?
 *	rate		have there been too many like it in this second?
 *
 * stage_code() makes instructions of it that go into every program of the probe (patch.h);
 * stage_judge() does the same for one record in user space.
 */
#ifndef BPFNET_STAGE_H
#define BPFNET_STAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "err.h"

struct agg_maps;
struct code;
struct expr;
struct field;
struct layout;

/* 0, or the slot of enum tally (bpf/probe.h) that counts the event instead. */
enum verdict {
	VERDICT_SEND,
	VERDICT_FILTERED,
	VERDICT_SAMPLED = 3,
	VERDICT_LIMITED,
	VERDICT_AGGREGATED,
};

#define STAGE_SAMPLE_ALL (1ULL << 32)
#define STAGE_MAX_AGGS   8
#define STAGE_MAX_BY     8

struct stage_rate {
	uint32_t per_second; /* 0: no limit */
	const struct field *by[STAGE_MAX_BY]; /* each combination of values has its own limit */
	int nr_by;
	int map_fd;
};

struct stage {
	const struct layout *layout;
	struct expr *where; /* NULL: all */
	struct expr *threshold; /* NULL: all */
	uint64_t sample; /* connections in 2^32 */
	struct stage_rate rate;
	struct agg_maps *aggs[STAGE_MAX_AGGS]; /* held */
	int nr_aggs;
	bool quiet; /* aggregated only: nobody waits for events */
};

void stage_init(struct stage *stage, const struct layout *layout);
void stage_fini(struct stage *stage);
/* The part of connections to look at, above 0 to 1. 0; -EINVAL if events have no connection. */
int stage_set_sample(struct stage *stage, double part, struct err *err);
/* Events per second, for each combination of the fields; replaces the limit there was. */
int stage_set_rate(struct stage *stage, uint32_t per_second, const struct field *const *by,
		   int nr_by, struct err *err);
/* Writes the code, ending with r0 = verdict. Registers: see code.h. 0 or -errno. */
int stage_code(const struct stage *stage, struct code *code, struct err *err);
/*
 * For an event that did not come from the kernel; adds it to the aggregations. The rate does not
 * count here. A verdict, or -errno.
 */
int stage_judge(const struct stage *stage, const void *record, struct err *err);

/* Parts of stage_code(): fall through, or go to `label` for events that are left out. */
int stage_sample_check(const struct layout *layout, struct err *err);
void stage_sample_code(const struct stage *stage, struct code *code, int label);
bool stage_sample_has(const struct stage *stage, const void *record);
void stage_rate_code(const struct stage_rate *rate, const struct layout *layout, struct code *code,
		     int label);

#endif
