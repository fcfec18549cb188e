/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_attach.h - hooks the functions that points_choose() has chosen, and lets them go. */
#ifndef BPFNET_POINTS_ATTACH_H
#define BPFNET_POINTS_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include "err.h"

struct bpf_object;
struct points;
struct site;

/* Nothing is attached; before all else. */
void points_init(struct points *points);
void points_init_site(struct site *site);
/*
 * Attaches the programs of `runs`, a loaded object that uses the maps of `maps`. A function that
 * can't be hooked makes its point unseen, see struct point; that is an error only for a point that
 * was named, if nothing is left, or if there is no memory or no descriptor for it. 0 or -errno.
 */
int points_attach(struct points *points, const struct bpf_object *runs,
		  const struct bpf_object *maps, struct err *err);
/* NULL is fine. Afterwards no program runs any more, but for what is under way on other CPUs. */
void points_detach(struct points *points);
/*
 * Runs the programs of another object in the places of those that run; if nothing is attached, does
 * nothing. 0, or -errno: some may have been exchanged, others not.
 */
int points_swap(struct points *points, const struct bpf_object *runs);
/* Does a wanted point have a function in that module (NULL: in any)? */
bool points_have_module(const struct points *points, const char *module);
/*
 * While attached: the module has been loaded, what it has of the points is hooked; prefer as for
 * points_choose(). False if something of it can't be hooked, perhaps not yet.
 */
bool points_module_came(struct points *points, const char *module, const char *prefer);
/* It has been unloaded, and its functions wait for it again. NULL: all that can be unloaded. */
void points_module_gone(struct points *points, const char *module);
/* Runs that the kernel left out at functions, as far as it tells; also at those let go. */
uint64_t points_missed(const struct points *points);

#endif
