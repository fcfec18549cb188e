/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* agg_maps_priv.h - what the code in the kernel and the reader of its maps agree on. */
#ifndef BPFNET_AGG_MAPS_PRIV_H
#define BPFNET_AGG_MAPS_PRIV_H

#include "agg_maps.h"
#include "record.h"

/* The key in a bank: what bucket, then the fields as they are in the record. */
#define BANK_KEY     72 /* bytes at most */
#define BUCKET_ZERO  0x80000000U /* of no histogram: 0, too */
#define BUCKET_NIL   0x80000001U
#define BUCKET_OTHER 0x80000002U /* the key of all that finds no room, always there */

/*
 * Numbers of a row. 0 is the value of one that nothing was added to, also on the CPUs that did not
 * make the row, so the least is kept as the greatest complement.
 */
enum bank_what { BANK_COUNT, BANK_N, BANK_SUM, BANK_MIN, BANK_MAX };
#define BANK_COLUMNS 8 /* at most */

struct bank_column {
	enum bank_what what;
	int value; /* of the spec; not for BANK_COUNT */
};

struct bank_part {
	struct field field; /* in the record */
	struct field in_key; /* the same in the key; bits are moved to its start */
};

/* A cache line for each CPU, or for each 64th: programs between entering and leaving a bank. */
#define CONTROL_SLOTS 64

struct agg_slot {
	uint64_t inside[2];
	uint64_t zero[6];
};

struct agg_control {
	uint32_t active; /* bank for programs that come now */
	uint32_t zero1;
	uint64_t skipped; /* events that could be added nowhere */
	uint64_t zero2[6];
	struct agg_slot slots[CONTROL_SLOTS];
};

struct agg_maps {
	struct agg *agg; /* held */
	int holders; /* besides the first */
	struct bank_part parts[AGG_MAX_BY];
	struct field values[AGG_MAX_VALUES];
	void *names[AGG_MAX_BY]; /* of parts that are enums */
	struct bank_column columns[BANK_COLUMNS];
	int nr_columns;
	int hist; /* value with a histogram; -1: none */
	uint32_t key_size;
	int bank_fd[2];
	int control_fd;
	struct agg_control *control; /* the kernel's memory */
	uint64_t skipped; /* of which agg knows */
	int draining; /* bank that was taken out of use and is not yet empty; -1: none */
	int cpus;
	uint32_t room; /* entries that the buffers hold */
	uint8_t *keys;
	uint64_t *numbers; /* columns, for each CPU */
	struct agg_row *row; /* between a bank and agg */
};

/* Puts the key of the rest into a bank, if it is not there. 0 or -errno. Uses the buffers. */
int agg_bank_prepare(const struct agg_maps *maps, int bank, struct err *err);
/* Buffers for `room` entries, at first fewer where there are many CPUs. 0 or -ENOMEM. */
int agg_bank_buffers(struct agg_maps *maps, uint32_t room);

/* Its values may be negative. */
static inline bool bank_is_signed(const struct field *field)
{
	return field->kind == FIELD_INT;
}

#endif
