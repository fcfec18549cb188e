/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ways.h - which programs of an object to use on this kernel.
 *
 * A program's name says what it is for: <what>__<way>[__<more>]. For each <what> the first way in
 * the file is used whose programs the kernel takes; programs without "__" are always used.
 */
#ifndef BPFNET_WAYS_H
#define BPFNET_WAYS_H

#include <stdbool.h>
#include "err.h"

struct bpf_object;
struct bpf_program;
struct points;

#define WAYS_MAX 128

/* Programs that this kernel refused; outlives the object, which has to be opened anew then. */
struct refusals {
	struct {
		char program[64];
		char why[160];
	} list[WAYS_MAX];
	int n;
};

struct way_program {
	struct bpf_program *prog;
	const char *name;
	const char *hook; /* section name: "fentry/inet_csk_accept" */
	char what[24]; /* "" for a program that has no alternatives */
	char way[24];
	const char *loses; /* what events lack by this way, "" if nothing */
	bool optional;
	bool shared; /* attached by points_attach(), not by itself */
	bool used;
};

struct ways {
	struct way_program list[WAYS_MAX];
	int n;
};

/*
 * Chooses, and tells libbpf which programs to load. points (NULL: none) have been chosen; what they
 * don't need is as if it were not there. `prefer` is a way to take where there is a choice and the
 * kernel allows it (NULL: none). 0; -ENOENT if something has no way here; -E2BIG.
 */
int ways_choose(struct ways *ways, struct bpf_object *obj, const struct points *points,
		const struct refusals *refused, const char *prefer, struct err *err);
/* Why the kernel refused the program of that name; NULL if it has not. */
const char *ways_refusal(const struct refusals *refused, const char *program);
/* Notes that the kernel does not take a program. False if nothing else can be tried. */
bool ways_refuse(const struct ways *ways, struct refusals *refused, const char *program,
		 const char *why);
/* True for a program that runs once, when asked, and is not attached: an iterator. */
bool way_is_iter(const struct bpf_program *prog);

#endif
