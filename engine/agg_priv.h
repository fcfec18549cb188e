/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* agg_priv.h - what the files of agg share. */
#ifndef BPFNET_AGG_PRIV_H
#define BPFNET_AGG_PRIV_H

#include "agg.h"

/* A row with room for a key of key_len bytes, all else zero; NULL: out of memory. */
struct agg_row *agg_row_make(const struct agg_spec *spec, uint32_t key_len);
uint8_t *agg_row_key(const struct agg_spec *spec, const struct agg_row *row);
/* Adds what `from` has counted. 0, or -ENOMEM with nothing changed. */
int agg_row_merge(const struct agg_spec *spec, struct agg_row *row, const struct agg_row *from);
/* Adds one event. 0, or -ENOMEM with nothing changed. */
int agg_row_add(const struct agg_spec *spec, struct agg_row *row, const struct agg_value *values);
/* The order of rows in a view: < 0 if `a` comes first. */
int agg_row_order(const struct agg_spec *spec, const struct agg_sort *sort, const struct agg_row *a,
		  const struct agg_row *b);

#endif
