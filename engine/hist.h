/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * hist.h - distribution of numbers >= 0: the exponential histogram of OpenTelemetry, base 2, scale 4.
 *
 * Bucket i counts v with base^i < v <= base^(i+1), base = 2^(1/16), where v is in the unit that is
 * exported: times are recorded in ns, us or ms and exported in seconds, so the edges for ns lie at
 * 1e9 * 2^(i/16). All else is exported as it is. Zero has a bucket of its own. Only octaves into
 * which something fell take memory. lua/bpfnet/hist.lua counts in the same buckets.
 */
#ifndef BPFNET_HIST_H
#define BPFNET_HIST_H

#include <stdbool.h>
#include <stdint.h>

#define HIST_PER_OCTAVE 16

enum hist_unit { HIST_ONE, HIST_NS, HIST_US, HIST_MS, HIST_UNITS };

struct hist_part; /* the 16 buckets of an octave */

/* All zero is an empty one. */
struct hist {
	uint64_t zeros;
	struct hist_part *parts; /* in order */
	uint16_t nr_parts;
	uint16_t room;
	uint16_t last; /* the part that was used last */
};

/* Where a walk through the buckets stands; all zero is the start. */
struct hist_pos {
	int part;
	int bucket;
};

/* By the end of a field's name: _ns, _us, _ms; else HIST_ONE. */
enum hist_unit hist_unit_of(const char *field);
/* "ns", "us", "ms", or "" */
const char *hist_unit_name(enum hist_unit unit);

/* The bucket of v, as recorded; v is not 0. Exact for every v. */
int hist_bucket(enum hist_unit unit, uint64_t v);
/* The same for a number that is > 0 and finite. */
int hist_bucket_real(enum hist_unit unit, double v);
/* Lower edge of a bucket, in the unit of the recorded values. */
double hist_edge(enum hist_unit unit, int bucket);
/*
 * For code that looks for the bucket by itself: with m = v shifted so that its top bit is bit 63, and
 * t the number of that bit before, it is 16 * t + hist_offset() - 1 + how many of the 16 thresholds
 * are < m.
 */
const uint64_t *hist_thresholds(enum hist_unit unit);
int hist_offset(enum hist_unit unit);

/* Counts n values in a bucket. 0 or -ENOMEM with nothing changed. */
int hist_add(struct hist *hist, int bucket, uint64_t n);
/* Sees to it that hist_merge() of `other` will need no memory. 0 or -ENOMEM. */
int hist_reserve(struct hist *hist, const struct hist *other);
/* Adds what another one of the same unit has counted. 0 or -ENOMEM. */
int hist_merge(struct hist *hist, const struct hist *other);
/* Forgets all values and keeps the memory. */
void hist_reset(struct hist *hist);
/* Gives the memory back; what is left is an empty one. */
void hist_free(struct hist *hist);
/* The next bucket in order that is not empty. False after the last. */
bool hist_next(const struct hist *hist, struct hist_pos *pos, int *bucket, uint64_t *n);
/* Number of values. */
uint64_t hist_count(const struct hist *hist);
/*
 * The value at or below which the part q (0 to 1) of all lies, in the unit of the recorded values and
 * within 2.2%; min and max, where known, bound it (0 and INFINITY are always right). -1 if empty.
 */
double hist_quantile(const struct hist *hist, enum hist_unit unit, double q, double min,
		     double max);

#endif
