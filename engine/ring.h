/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ring.h - a BPF ring buffer that several probes write into, and its reader.
 *
 * Our own reader instead of libbpf's: a round is bounded, and a callback that drains the ring, as a
 * handler may, does not get the same record again, nor does anybody when a callback was left by a
 * longjmp: its record has been used up, and the rest waits for the next round.
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
/*
 * Gives up to `max` records to fn, none from inside fn. Returns how many; less: it is empty, or fn has called
 * ring_enough(). One of 64 KiB or more comes without data.
 */
int ring_consume(struct ring *ring, int max, ring_fn fn, void *arg);
void ring_enough(struct ring *ring);
/* Where the newest record of now ends, and whether the reader has come that far. */
uint64_t ring_end(const struct ring *ring);
bool ring_has_read(const struct ring *ring, uint64_t end);
/* True inside fn, and after it was left by a longjmp, which ring_end_round() has to make good. */
bool ring_is_reading(const struct ring *ring);
void ring_end_round(struct ring *ring);
/*
 * To be called when ring_consume() has found the end. In how many ns the reader has to do so again
 * by itself: till then programs rely on that, and wake it only when the ring fills up.
 */
uint64_t ring_look_again(struct ring *ring);

#endif
