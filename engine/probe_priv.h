/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* probe_priv.h - struct probe, for probe.c, probe_open.c and probe_stage.c. */
#ifndef BPFNET_PROBE_PRIV_H
#define BPFNET_PROBE_PRIV_H

#include "pcap_code.h"
#include "probe.h"
#include "stage.h"

struct bpf_object;
struct loop_timer;
struct object;
struct points_watch;
struct pump;
struct redirect_found;
struct ring;

struct probe {
	char name[64];
	struct tracer *tracer;
	struct probe_opts opts;
	char way[24];
	uint32_t number;
	enum probe_state state;
	struct object *obj;
	void *file; /* mapped object file, for a probe that is not built in */
	size_t file_size;
	struct layout *layout;
	struct filter_kinds kinds;
	struct filter_maps *maps;
	struct filter *filter;
	struct stage stage;
	struct pcap_filter pcap;
	struct ring *ring; /* its own, or the shared one */
	struct pump *pump; /* of its own ring */
	struct stack_texts *stacks; /* the layout's; NULL: the object has no map of stacks */
	struct points_watch *watch; /* for modules that bring points; NULL: not needed */
	struct redirect_found *redirects; /* NULL: the object does not ask what they carry */
	bool uses_socks;
	int socks_fd;
	probe_sink sink;
	void *arg;
	bool (*wants)(void *arg, const void *event);
	uint64_t delivered;
	uint64_t left, left_told; /* came too late to be delivered, see tracer_drain_last() */
	uint64_t unwanted; /* filtered by it */
	uint64_t malformed;
	uint64_t judged[VERDICT_AGGREGATED + 1]; /* injected events, by verdict */
	uint64_t drops_told;
	struct {
		bool stack;
		uint8_t spans[PACKET_SPANS][2]; /* numbers of points */
	} packets;
	struct {
		uint64_t timeout_ns; /* 0: the usual one */
		struct loop_timer *timer;
		bool told; /* that sweeping fails */
	} sweep;
};

/* Finds and opens the object of `name`, and reads the event's layout. 0 or -errno. */
int probe_open_object(struct probe *probe, const char *name, struct err *err);
/* Constants and shared maps of an object that is about to be loaded, for object_load(). */
int probe_setup_object(void *probe, struct bpf_object *obj, struct err *err);
/* Loads with the stage as it is now. */
int probe_load_object(struct probe *probe, struct err *err);

#endif
