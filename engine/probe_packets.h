/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * probe_packets.h - what a probe that follows packets needs besides: constants for its mode. Packets
 * whose end was not seen: probe_sweep.h.
 */
#ifndef BPFNET_PROBE_PACKETS_H
#define BPFNET_PROBE_PACKETS_H

#include <stdint.h>
#include "err.h"

struct bpf_object;
struct probe;

#define PACKET_SPANS 8

/* Options of such a probe; all zero: none given. */
struct packet_opts {
	bool stack; /* the kernel's stack with each event */
	int nr_spans;
	const char *spans[PACKET_SPANS][2]; /* names of points; until probe_open() returns */
};

/* What the options mean for this probe; -EINVAL for one that it has no use for, or no such point. */
int probe_packets_open(struct probe *probe, const struct packet_opts *opts, struct err *err);
/* Before loading: 0, or -EINVAL if an option is missing. */
int probe_packets_check(const struct probe *probe, struct err *err);
/* Constants of an object that is about to be loaded. */
void probe_packets_setup(struct probe *probe, struct bpf_object *obj);

#endif
