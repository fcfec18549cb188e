/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_priv.h - struct points, for points.c and points_*.c. */
#ifndef BPFNET_POINTS_PRIV_H
#define BPFNET_POINTS_PRIV_H

#include "hook.h"
#include "points.h"
#include "points_letgo.h"
#include "points_syms.h"

#define POINTS_MAX 128 /* ids: the bits of cfg_points */
#define ROWS_MAX   256
#define FENTRY_MAX 4 /* functions up to which fentry is the best way, see points_choose.c */

/* struct point_way of bpf/points.h */
struct point_row {
	char point[32];
	char target[40];
	char group[12];
	uint32_t id;
	uint32_t arg;
	uint32_t extra;
	uint32_t flags;
	uint32_t since, before;
	uint32_t alt;
	uint32_t optional;
	char module[16];
};

enum { ROW_OPTIONAL = 1, ROW_ALWAYS = 2 }; /* in optional */

#define POINT_NO_ARG 0xff
#define POINT_DEREF  1
#define POINT_RETURN 2

/* The shared programs, by the way that they are for. */
enum shared { SHARED_FENTRY, SHARED_MULTI, SHARED_KPROBE, SHARED_WAYS };

/* A row that is about a function, and what is attached there. */
struct site {
	const struct point_row *row;
	struct point *point;
	struct point_sym sym;
	int btf_id; /* of the function, not above 0 if it has none */
	int btf_fd; /* of its module; -1: in the kernel's BTF */
	int nr_args; /* where btf_fd is not -1 */
	bool used; /* to be hooked, now or when its module comes */
	enum shared way;
	bool attached;
	int error; /* -errno of the last try */
	struct hook hooks[2]; /* of its own, where a program is a copy: at entry, at return */
	int events[2], links[2]; /* kprobe */
};

struct points {
	struct point_row *rows;
	int nr_rows;
	struct point list[POINTS_MAX];
	int nr;
	struct site *sites; /* one for each row of a function, in the table's order */
	int nr_sites;
	bool wants[SHARED_WAYS][2]; /* shared programs to load: at entry, at return */
	struct hook shared[SHARED_WAYS][2]; /* stubs that any number of functions share */
	int *multi_links;
	int nr_multi_links;
	uint64_t missed; /* at what is detached */
	const struct bpf_object *runs; /* whose programs run, NULL: nothing is attached */
	int cookies_fd; /* its map point_cookies */
};

/* Does the kernel's version take this row? */
bool point_row_fits(const struct point_row *row);
/*
 * Chooses anew for points that the module may have brought (NULL: any), while others are attached.
 * 0 or -errno.
 */
int points_choose_module(struct points *points, const char *module, const char *prefer);
/* Does the point (NULL: any wanted one) have a function in the module (NULL: in any)? */
bool point_has_module(const struct points *points, const struct point *point, const char *module);
/* The shared program of a loaded object; NULL if it has none. */
const struct bpf_program *point_program(const struct bpf_object *obj, enum shared way,
					bool at_return);
/*
 * Attaches at all sites that are in use and not attached yet; those that fail are given up. 0, or -errno if some
 * did for want of memory or descriptors.
 */
int point_sites_attach(struct points *points);
void point_site_detach(struct site *site, struct letgo *letgo);
/* Runs that the kernel left out there. */
uint64_t point_site_missed(const struct site *site);
/* Is every named point seen, and any at all? 0 or -ENOENT. */
int points_check(const struct points *points, struct err *err);
/* "enter__fentry" */
const char *point_shared_name(enum shared way, bool at_return);

static inline bool site_returns(const struct site *site)
{
	return site->row->flags & POINT_RETURN;
}

static inline uint64_t site_cookie(const struct site *site)
{
	const struct point_row *row = site->row;

	return (uint64_t)row->id | (uint64_t)row->arg << 8 | (uint64_t)row->extra << 16 |
	       (uint64_t)row->flags << 24;
}

#endif
