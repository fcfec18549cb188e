/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One row: adding to it, and its place among others. */
#include <errno.h>
#include <stdlib.h>
#include "agg_priv.h"
#include "util.h"

struct agg_row *agg_row_make(const struct agg_spec *spec, uint32_t key_len)
{
	struct agg_row *row;

	row = calloc(1, sizeof(*row) + (size_t)spec->nr_values * sizeof(row->cells[0]) + key_len);
	if (row)
		row->key_len = key_len;
	return row;
}

struct agg_row *agg_row_new(const struct agg_spec *spec)
{
	return agg_row_make(spec, 0);
}

uint8_t *agg_row_key(const struct agg_spec *spec, const struct agg_row *row)
{
	return (uint8_t *)&row->cells[spec->nr_values];
}

void agg_row_reset(const struct agg_spec *spec, struct agg_row *row)
{
	row->count = 0;
	for (int i = 0; i < spec->nr_values; i++) {
		struct hist hist = row->cells[i].hist;

		hist_reset(&hist);
		row->cells[i] = (struct agg_cell){ .hist = hist };
	}
}

void agg_row_free(const struct agg_spec *spec, struct agg_row *row)
{
	if (!row)
		return;
	for (int i = 0; i < spec->nr_values; i++)
		hist_free(&row->cells[i].hist);
	free(row);
}

static void cell_number(unsigned whats, struct agg_cell *cell, agg_int i)
{
	/* only where they are wanted: they are in a cache line of their own */
	if (whats & (1U << AGG_MIN | 1U << AGG_MAX)) {
		cell->min = cell->n && cell->min < i ? cell->min : i;
		cell->max = cell->n && cell->max > i ? cell->max : i;
	}
	cell->sum += i;
	cell->n++;
}

/* The bucket of a value; false: it is zero. */
static bool bucket_of(const struct agg_field *field, const struct agg_value *value, int *bucket)
{
	if (value->type == AGG_INT && value->i > 0)
		*bucket = hist_bucket(field->unit, (uint64_t)value->i);
	else if (value->type == AGG_REAL)
		*bucket = hist_bucket_real(field->unit, value->real);
	else
		return false;
	return true;
}

static int count_bucket(const struct agg_field *field, struct agg_cell *cell,
			const struct agg_value *value)
{
	int bucket;

	if (bucket_of(field, value, &bucket))
		return hist_add(&cell->hist, bucket, 1);
	cell->hist.zeros++;
	return 0;
}

/* Takes back what count_bucket() has done, for the first n values. */
static void uncount_buckets(const struct agg_spec *spec, struct agg_row *row,
			    const struct agg_value *values, int n)
{
	int bucket;

	for (int i = 0; i < n; i++) {
		if (!(spec->values[i].whats & 1U << AGG_HIST) || values[i].type == AGG_NONE)
			continue;
		if (bucket_of(&spec->values[i], &values[i], &bucket))
			hist_add(&row->cells[i].hist, bucket, (uint64_t)-1);
		else
			row->cells[i].hist.zeros--;
	}
}

int agg_row_add(const struct agg_spec *spec, struct agg_row *row, const struct agg_value *values)
{
	for (int i = 0; i < spec->nr_values; i++) {
		if (!(spec->values[i].whats & 1U << AGG_HIST) || values[i].type == AGG_NONE)
			continue;
		if (count_bucket(&spec->values[i], &row->cells[i], &values[i])) {
			uncount_buckets(spec, row, values, i);
			return -ENOMEM;
		}
	}
	for (int i = 0; i < spec->nr_values; i++) {
		if (values[i].type == AGG_INT) {
			cell_number(spec->values[i].whats, &row->cells[i], values[i].i);
		} else if (values[i].type == AGG_REAL) {
			row->cells[i].real += values[i].real;
			row->cells[i].n++;
		}
	}
	row->count++;
	return 0;
}

static void cell_merge(struct agg_cell *cell, const struct agg_cell *from)
{
	if (!from->n)
		return;
	cell->min = cell->n && cell->min < from->min ? cell->min : from->min;
	cell->max = cell->n && cell->max > from->max ? cell->max : from->max;
	cell->sum += from->sum;
	cell->real += from->real;
	cell->n += from->n;
}

int agg_row_merge(const struct agg_spec *spec, struct agg_row *row, const struct agg_row *from)
{
	for (int i = 0; i < spec->nr_values; i++)
		if (hist_reserve(&row->cells[i].hist, &from->cells[i].hist))
			return -ENOMEM;
	for (int i = 0; i < spec->nr_values; i++) {
		hist_merge(&row->cells[i].hist, &from->cells[i].hist);
		cell_merge(&row->cells[i], &from->cells[i]);
	}
	row->count += from->count;
	return 0;
}

static double average(const struct agg_cell *cell)
{
	return ((double)cell->sum + cell->real) / (double)cell->n;
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

/* Greater is > 0. */
static int compare_cells(const struct agg_sort *sort, const struct agg_cell *a,
			 const struct agg_cell *b)
{
	/* a row without values comes behind those that have some */
	if (!a->n || !b->n)
		return COMPARE(a->n > 0, b->n > 0);
	switch (sort->what) {
	case AGG_SUM:
		return COMPARE(a->sum, b->sum);
	case AGG_MIN:
		return COMPARE(a->min, b->min);
	case AGG_MAX:
		return COMPARE(a->max, b->max);
	default:
		return COMPARE(average(a), average(b));
	}
}

int agg_row_order(const struct agg_spec *spec, const struct agg_sort *sort, const struct agg_row *a,
		  const struct agg_row *b)
{
	uint32_t len = a->key_len < b->key_len ? a->key_len : b->key_len;
	int order = sort->what == AGG_COUNT ?
			    COMPARE(b->count, a->count) :
			    compare_cells(sort, &b->cells[sort->value], &a->cells[sort->value]);

	if (!order)
		order = memcmp(agg_row_key(spec, a), agg_row_key(spec, b), len);
	return order ? order : COMPARE(a->key_len, b->key_len);
}
