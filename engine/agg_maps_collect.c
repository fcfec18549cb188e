/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Emptying a bank into the table of rows. The order of things is argued in agg_code.c. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include "agg_maps_priv.h"
#include "util.h"

#define ENOTSUPP     524 /* the kernel's own */
#define SPINS        1000
#define WAIT_NS      50000
#define GIVE_UP_NS   NSEC_PER_SEC
#define BUFFER_BYTES (1 << 20) /* of numbers, at first */
#define FEWEST       16 /* entries in it */

int agg_bank_prepare(const struct agg_maps *maps, int bank, struct err *err)
{
	uint8_t key[BANK_KEY] = { 0 };
	uint32_t other = BUCKET_OTHER;

	memcpy(key, &other, sizeof(other));
	memset(maps->numbers, 0, 8 * (size_t)maps->nr_columns * (size_t)maps->cpus);
	if (bpf_map_update_elem(maps->bank_fd[bank], key, maps->numbers, BPF_NOEXIST) &&
	    errno != EEXIST)
		return err_sys(err, -errno, "can't prepare the map of an aggregation");
	return 0;
}

int agg_bank_buffers(struct agg_maps *maps, uint32_t room)
{
	size_t size = 8 * (size_t)maps->nr_columns * (size_t)maps->cpus;
	uint8_t *keys;
	uint64_t *numbers;

	while (room > FEWEST && !maps->room && room * size > BUFFER_BYTES)
		room /= 2;
	keys = realloc(maps->keys, (size_t)room * maps->key_size);
	if (!keys)
		return -ENOMEM;
	maps->keys = keys;
	numbers = realloc(maps->numbers, room * size);
	if (!numbers)
		return -ENOMEM;
	maps->numbers = numbers;
	maps->room = room;
	return 0;
}

/* A row's number over all CPUs. */
static uint64_t fold(const struct agg_maps *maps, const uint64_t *numbers, int column)
{
	enum bank_what what = maps->columns[column].what;
	uint64_t all = 0;

	for (int cpu = 0; cpu < maps->cpus; cpu++) {
		uint64_t n = numbers[cpu * maps->nr_columns + column];

		if (what != BANK_MIN && what != BANK_MAX)
			all += n;
		else if (n > all)
			all = n;
	}
	return all;
}

static agg_int to_int(const struct field *field, uint64_t number)
{
	return bank_is_signed(field) ? (agg_int)(int64_t)number : (agg_int)number;
}

static void set_number(struct agg_maps *maps, const struct bank_column *column, uint64_t n)
{
	const struct field *field = &maps->values[column->value];
	struct agg_cell *cell = &maps->row->cells[column->value];
	uint64_t sign = bank_is_signed(field) ? 1ULL << 63 : 0;

	switch (column->what) {
	case BANK_N:
		cell->n = n;
		break;
	case BANK_SUM:
		cell->sum = to_int(field, n);
		break;
	case BANK_MIN:
		cell->min = to_int(field, ~n ^ sign);
		break;
	case BANK_MAX:
		cell->max = to_int(field, n ^ sign);
		break;
	case BANK_COUNT:
		break;
	}
}

/* One entry of a bank as a row. 0 or -ENOMEM. */
static int read_row(struct agg_maps *maps, uint32_t bucket, const uint64_t *numbers)
{
	const struct agg_spec *spec = agg_get_spec(maps->agg);
	struct agg_row *row = maps->row;
	struct hist *hist = maps->hist >= 0 ? &row->cells[maps->hist].hist : NULL;

	agg_row_reset(spec, row);
	row->count = fold(maps, numbers, 0);
	for (int i = 0; i < spec->nr_values; i++)
		row->cells[i].n = row->count;
	for (int i = 1; i < maps->nr_columns; i++)
		set_number(maps, &maps->columns[i], fold(maps, numbers, i));
	if (!hist || bucket == BUCKET_NIL || bucket == BUCKET_OTHER)
		return 0;
	if (bucket != BUCKET_ZERO)
		return hist_add(hist, (int32_t)bucket, row->count);
	hist->zeros = row->count;
	return 0;
}

/* Adds one entry to the rows; what memory does not suffice for is counted as dropped. */
static void add_entry(struct agg_maps *maps, const uint8_t *bank_key, const uint64_t *numbers)
{
	const struct agg_spec *spec = agg_get_spec(maps->agg);
	struct agg_key key;
	struct value cell;
	uint32_t bucket;
	int rc;

	memcpy(&bucket, bank_key, sizeof(bucket));
	rc = read_row(maps, bucket, numbers);
	agg_key_start(&key);
	for (int i = 0; i < spec->nr_by; i++) {
		field_get(&maps->parts[i].in_key, bank_key, &cell);
		agg_key_value(&key, &cell);
	}
	if (!rc && maps->row->count)
		rc = agg_put(maps->agg, bucket == BUCKET_OTHER ? NULL : &key, maps->row);
	if (rc)
		agg_drop(maps->agg, maps->row->count);
}

/* For kernels without batches: one after the other. */
static int drain_singly(struct agg_maps *maps, int fd)
{
	uint8_t key[BANK_KEY];

	while (!bpf_map_get_next_key(fd, NULL, key)) {
		if (bpf_map_lookup_elem(fd, key, maps->numbers) || bpf_map_delete_elem(fd, key))
			return -errno;
		add_entry(maps, key, maps->numbers);
	}
	return errno == ENOENT ? 0 : -errno;
}

/* Whole hash chains at a time, so the buffers must hold the longest. */
static int drain(struct agg_maps *maps, int fd)
{
	uint64_t size = (uint64_t)maps->nr_columns * (uint64_t)maps->cpus;
	uint32_t batch, n;
	bool first = true;
	int rc = 0;

	while (!rc) {
		n = maps->room;
		rc = bpf_map_lookup_and_delete_batch(fd, first ? NULL : &batch, &batch, maps->keys,
						     maps->numbers, &n, NULL) ?
			     -errno :
			     0;
		if (rc == -ENOSPC) {
			rc = agg_bank_buffers(maps, 2 * maps->room);
			continue;
		}
		if (first && (rc == -EINVAL || rc == -ENOTSUPP))
			return drain_singly(maps, fd);
		if (rc && rc != -ENOENT)
			return rc;
		for (uint32_t i = 0; i < n; i++)
			add_entry(maps, maps->keys + (size_t)i * maps->key_size,
				  maps->numbers + i * size);
		first = false;
	}
	return rc == -ENOENT ? 0 : rc;
}

/* Waits until each slot of the bank was seen empty. */
static int wait_for_programs(struct agg_maps *maps, int bank, struct err *err)
{
	static const struct timespec pause = { .tv_nsec = WAIT_NS };
	uint64_t deadline = 0;
	int spins = 0;

	for (int i = 0; i < CONTROL_SLOTS; i++) {
		const _Atomic uint64_t *inside = (void *)&maps->control->slots[i].inside[bank];

		while (atomic_load(inside)) {
			if (++spins < SPINS)
				continue;
			if (!deadline)
				deadline = now_ns() + GIVE_UP_NS;
			if (now_ns() > deadline)
				return err_set(err, -ETIMEDOUT,
					       "a program does not end its use of an aggregation");
			nanosleep(&pause, NULL);
		}
	}
	return 0;
}

/* What is left to do for a bank that no program uses any more. */
static int finish_bank(struct agg_maps *maps, struct err *err)
{
	int bank = maps->draining, rc = wait_for_programs(maps, bank, err);

	if (rc)
		return rc;
	rc = drain(maps, maps->bank_fd[bank]);
	if (rc)
		return err_sys(err, rc, "can't read the map of an aggregation");
	rc = agg_bank_prepare(maps, bank, err);
	if (!rc)
		maps->draining = -1;
	return rc;
}

int agg_maps_collect(struct agg_maps *maps, struct err *err)
{
	_Atomic uint32_t *active = (void *)&maps->control->active;
	uint64_t skipped;
	int rc = 0;

	if (maps->draining >= 0)
		rc = finish_bank(maps, err);
	if (rc)
		return rc;
	maps->draining = (int)(atomic_load(active) & 1);
	atomic_store(active, !maps->draining);
	atomic_thread_fence(memory_order_seq_cst);
	rc = finish_bank(maps, err);
	skipped = atomic_load((_Atomic uint64_t *)&maps->control->skipped);
	agg_drop(maps->agg, skipped - maps->skipped);
	maps->skipped = skipped;
	return rc;
}
