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
#include "probe_packets.h"
#include "record.h"
#include "ways.h"

struct agg;
struct agg_maps;
struct bpf_object;
struct points;
struct probe;
struct tracer;

enum probe_state { PROBE_OPEN, PROBE_LOADED, PROBE_ATTACHED };

struct probe_opts {
	const char *way; /* way to hook to prefer, NULL: the best */
	const char *points; /* which are wanted, see points_open(); NULL: the usual ones */
	uint64_t buffer; /* bytes of a ring of its own; 0: the shared one */
	bool low_latency; /* wake the reader for every event */
	const char *mode; /* "path" for the object NAME_path; NULL: NAME itself */
	uint64_t timeout_ns; /* how long to wait for what has begun to go on; 0: the usual time */
	struct packet_opts packets;
};

struct probe_stats {
	uint64_t events; /* delivered */
	uint64_t dropped; /* no room in the ring, or no time at the end */
	uint64_t filtered; /* by filter and where, in the kernel */
	uint64_t sampled; /* of connections that the sample leaves out */
	uint64_t limited; /* above the rate */
	uint64_t aggregated; /* added up and not sent */
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
const struct points *probe_points(const struct probe *probe); /* NULL: it has none */
struct bpf_object *probe_object(const struct probe *probe);

/* Puts a filter in force, now or when loading. Owns it from then on, also on failure. */
int probe_set_filter(struct probe *probe, struct filter *filter, struct err *err);
/* A verdict for the filter `pod`, see filter_set_pod(); nothing if no filter is set. */
int probe_set_pod(struct probe *probe, uint64_t key, enum pod_verdict verdict);
/*
 * Asked about each event that the kernel has let pass, with the sink's argument; what is not wanted counts as
 * filtered. NULL: all are.
 */
void probe_set_wants(struct probe *probe, bool (*wants)(void *arg, const void *event));
/*
 * What is decided about each event, see stage.h. Each of these is in force from the next event on,
 * also while attached; on an error nothing has changed. 0; -EINVAL for text that is wrong; -errno.
 */
int probe_set_where(struct probe *probe, const char *text, struct err *err); /* NULL: all */
int probe_set_threshold(struct probe *probe, const char *text, struct err *err);
int probe_set_sample(struct probe *probe, double part, struct err *err);
/* Names of fields; per_second 0: no limit. */
int probe_set_rate(struct probe *probe, uint32_t per_second, const char *const *by, int nr_by,
		   struct err *err);
/* Makes the kernel's side of an aggregation of these events. 0; -EINVAL for an unknown field. */
int probe_aggregate(struct probe *probe, struct agg *agg, struct agg_maps **maps, struct err *err);
/* The aggregations that events are added to; quiet: and nothing else is done with them. */
int probe_set_aggs(struct probe *probe, struct agg_maps *const *aggs, int n, bool quiet,
		   struct err *err);
/* Which packets are followed, see pcap_code.h; only for a probe that has packets. NULL: all. */
int probe_set_pcap(struct probe *probe, const char *text, struct err *err);
/* Do its programs ask for a packet filter (bpf/pcap.h)? */
bool probe_has_packets(const struct probe *probe);
/* The texts in force, NULL if there are none. */
const char *probe_where(const struct probe *probe);
const char *probe_threshold(const struct probe *probe);
const char *probe_pcap(const struct probe *probe);
/* An event of the script's own making: decided on as one of the kernel's, then delivered. */
int probe_inject(struct probe *probe, const void *event, struct err *err);

int probe_load(struct probe *probe, struct err *err);
int probe_attach(struct probe *probe, struct err *err); /* loads first if need be */
/* Events that are already in the ring are still delivered. */
void probe_detach(struct probe *probe);
void probe_stats(const struct probe *probe, struct probe_stats *stats);
/* Delivers what waits in the probe's own ring, if it has one. */
void probe_drain(struct probe *probe);
/* Drops of the ring, and by probe_leave(), that are not told yet, for a message; told from then on. */
uint64_t probe_new_drops(struct probe *probe);
uint64_t probe_new_left(struct probe *probe);
/* Hands a record to the sink, as from the ring. */
void probe_deliver(struct probe *probe, const void *event, size_t size);
/* Counts it as dropped instead. */
void probe_leave(struct probe *probe);

#endif
