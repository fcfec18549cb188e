/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ring.h - a BPF ring buffer that several probes write into, and its reader.
 *
 * Our own reader instead of libbpf's: a round is bounded, and a callback that drains the ring, as a
 * handler may, does not get the same record again. Callbacks must return.
 */
#ifndef BPFNET_RING_H
#define BPFNET_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"

struct ring;

/* One record: `probe` is the number in its header, data its event. */
typedef void (*ring_fn)(void *arg, uint32_t probe, const void *data, size_t size);

/* size in bytes, rounded up to a power of two of at least a page. 0, or -errno. */
int ring_new(struct ring **ring, uint64_t size, struct err *err);
void ring_free(struct ring *ring);
uint64_t ring_size(const struct ring *ring);
/* The map; becomes readable on a wake-up, register it edge-triggered. */
int ring_fd(const struct ring *ring);
/* For the probe's map `wakeups`. */
int ring_wakeups_fd(const struct ring *ring);
/* At once for every event (true), or at most once in 20 ms with the reader looking by itself. */
void ring_set_low_latency(struct ring *ring, bool low_latency);
/* Gives up to `max` records to fn, none from inside fn. Returns how many; less: it is empty. */
int ring_consume(struct ring *ring, int max, ring_fn fn, void *arg);
/* Nothing waits, and the next event will cause a wake-up. */
bool ring_is_quiet(const struct ring *ring);
/* How often the reader has to look by itself until the ring is quiet, in ns. */
uint64_t ring_tick_ns(const struct ring *ring);

#endif
