/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pump.h - moves records from a ring to a function, driven by the loop.
 *
 * A round is bounded, so that timers and signals get their turn. After a wake-up the pump looks by
 * itself, at least every 20 ms, until nothing comes: the kernel side relies on that (bpf/probe.h).
 */
#ifndef BPFNET_PUMP_H
#define BPFNET_PUMP_H

#include "err.h"
#include "ring.h"

struct loop;
struct pump;

/* ring_consume() of up to `max` records, in whatever it takes around it; returns how many. */
typedef int (*pump_fn)(void *arg, struct ring *ring, int max);

int pump_new(struct pump **pump, struct loop *loop, struct ring *ring, pump_fn fn, void *arg,
	     struct err *err);
void pump_free(struct pump *pump);
/* One round of what waits in the ring, now; for who is called by the loop. */
void pump_look(struct pump *pump);
/* Everything that is in the ring now, at once; what comes meanwhile is left, it may come faster than it is read. */
void pump_drain(struct pump *pump);

#endif
