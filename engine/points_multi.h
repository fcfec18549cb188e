/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_multi.h - many functions by one link (kprobe.multi). */
#ifndef BPFNET_POINTS_MULTI_H
#define BPFNET_POINTS_MULTI_H

#include <stdint.h>

struct letgo;
struct points;

/* All sites of this way that wait for it; those that fail get their error. */
void point_multi_attach(struct points *points);
void point_multi_detach(struct points *points, struct letgo *letgo);
/* Hits that the kernel left out (told since 6.7). */
uint64_t point_multi_missed(const struct points *points);

#endif
