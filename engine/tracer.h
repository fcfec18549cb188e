/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tracer.h - what all probes of a process share: the ring, the table of sockets, the numbers that
 * stand in front of events.
 */
#ifndef BPFNET_TRACER_H
#define BPFNET_TRACER_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"
#include "ring.h"

struct tracer;
struct probe;
struct pump;
struct loop;

/* ring_bytes: size of the shared ring. NULL if out of memory. Nothing is loaded yet. */
struct tracer *tracer_new(struct loop *loop, uint64_t ring_bytes);
/*
 * What to call a round of events in, which may be left by a longjmp: a protected call. True: it was, and wants the
 * rest of the round.
 */
typedef bool (*tracer_guard)(void *arg, void (*fn)(void *), void *fn_arg);
void tracer_set_guard(struct tracer *tracer, tracer_guard guard, void *arg);
struct loop *tracer_loop(const struct tracer *tracer);
/* All probes must have been closed. */
void tracer_free(struct tracer *tracer);

struct loop *tracer_loop(const struct tracer *tracer);

/* The shared ring, made when first asked for. */
int tracer_ring(struct tracer *tracer, struct ring **ring, struct err *err);
/* A ring of its own, for a probe that would drown the others; with tracer_drop_ring(). */
int tracer_own_ring(struct tracer *tracer, uint64_t bytes, struct ring **ring, struct pump **pump,
		    struct err *err);
void tracer_drop_ring(struct ring *ring, struct pump *pump);
/* Delivers what waits in the shared ring, a round of it at most, without waiting for its turn. */
void tracer_look(struct tracer *tracer);
/* Delivers all that waits in any ring now. */
void tracer_drain(struct tracer *tracer);
/* The same when an end is wished for: who waits for it gets it, so after this time the rest is counted as dropped. */
#define TRACER_LAST_NS (2 * NSEC_PER_SEC)
void tracer_drain_last(struct tracer *tracer);

/* A number for the probe's events, or -E2BIG. */
int tracer_add_probe(struct tracer *tracer, struct probe *probe, struct err *err);
void tracer_remove_probe(struct tracer *tracer, uint32_t number);
struct probe *tracer_probe(const struct tracer *tracer, uint32_t number);

/* Map of the socket table, loaded for the first user; socks_put() for each success. */
int tracer_socks_get(struct tracer *tracer, const char *prefer, int *map_fd, struct err *err);
void tracer_socks_put(struct tracer *tracer);
uint64_t tracer_untracked(const struct tracer *tracer);
uint64_t tracer_socks_missed(const struct tracer *tracer);

#endif
