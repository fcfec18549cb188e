/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* probe_setup.h - what every object needs: constants and maps before loading, tallies after. */
#ifndef BPFNET_PROBE_SETUP_H
#define BPFNET_PROBE_SETUP_H

#include <stdint.h>

struct bpf_object;

/* `tally` of bpf/probe.h, summed over its slots */
struct tally {
	uint64_t dropped;
	uint64_t filtered;
	uint64_t untracked;
	uint64_t sampled;
	uint64_t limited;
	uint64_t aggregated;
};

/* Sets cfg_probe and what the programs must know of the kernel; fits the maps to it. */
void probe_setup(struct bpf_object *obj, uint32_t number);
/* All zero for an object without tallies. */
void probe_read_tally(const struct bpf_object *obj, struct tally *tally);

#endif
