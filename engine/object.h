/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * object.h - one BPF object in the kernel: opened, its ways chosen, loaded, attached.
 *
 * When the kernel refuses a program that has alternatives, the object is opened anew without it:
 * libbpf can't load an object a second time.
 */
#ifndef BPFNET_OBJECT_H
#define BPFNET_OBJECT_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"
#include "patch.h"
#include "ways.h"

struct bpf_object;
struct object;
struct points;

/* Prepares an opened object for loading: shared maps, constants. 0 or -errno with err set. */
typedef int (*object_setup_fn)(void *arg, struct bpf_object *obj, struct err *err);

/*
 * elf must stay until object_close(); prefer: see ways_choose(); points: which of its points are
 * wanted, see points_open(), NULL: the usual ones, if it has any.
 */
int object_open(struct object **obj, const char *name, const void *elf, size_t size,
		const char *prefer, const char *points, struct err *err);
void object_close(struct object *obj);
struct bpf_object *object_bpf(const struct object *obj);
const struct ways *object_ways(const struct object *obj);
struct points *object_points(const struct object *obj); /* NULL: it has none */
/*
 * Loads with the best ways; setup may be called more than once. code: what decides at the marks
 * in its programs (NULL: nothing is left out), see patch.h.
 */
int object_load(struct object *obj, object_setup_fn setup, void *arg, const struct patch_set *code,
		struct err *err);
/* Is there a place in its programs for such code? */
bool object_has_mark(const struct object *obj, enum patch_mark which);
/*
 * Other code, also while attached: each event is decided on by the old or by the new, none by both.
 * 0, or -errno, and then the old one is still in force. Maps and variables stay as they are.
 */
int object_swap(struct object *obj, object_setup_fn setup, void *arg, const struct patch_set *code,
		struct err *err);
/* A kernel module has come or gone, NULL: any may have; see points_module_came(). */
bool object_module(struct object *obj, const char *module, bool gone);
/* 0; -EAGAIN: a way turned out not to work, load again (with another one); -errno. */
int object_attach(struct object *obj, struct err *err);
void object_detach(struct object *obj);
/*
 * Runs that the kernel left out because the program was already running on that CPU, interrupted or
 * preempted (recursion_misses, 5.12): nobody else can count what they would have seen.
 */
uint64_t object_missed(const struct object *obj);
/* Runs the object's iterator program `name` to its end; map: the one it goes through, NULL: none. */
int object_iterate(struct object *obj, const char *name, const char *map, struct err *err);

#endif
