/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_watch.h - tells when the kernel loads and unloads modules (its uevents). */
#ifndef BPFNET_POINTS_WATCH_H
#define BPFNET_POINTS_WATCH_H

#include <stdbool.h>

struct loop;
struct points_watch;

/*
 * What a watch calls: a module has come or gone; NULL: any may have, messages were lost. False: it
 * is too early, call once more in a moment.
 */
typedef bool (*points_watch_fn)(void *arg, const char *module, bool gone);

/* NULL if the kernel's messages can't be had here, or out of memory. */
struct points_watch *points_watch_new(struct loop *loop, points_watch_fn fn, void *arg);
void points_watch_free(struct points_watch *watch); /* NULL is fine */

#endif
