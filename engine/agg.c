/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The table of rows: a hash with open addressing over a list of them. */
#include <errno.h>
#include <stdlib.h>
#include "agg_priv.h"
#include "util.h"

struct agg {
	int holders; /* besides the first */
	struct agg_spec spec;
	struct agg_row **slots; /* a power of two, at most half of them used */
	uint32_t nr_slots;
	uint32_t n;
	uint32_t age;
	uint64_t overflow;
	uint64_t dropped;
	struct agg_row *rest; /* what found no room */
	struct agg_row *other; /* of the last view: the rest and what it does not show */
	const struct agg_row **shown; /* of the last view */
};

#define FIRST_SLOTS 64

int agg_new(struct agg **out, const struct agg_spec *spec, struct err *err)
{
	struct agg *agg = calloc(1, sizeof(*agg));

	*out = NULL;
	if (agg) {
		agg->spec = *spec;
		agg->nr_slots = FIRST_SLOTS;
		agg->slots = calloc(FIRST_SLOTS, sizeof(*agg->slots));
		agg->rest = agg_row_new(spec);
		agg->other = agg_row_new(spec);
	}
	if (!agg || !agg->slots || !agg->rest || !agg->other) {
		agg_free(agg);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = agg;
	return 0;
}

static void free_rows(struct agg *agg)
{
	agg->age++;
	for (uint32_t i = 0; agg->slots && i < agg->nr_slots; i++) {
		agg_row_free(&agg->spec, agg->slots[i]);
		agg->slots[i] = NULL;
	}
	agg->n = 0;
}

void agg_free(struct agg *agg)
{
	if (!agg || agg->holders-- > 0)
		return;
	free_rows(agg);
	agg_row_free(&agg->spec, agg->rest);
	agg_row_free(&agg->spec, agg->other);
	free(agg->slots);
	free(agg->shown);
	free(agg);
}

struct agg *agg_hold(struct agg *agg)
{
	agg->holders++;
	return agg;
}

const struct agg_spec *agg_get_spec(const struct agg *agg)
{
	return &agg->spec;
}

/* The slot with this key, or the empty one where it belongs. */
static struct agg_row **find_slot(const struct agg *agg, const uint8_t *key, uint32_t len,
				  uint64_t hash)
{
	uint32_t mask = agg->nr_slots - 1;

	for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
		struct agg_row *row = agg->slots[i];

		if (!row || (row->hash == hash && row->key_len == len &&
			     memcmp(agg_row_key(&agg->spec, row), key, len) == 0))
			return &agg->slots[i];
	}
}

static int grow(struct agg *agg)
{
	struct agg_row **old = agg->slots;
	uint32_t nr_old = agg->nr_slots;

	agg->slots = calloc(2 * (size_t)nr_old, sizeof(*agg->slots));
	if (!agg->slots) {
		agg->slots = old;
		return -ENOMEM;
	}
	agg->nr_slots = 2 * nr_old;
	for (uint32_t i = 0; i < nr_old; i++) {
		struct agg_row *row = old[i];

		if (row)
			*find_slot(agg, agg_row_key(&agg->spec, row), row->key_len, row->hash) =
				row;
	}
	free(old);
	return 0;
}

/* A row for a key that has none; NULL: out of memory. */
static struct agg_row *insert(struct agg *agg, const uint8_t *key, uint32_t len, uint64_t hash)
{
	struct agg_row *row;

	if (2 * (agg->n + 1) > agg->nr_slots && grow(agg))
		return NULL;
	row = agg_row_make(&agg->spec, len);
	if (!row)
		return NULL;
	row->hash = hash;
	memcpy(agg_row_key(&agg->spec, row), key, len);
	*find_slot(agg, key, len, hash) = row;
	agg->n++;
	return row;
}

/* The row of a key, new if need be; the rest, if there are too many; NULL: out of memory. */
static struct agg_row *get_row(struct agg *agg, const uint8_t *key, uint32_t len, uint64_t hash)
{
	struct agg_row *row = *find_slot(agg, key, len, hash);

	if (row)
		return row;
	if (agg->n >= agg->spec.max_keys)
		return agg->rest;
	return insert(agg, key, len, hash);
}

int agg_add_found(struct agg *agg, const struct agg_key *key, const struct agg_value *values,
		  struct agg_row **found)
{
	struct agg_row *row;
	int rc;

	*found = NULL;
	if (key->too_long)
		return -E2BIG;
	row = get_row(agg, key->bytes, key->len, key->hash);
	rc = row ? agg_row_add(&agg->spec, row, values) : -ENOMEM;
	if (rc)
		return rc;
	if (row == agg->rest)
		agg->overflow++;
	else
		*found = row;
	return 0;
}

int agg_add(struct agg *agg, const struct agg_key *key, const struct agg_value *values)
{
	struct agg_row *row;

	return agg_add_found(agg, key, values, &row);
}

int agg_add_to(struct agg *agg, struct agg_row *row, const struct agg_value *values)
{
	return agg_row_add(&agg->spec, row, values);
}

uint32_t agg_age(const struct agg *agg)
{
	return agg->age;
}

static int put(struct agg *agg, struct agg_row *row, const struct agg_row *from)
{
	int rc = row ? agg_row_merge(&agg->spec, row, from) : -ENOMEM;

	if (!rc && row == agg->rest)
		agg->overflow += from->count;
	return rc;
}

int agg_put(struct agg *agg, const struct agg_key *key, const struct agg_row *row)
{
	if (!key)
		return put(agg, agg->rest, row);
	if (key->too_long)
		return -E2BIG;
	return put(agg, get_row(agg, key->bytes, key->len, key->hash), row);
}

int agg_merge(struct agg *agg, const struct agg *from)
{
	const struct agg_spec *spec = &from->spec;
	int rc = 0;

	for (uint32_t i = 0; i < from->nr_slots; i++) {
		const struct agg_row *row = from->slots[i];

		if (!row)
			continue;
		if (put(agg, get_row(agg, agg_row_key(spec, row), row->key_len, row->hash), row)) {
			agg_drop(agg, row->count);
			rc = -ENOMEM;
		}
	}
	if (put(agg, agg->rest, from->rest)) {
		agg_drop(agg, from->rest->count);
		rc = -ENOMEM;
	}
	agg->dropped += from->dropped;
	return rc;
}

void agg_clear(struct agg *agg)
{
	free_rows(agg);
	agg_row_reset(&agg->spec, agg->rest);
	agg->overflow = agg->dropped = 0;
}

uint32_t agg_keys(const struct agg *agg)
{
	return agg->n;
}

uint64_t agg_overflow(const struct agg *agg)
{
	return agg->overflow;
}

uint64_t agg_dropped(const struct agg *agg)
{
	return agg->dropped;
}

void agg_drop(struct agg *agg, uint64_t n)
{
	agg->dropped += n;
}

const struct agg_row *agg_find(const struct agg *agg, const struct agg_key *key)
{
	if (key->too_long)
		return NULL;
	return *find_slot(agg, key->bytes, key->len, key->hash);
}

struct order {
	const struct agg_spec *spec;
	const struct agg_sort *sort;
};

static int by_order(const void *a, const void *b, void *arg)
{
	const struct agg_row *const *x = a, *const *y = b;
	const struct order *order = arg;

	return agg_row_order(order->spec, order->sort, *x, *y);
}

int agg_view(struct agg *agg, const struct agg_sort *sort, uint32_t top, struct agg_view *view)
{
	struct order order = { &agg->spec, sort };
	const struct agg_row **rows = realloc(agg->shown, (agg->n + 1ULL) * sizeof(*rows));
	uint32_t n = 0;

	if (!rows)
		return -ENOMEM;
	agg->shown = rows;
	for (uint32_t i = 0; i < agg->nr_slots; i++)
		if (agg->slots[i])
			rows[n++] = agg->slots[i];
	qsort_r(rows, n, sizeof(*rows), by_order, &order);
	agg_row_reset(&agg->spec, agg->other);
	if (agg_row_merge(&agg->spec, agg->other, agg->rest))
		return -ENOMEM;
	view->n = top && top < n ? top : n;
	for (uint32_t i = view->n; i < n; i++)
		if (agg_row_merge(&agg->spec, agg->other, rows[i]))
			return -ENOMEM;
	view->rows = rows;
	view->other = agg->other;
	return 0;
}
