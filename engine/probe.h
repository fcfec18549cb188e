/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * probe.h - one probe: a BPF object with events, from opening to closing.
 *
 * open -> (filter) -> load -> attach -> detach -> close. The filter is in force before anything is
 * attached, so nothing unfiltered slips out.
 */
#ifndef BPFNET_PROBE_H
#define BPFNET_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"
#include "filter.h"
#include "record.h"
#include "ways.h"

struct bpf_object;
struct probe;
struct tracer;

enum probe_state { PROBE_OPEN, PROBE_LOADED, PROBE_ATTACHED };

struct probe_opts {
	const char *way; /* way to hook to prefer, NULL: the best */
	uint64_t buffer; /* bytes of a ring of its own; 0: the shared one */
	bool low_latency; /* wake the reader for every event */
};

struct probe_stats {
	uint64_t events; /* delivered */
	uint64_t dropped; /* no room in the ring */
	uint64_t filtered; /* by the filter, in the kernel */
	uint64_t untracked; /* sockets whose owner found no room in the table */
	uint64_t missed; /* runs of programs that the kernel left out, see object_missed() */
	uint64_t malformed; /* records of another size than the event's */
};

typedef void (*probe_sink)(void *arg, const void *event);

/* name: of a built-in probe, or the path of an object file (it has a '/' in it). */
int probe_open(struct probe **probe, struct tracer *tracer, const char *name,
	       const struct probe_opts *opts, probe_sink sink, void *arg, struct err *err);
void probe_close(struct probe *probe); /* NULL is fine */
const char *probe_name(const struct probe *probe);
enum probe_state probe_state(const struct probe *probe);
const struct layout *probe_layout(const struct probe *probe);
const struct filter_kinds *probe_filter_kinds(const struct probe *probe);
const struct ways *probe_ways(const struct probe *probe);
struct bpf_object *probe_object(const struct probe *probe);

/* Puts a filter in force, now or when loading. Owns it from then on, also on failure. */
int probe_set_filter(struct probe *probe, struct filter *filter, struct err *err);
int probe_load(struct probe *probe, struct err *err);
int probe_attach(struct probe *probe, struct err *err); /* loads first if need be */
/* Events that are already in the ring are still delivered. */
void probe_detach(struct probe *probe);
void probe_stats(const struct probe *probe, struct probe_stats *stats);
/* Delivers what waits in the probe's own ring, if it has one. */
void probe_drain(struct probe *probe);
/* Drops not told yet, for a message; told from then on. */
uint64_t probe_new_drops(struct probe *probe);
/* Hands a record to the sink, as from the ring. */
void probe_deliver(struct probe *probe, const void *event, size_t size);

#endif
