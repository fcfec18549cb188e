/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * agg.h - rows of count, sum, min, max and histograms, one per key, of a bounded number of keys.
 *
 * What finds no room is added up in a row of its own, so totals stay exact. Sums have 128 bits and
 * can't wrap. Knows neither Lua nor the kernel: lua_agg.c and agg_maps.c bring the values.
 */
#ifndef BPFNET_AGG_H
#define BPFNET_AGG_H

#include <stdbool.h>
#include <stdint.h>
#include "err.h"
#include "hist.h"
#include "record.h"

#define AGG_MAX_BY     16
#define AGG_MAX_VALUES 16
#define AGG_NAME       64 /* bytes of a field's name with its NUL */
#define AGG_MAX_KEY    8192 /* bytes of a key's cells with what tells their types; stacks are long */

/* What is kept of a value; AGG_COUNT is of the row and needs no value. */
enum agg_what { AGG_SUM, AGG_MIN, AGG_MAX, AGG_AVG, AGG_HIST, AGG_COUNT, AGG_WHATS = AGG_COUNT };

/* The values for which one thing is kept, in the order in which they were named. */
struct agg_columns {
	int n;
	bool list; /* named by a list, so that a row has a table of them */
	uint8_t value[AGG_MAX_VALUES];
};

struct agg_field {
	char name[AGG_NAME];
	unsigned whats; /* bits: 1 << AGG_SUM, ... */
	enum hist_unit unit;
};

struct agg_sort {
	enum agg_what what;
	int value;
};

/* No memory of its own: may be copied. */
struct agg_spec {
	char by[AGG_MAX_BY][AGG_NAME];
	int nr_by;
	struct agg_field values[AGG_MAX_VALUES];
	int nr_values;
	struct agg_columns columns[AGG_WHATS];
	struct agg_sort sort;
	uint32_t top; /* rows that are shown; 0: all */
	uint32_t max_keys;
};

typedef __int128 agg_int;

/* One value that is added. */
struct agg_value {
	enum { AGG_NONE, AGG_INT, AGG_REAL } type;
	agg_int i; /* AGG_INT: of 64 bits, signed or not */
	double real; /* AGG_REAL: not whole; only for a value with nothing but a histogram */
};

/* What is known of one value in one row. */
struct agg_cell {
	uint64_t n; /* values that were not nil */
	agg_int sum; /* of the whole ones */
	agg_int min; /* min and max are there if one of them is kept, and n > 0 */
	agg_int max;
	double real; /* sum of those that are not whole */
	struct hist hist;
};

struct agg_row {
	uint64_t hash;
	uint64_t count;
	uint32_t key_len;
	struct agg_cell cells[]; /* spec.nr_values; behind them the key */
};

/* A key that is being put together. */
struct agg_key {
	uint64_t hash; /* the same in all tables of this process */
	uint32_t len;
	bool too_long;
	uint8_t bytes[AGG_MAX_KEY];
};

/* Rows as they are shown; good until the next call for the same agg. */
struct agg_view {
	const struct agg_row **rows;
	uint32_t n;
	const struct agg_row *other; /* all else; its count may be 0 */
};

struct agg;

/* A spec of a single row, with max_keys 10,000. */
void agg_spec_init(struct agg_spec *spec);
/* Each: 0, or -EINVAL: a name that is too long, taken twice or by a row's own members, or one too many. */
int agg_spec_by(struct agg_spec *spec, const char *name, struct err *err);
int agg_spec_value(struct agg_spec *spec, enum agg_what what, const char *name, struct err *err);
/* "count", "sum", "max.rx_bytes", ... into `sort`. 0 or -EINVAL. */
int agg_spec_sort(const struct agg_spec *spec, const char *text, struct agg_sort *sort,
		  struct err *err);
/* The first of sum, else count; for when nothing was said. */
struct agg_sort agg_spec_default_sort(const struct agg_spec *spec);
/* Rows of both can be added up. */
bool agg_spec_same(const struct agg_spec *a, const struct agg_spec *b);
/* "sum", "min", ... */
const char *agg_what_name(enum agg_what what);

/* 0 or -ENOMEM. */
int agg_new(struct agg **agg, const struct agg_spec *spec, struct err *err);
/* NULL is fine. With holders it is only the last call that frees. */
void agg_free(struct agg *agg);
/* One more agg_free() is needed. Returns agg. */
struct agg *agg_hold(struct agg *agg);
const struct agg_spec *agg_get_spec(const struct agg *agg);

/* A key is made from its cells in the order of spec.by. Negative and positive numbers sort as such. */
void agg_key_start(struct agg_key *key);
void agg_key_nil(struct agg_key *key);
void agg_key_bool(struct agg_key *key, bool b);
void agg_key_int(struct agg_key *key, int64_t i);
void agg_key_str(struct agg_key *key, const char *s, size_t len);
void agg_key_value(struct agg_key *key, const struct value *value);
/* The key of a row, cell by cell: *pos starts as 0. Texts point into the row. */
void agg_row_cell(const struct agg *agg, const struct agg_row *row, uint32_t *pos,
		  struct value *value);

/*
 * Adds one event: `values` as many as spec.nr_values. 0; -E2BIG if the key is too long; -ENOMEM. In
 * case of an error nothing has changed. Values of histograms must not be negative.
 */
int agg_add(struct agg *agg, const struct agg_key *key, const struct agg_value *values);
/*
 * The same, and *row is where it went: NULL, or a row that agg_add_to() can be told as long as
 * agg_age() stays what it is.
 */
int agg_add_found(struct agg *agg, const struct agg_key *key, const struct agg_value *values,
		  struct agg_row **row);
int agg_add_to(struct agg *agg, struct agg_row *row, const struct agg_value *values);
/* Changes when rows go away. */
uint32_t agg_age(const struct agg *agg);
/* Adds all that a row has counted, to the row of `key`; NULL: to the rest. As agg_add(). */
int agg_put(struct agg *agg, const struct agg_key *key, const struct agg_row *row);
/* Adds all that `from` has. -ENOMEM: what had no room in memory is counted by agg_dropped(). */
int agg_merge(struct agg *agg, const struct agg *from);
/* Forgets all rows; overflow and dropped, too. */
void agg_clear(struct agg *agg);
/* Number of rows, without the rest. */
uint32_t agg_keys(const struct agg *agg);
/* Events that found no room, and so are in the rest. */
uint64_t agg_overflow(const struct agg *agg);
/* Events that are in no row: counted by agg_drop(). */
uint64_t agg_dropped(const struct agg *agg);
void agg_drop(struct agg *agg, uint64_t n);
/* The row of a key, or NULL. */
const struct agg_row *agg_find(const struct agg *agg, const struct agg_key *key);
/*
 * The `top` greatest rows (0: all), greatest first, equal ones by their key; the others are added up in
 * view->other. 0 or -ENOMEM.
 */
int agg_view(struct agg *agg, const struct agg_sort *sort, uint32_t top, struct agg_view *view);

/* A row outside of any table, to collect into. NULL: out of memory. */
struct agg_row *agg_row_new(const struct agg_spec *spec);
void agg_row_reset(const struct agg_spec *spec, struct agg_row *row);
void agg_row_free(const struct agg_spec *spec, struct agg_row *row);

#endif
