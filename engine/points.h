/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * points.h - the points of an object (bpf/points.h): which are wanted, and how each is seen here.
 *
 * open reads the object's table and the user's wishes; choose finds out for each wanted point what
 * this kernel has of it; points_attach.h then hooks the functions among them. Tracepoints are
 * programs of the object like any other, and only left out where they are not wanted.
 */
#ifndef BPFNET_POINTS_H
#define BPFNET_POINTS_H

#include <stdbool.h>
#include <stdint.h>
#include "err.h"

struct bpf_object;
struct points;
struct refusals;

/* By what a point is seen. */
enum point_by {
	POINT_BY_NONE, /* not at all */
	POINT_BY_MODULE, /* not yet: a module that is not loaded has it */
	POINT_BY_TRACEPOINT, /* programs of its own */
	POINT_BY_FENTRY, /* a copy of a program for each function */
	POINT_BY_MULTI, /* one link for all functions */
	POINT_BY_KPROBE, /* a perf event for each function */
};

struct point {
	const char *name;
	const char *group;
	const char *programs; /* a tracepoint's are named <programs>__<way> */
	uint32_t id; /* the object's number for it, below 128 */
	bool optional; /* hooked only if it is named */
	bool wanted;
	bool named; /* wanted by its own name: it is an error if it can't be had */
	enum point_by by;
	uint32_t alt; /* rows of the table that are in use */
	char where[96]; /* tracepoint or functions in use, "" if there are none */
	char why[160]; /* why it is not seen */
};

/*
 * Reads the table; *points is NULL if the object has none. wanted: names of points and groups with
 * commas between, "all", or NULL for those that are not optional. 0; -ENOENT for an unknown name;
 * -EINVAL for names where there is no table, or a table that is none. "all" of no table is nothing.
 */
int points_open(struct points **points, struct bpf_object *obj, const char *wanted,
		struct err *err);
void points_close(struct points *points); /* NULL is fine */
/*
 * Decides by what each wanted point is seen, before loading, and which of the shared programs of
 * obj are needed. Attaches nothing. prefer: a way for functions, "fentry", "multi" or "kprobe", to
 * take where the kernel has it. 0; -ENOENT if a point that was named can't be had, or none can.
 */
int points_choose(struct points *points, const struct bpf_object *obj,
		  const struct refusals *refused, const char *prefer, struct err *err);

/* What points have to say about one of the object's programs. */
enum points_say {
	POINTS_SAY_NOTHING, /* it has nothing to do with points, or is a wanted tracepoint's */
	POINTS_SAY_NO, /* not to be loaded */
	POINTS_SAY_SHARED, /* to be loaded, and attached by points_attach() */
};
/* what, way: the parts of its name, see ways.h. Without points nothing is said. */
enum points_say points_say(const struct points *points, const char *what, const char *way);
/* The constants that bpf/points.h asks for; the table stays out of the kernel. */
void points_setup(const struct points *points, struct bpf_object *obj);

/* The points in the order of the table: i from 0, NULL after the last. NULL points have none. */
const struct point *points_get(const struct points *points, int i);
/* "fentry"; "" for none. */
const char *point_by_name(enum point_by by);

#endif
