/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* redirect_priv.h - what the files of the redirect share. */
#ifndef BPFNET_REDIRECT_PRIV_H
#define BPFNET_REDIRECT_PRIV_H

#include "redirect.h"

struct bpf_link;
struct bpf_program;
struct loop_timer;
struct loop_watch;
struct object;
struct ring_buffer;

#define REDIRECT_CGROUPS 64

struct redirect {
	struct object *obj;
	struct loop *loop;
	struct bpf_link *links[REDIRECT_CGROUPS]; /* of the sockops program */
	int nr_links;
	struct bpf_link *taker; /* iterators, made once and run often */
	struct bpf_link *sweeper;
	int sweep_fd; /* its descriptor */
	struct bpf_link *adopter;
	struct bpf_link *sampler;
	struct bpf_link *waker; /* NULL: nobody can be told */
	bool sampling; /* connections that were there before are still around */
	int sockets_fd;
	int flows_fd;
	int refused_fd;
	int ready_fd;
	int waking_fd;
	int notices_fd;
	int *pids; /* see struct redirect_opts */
	int nr_pids;
	int *excluded;
	int nr_excluded;
	volatile struct redirect_config *config; /* the kernel's own memory */
	volatile struct redirect_totals *totals;
	struct ring_buffer *notices;
	struct loop_watch *watch;
	struct loop_timer *timer;
	bool wanted; /* there are candidates */
	uint64_t busy_ns; /* time between sweeps while flows are on their way out; 0: none is */
	uint64_t sweep_ns; /* when it is time again */
	uint64_t lost_notices; /* that have been made good */
	redirect_fn fn;
	void *arg;
	char *pins; /* the name by which it is pinned; NULL: it is not */
	int info_fd; /* what other processes see; 0: they don't */
	int guard_pid; /* see redirect_guard.h; 0: there is none */
	int guard_fd;
};

/* Of the loaded object, by name. */
int redirect_map(const struct redirect *r, const char *name);
/* The memory of a map that is one page; NULL, and errno, if it can't be had. NULL may be unmapped. */
void *redirect_memory(int map_fd);
void redirect_unmap(volatile void *memory);
struct bpf_program *redirect_program(const struct redirect *r, const char *name);

/* Attaches what works inside: nothing is watched yet. 0 or -errno. */
int redirect_attach(struct redirect *r, struct err *err);
/* From here on connections are watched. 0 or -errno. */
int redirect_attach_cgroups(struct redirect *r, const struct redirect_opts *opts, struct err *err);
/* May this process do it, and is this kernel fit for it? 0 or -errno with what is missing. */
int redirect_check(bool any_kernel, struct err *err);
/* The manager: starts to listen and to keep time. 0 or -errno. */
int redirect_run(struct redirect *r, struct err *err);
void redirect_halt(struct redirect *r);
/* Looks through all flows, and takes those out that are ready. 0 or -errno. */
int redirect_sweep(struct redirect *r);
/* The opposite of redirect_publish(). */
void redirect_unpublish(struct redirect *r);

#endif
