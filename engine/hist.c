/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "hist.h"
#include "util.h"

struct hist_part {
	int octave; /* buckets 16 * octave and on */
	uint64_t counts[HIST_PER_OCTAVE];
};

#define SLICES      32
#define SLICE_SHIFT 58

/*
 * Edges an octave apart differ by exactly 2, so one octave is enough: that of values whose top bit is
 * bit 63. A threshold is the edge there, rounded down: for integers v > edge is v > floor(edge).
 * They are floor(unit * 2^(63 + (offset + j) / 16)), with offset the smallest for which that is not
 * below 2^63; computed as integer roots of the 16th power, since no floating point type has the bits.
 */
static const struct {
	const char *name;
	double one; /* recorded units in the exported one */
	int offset;
	uint64_t thresholds[HIST_PER_OCTAVE + 1]; /* the last is above all */
	uint8_t below[SLICES]; /* thresholds below each slice of the octave; at most one is in it */
} units[HIST_UNITS] = {
	[HIST_ONE] = { "",
		       1,
		       0,
		       {
			       0x8000000000000000ULL,
			       0x85aac367cc487b14ULL,
			       0x8b95c1e3ea8bd6e6ULL,
			       0x91c3d373ab11c336ULL,
			       0x9837f0518db8a96fULL,
			       0x9ef5326091a111adULL,
			       0xa5fed6a9b15138eaULL,
			       0xad583eea42a14ac6ULL,
			       0xb504f333f9de6484ULL,
			       0xbd08a39f580c36beULL,
			       0xc5672a115506daddULL,
			       0xce248c151f8480e3ULL,
			       0xd744fccad69d6af4ULL,
			       0xe0ccdeec2a94e111ULL,
			       0xeac0c6e7dd24392eULL,
			       0xf5257d152486cc2cULL,
			       UINT64_MAX,
		       },
		       { 0,  1,  2,  3,  3,  4,  4,  5,  6,  6,  7,  7,  8,  8,  9,  9,
			 10, 10, 11, 11, 12, 12, 13, 13, 13, 14, 14, 15, 15, 15, 16, 16 } },
	[HIST_NS] = { "ns",
		      1e9,
		      -478,
		      {
			      0x81ffa7a9549ca6e3ULL,
			      0x87c11235836d16a3ULL,
			      0x8dc3b8960164a7d9ULL,
			      0x940a7e28259fb382ULL,
			      0x9a9867054d512391ULL,
			      0xa1709975dfb06757ULL,
			      0xa8965f74bf065071ULL,
			      0xb00d2843e1060dc2ULL,
			      0xb7d88a12d0dd9ea0ULL,
			      0xbffc43b7e604a922ULL,
			      0xc87c3e7d03cdbec3ULL,
			      0xd15c9000bf211c1fULL,
			      0xdaa17c2cd19555dbULL,
			      0xe44f7742cb56e3ddULL,
			      0xee6b280000000000ULL,
			      0xf8f969d9b5abf948ULL,
			      UINT64_MAX,
		      },
		      { 0,  1,  2,  2,  3,  3,  4,  5,  5,  6,  6,  7,  7,  8,  9,  9,
			10, 10, 10, 11, 11, 12, 12, 13, 13, 13, 14, 14, 15, 15, 15, 16 } },
	[HIST_US] = { "us",
		      1e6,
		      -318,
		      {
			      0x851e5ddc7f9a447eULL,
			      0x8b032513fb50fc8eULL,
			      0x912ab8eb868bef75ULL,
			      0x97980e7f2061ff7fULL,
			      0x9e4e3c6fecde59abULL,
			      0xa5507c60207319f3ULL,
			      0xaca22c7fbd771b14ULL,
			      0xb446d12ae25405e5ULL,
			      0xbc42169a6f7a7d91ULL,
			      0xc497d2a7d502b97bULL,
			      0xcd4c06a4e1143813ULL,
			      0xd662e14871cbe373ULL,
			      0xdfe0c0b0f7619f98ULL,
			      0xe9ca347dbdc99d8fULL,
			      0xf424000000000000ULL,
			      0xfef31c84d29b9f02ULL,
			      UINT64_MAX,
		      },
		      { 0, 0, 1,  2,  2,  3,  4,  4,  5,  5,  6,  6,  7,  7,  8,  8,
			9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15 } },
	[HIST_MS] = { "ms",
		      1e3,
		      -159,
		      {
			      0x8288c2d35d7ec832ULL,
			      0x88503f58930c8fddULL,
			      0x8e593c7ef50f58a2ULL,
			      0x94a6a0afa4665576ULL,
			      0x9b3b73324e374b43ULL,
			      0xa21adda1b7295194ULL,
			      0xa9482d70c5118305ULL,
			      0xb0c6d580c2032e29ULL,
			      0xb89a6fc99bfbed76ULL,
			      0xc0c6bf14ed08b1bcULL,
			      0xc94fb0cca0c765deULL,
			      0xd2395ede1595ba72ULL,
			      0xdb8811b2a19563caULL,
			      0xe540423e6df55fd7ULL,
			      0xef669c26a5aba363ULL,
			      0xfa00000000000000ULL,
			      UINT64_MAX,
		      },
		      { 0, 1,  1,  2,  3,  3,  4,  5,  5,  6,  6,  7,  7,  8,  8,  9,
			9, 10, 10, 11, 11, 12, 12, 13, 13, 13, 14, 14, 15, 15, 15, 16 } },
};

enum hist_unit hist_unit_of(const char *field)
{
	size_t len = strlen(field);

	for (int i = HIST_NS; i < HIST_UNITS; i++)
		if (len > 3 && field[len - 3] == '_' && str_eq(field + len - 2, units[i].name))
			return (enum hist_unit)i;
	return HIST_ONE;
}

const char *hist_unit_name(enum hist_unit unit)
{
	return units[unit].name;
}

const uint64_t *hist_thresholds(enum hist_unit unit)
{
	return units[unit].thresholds;
}

int hist_offset(enum hist_unit unit)
{
	return units[unit].offset;
}

/* m has bit 63 set, and stands for a value whose top bit is bit `top`. */
static int find_bucket(enum hist_unit unit, uint64_t m, int top)
{
	int n = units[unit].below[(m >> SLICE_SHIFT) & (SLICES - 1)];

	n += m > units[unit].thresholds[n];
	return HIST_PER_OCTAVE * top + units[unit].offset - 1 + n;
}

int hist_bucket(enum hist_unit unit, uint64_t v)
{
	int shift = __builtin_clzll(v);

	return find_bucket(unit, v << shift, 63 - shift);
}

int hist_bucket_real(enum hist_unit unit, double v)
{
	int exponent;
	double part = frexp(v, &exponent); /* 0.5 <= part < 1 */

	return find_bucket(unit, (uint64_t)ldexp(part, 64), exponent - 1);
}

double hist_edge(enum hist_unit unit, int bucket)
{
	return units[unit].one * exp2((double)bucket / HIST_PER_OCTAVE);
}

/* The first part whose octave is not below this one. */
static int find_part(const struct hist *hist, int octave)
{
	int low = 0, high = hist->nr_parts;

	while (low < high) {
		int mid = (low + high) / 2;

		if (hist->parts[mid].octave < octave)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The part of this octave, made if it is not there; NULL: out of memory. */
static struct hist_part *get_part(struct hist *hist, int octave)
{
	struct hist_part *parts = hist->parts;
	int i;

	if (hist->last < hist->nr_parts && parts[hist->last].octave == octave)
		return &parts[hist->last];
	i = find_part(hist, octave);
	if (i == hist->nr_parts || parts[i].octave != octave) {
		if (hist->nr_parts == hist->room) {
			int room = hist->room ? 2 * hist->room : 2;

			parts = realloc(parts, (size_t)room * sizeof(*parts));
			if (!parts)
				return NULL;
			hist->parts = parts;
			hist->room = (uint16_t)room;
		}
		memmove(parts + i + 1, parts + i, (size_t)(hist->nr_parts - i) * sizeof(*parts));
		parts[i] = (struct hist_part){ .octave = octave };
		hist->nr_parts++;
	}
	hist->last = (uint16_t)i;
	return &parts[i];
}

/* Rounds down, as the division of C does not. */
static int octave_of(int bucket)
{
	return (bucket - (bucket & (HIST_PER_OCTAVE - 1))) / HIST_PER_OCTAVE;
}

int hist_add(struct hist *hist, int bucket, uint64_t n)
{
	struct hist_part *part = get_part(hist, octave_of(bucket));

	if (!part)
		return -ENOMEM;
	part->counts[bucket & (HIST_PER_OCTAVE - 1)] += n;
	return 0;
}

int hist_reserve(struct hist *hist, const struct hist *other)
{
	for (int i = 0; i < other->nr_parts; i++)
		if (!get_part(hist, other->parts[i].octave))
			return -ENOMEM;
	return 0;
}

int hist_merge(struct hist *hist, const struct hist *other)
{
	int rc = hist_reserve(hist, other);

	if (rc)
		return rc;
	for (int i = 0; i < other->nr_parts; i++) {
		struct hist_part *part = get_part(hist, other->parts[i].octave);

		for (int j = 0; j < HIST_PER_OCTAVE; j++)
			part->counts[j] += other->parts[i].counts[j];
	}
	hist->zeros += other->zeros;
	return 0;
}

void hist_reset(struct hist *hist)
{
	hist->zeros = 0;
	hist->nr_parts = 0;
}

void hist_free(struct hist *hist)
{
	free(hist->parts);
	*hist = (struct hist){ 0 };
}

bool hist_next(const struct hist *hist, struct hist_pos *pos, int *bucket, uint64_t *n)
{
	for (; pos->part < hist->nr_parts; pos->part++, pos->bucket = 0) {
		const struct hist_part *part = &hist->parts[pos->part];

		while (pos->bucket < HIST_PER_OCTAVE) {
			*n = part->counts[pos->bucket];
			*bucket = part->octave * HIST_PER_OCTAVE + pos->bucket++;
			if (*n)
				return true;
		}
	}
	return false;
}

uint64_t hist_count(const struct hist *hist)
{
	uint64_t sum = hist->zeros;

	for (int i = 0; i < hist->nr_parts; i++)
		for (int j = 0; j < HIST_PER_OCTAVE; j++)
			sum += hist->parts[i].counts[j];
	return sum;
}

double hist_quantile(const struct hist *hist, enum hist_unit unit, double q, double min, double max)
{
	uint64_t count = hist_count(hist), seen = hist->zeros, n, rank;
	struct hist_pos pos = { 0 };
	int bucket = 0;

	if (!count)
		return -1;
	rank = (uint64_t)ceil(q * (double)count);
	if (rank <= seen && seen)
		return 0;
	while (hist_next(hist, &pos, &bucket, &n)) {
		seen += n;
		if (rank <= seen)
			break;
	}
	/* the middle on the logarithmic scale, as far from one edge as from the other */
	return fmax(min, fmin(max, hist_edge(unit, bucket) * exp2(0.5 / HIST_PER_OCTAVE)));
}
