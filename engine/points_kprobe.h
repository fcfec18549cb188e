/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_kprobe.h - a perf event for each function. */
#ifndef BPFNET_POINTS_KPROBE_H
#define BPFNET_POINTS_KPROBE_H

#include <stdbool.h>
#include <stdint.h>

struct hook;
struct site;

/*
 * Attaches the stub of a hook. The site's cookie goes along, or into the map cookies_fd where the
 * kernel has no cookies. 0 or -errno.
 */
int point_kprobe(struct site *site, bool at_return, const struct hook *hook, int cookies_fd);
/* Hits that the kernel left out (told since 6.7, for events with a link). */
uint64_t point_kprobe_missed(const struct site *site);

#endif
