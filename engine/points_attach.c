/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "attach.h"
#include "caps.h"
#include "points_attach.h"
#include "points_copy.h"
#include "points_kprobe.h"
#include "points_multi.h"
#include "points_priv.h"
#include "util.h"

void points_init_site(struct site *site)
{
	site->btf_fd = -1;
	for (int at = 0; at < 2; at++) {
		hook_init(&site->hooks[at]);
		site->events[at] = site->links[at] = -1;
	}
}

void points_init(struct points *p)
{
	for (int way = 0; way < SHARED_WAYS; way++)
		for (int at = 0; at < 2; at++)
			hook_init(&p->shared[way][at]);
}

const struct bpf_program *point_program(const struct bpf_object *obj, enum shared way,
					bool at_return)
{
	return bpf_object__find_program_by_name(obj, point_shared_name(way, at_return));
}

static int open_shared(struct points *p, enum shared way, bool at_return)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	const struct bpf_program *prog = point_program(p->runs, way, at_return);

	if (way == SHARED_FENTRY || !p->wants[way][at_return])
		return 0; /* only copies of it run */
	if (way == SHARED_MULTI)
		opts.expected_attach_type = BPF_TRACE_KPROBE_MULTI;
	return prog ? hook_open(&p->shared[way][at_return], prog, bpf_program__fd(prog), &opts) :
		      -ENOENT;
}

/* A stub of the site's own, and in it a copy for the site. */
static int open_copy(struct points *p, struct site *site, bool at_return)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	const struct bpf_program *prog = point_program(p->runs, site->way, at_return);
	int fd, rc;

	if (!point_is_copied(site, at_return))
		return 0;
	rc = prog ? point_copy_opts(site, at_return, &opts) : -ENOENT;
	fd = rc ? rc : point_copy(prog, site, at_return);
	if (fd < 0)
		return fd;
	rc = hook_open(&site->hooks[at_return], prog, fd, &opts);
	close(fd); /* its stub holds it */
	return rc;
}

static int attach_at(struct points *p, struct site *site, bool at_return)
{
	struct hook *own = &site->hooks[at_return];
	int rc = open_copy(p, site, at_return);

	if (rc)
		return rc;
	if (site->way == SHARED_KPROBE)
		return point_kprobe(site, at_return,
				    own->stub_fd >= 0 ? own : &p->shared[SHARED_KPROBE][at_return],
				    p->cookies_fd);
	own->attached_fd = bpf_raw_tracepoint_open(NULL, own->stub_fd);
	return own->attached_fd < 0 ? -errno : 0;
}

/* The entry before the return: what is seen to begin is seen to end. */
void point_site_detach(struct site *site, struct letgo *l)
{
	for (int at = 0; at < 2; at++) {
		letgo_add(l, &site->links[at]);
		letgo_add(l, &site->events[at]);
		letgo_add(l, &site->hooks[at].attached_fd);
		hook_detach(&site->hooks[at]);
	}
	site->attached = false;
}

/* The return first: a call that is seen to begin is seen to end. */
static int attach_site(struct points *p, struct site *site)
{
	int rc = site_returns(site) ? attach_at(p, site, true) : 0;

	if (!rc)
		rc = attach_at(p, site, false);
	site->attached = !rc;
	return rc;
}

/* A function that can't be hooked; its point is seen by the others that it has, or not at all. */
static void give_up(struct points *p, struct site *site, int error)
{
	struct point *point = site->point;
	bool others = false;

	site->used = false;
	for (int i = 0; i < p->nr_sites; i++)
		others |= p->sites[i].point == point && p->sites[i].used;
	if (others)
		return;
	point->by = POINT_BY_NONE;
	point->where[0] = '\0';
	snprintf(point->why, sizeof(point->why), "can't hook %s by %s: %s", site->row->target,
		 point_shared_name(site->way, false) + strlen("enter__"), strerror(-error));
}

static bool to_attach(const struct site *site)
{
	return site->used && site->sym.found && !site->attached;
}

int point_sites_attach(struct points *p)
{
	struct letgo gone = { .n = 0 };
	int short_of = 0;

	point_multi_attach(p);
	for (int i = 0; i < p->nr_sites; i++) {
		struct site *site = &p->sites[i];
		int rc;

		if (!to_attach(site) || site->way == SHARED_MULTI)
			continue;
		rc = attach_site(p, site);
		if (rc) {
			point_site_detach(site, &gone);
			site->error = rc;
		}
	}
	for (int i = 0; i < p->nr_sites; i++) {
		if (!to_attach(&p->sites[i]))
			continue;
		if (is_shortage(p->sites[i].error))
			short_of = p->sites[i].error;
		give_up(p, &p->sites[i], p->sites[i].error);
	}
	letgo(&gone);
	return short_of;
}

int points_attach(struct points *p, const struct bpf_object *runs, const struct bpf_object *maps,
		  struct err *err)
{
	struct bpf_map *cookies = bpf_object__find_map_by_name(maps, "point_cookies");
	int rc = 0;

	p->runs = runs;
	p->cookies_fd = cookies ? bpf_map__fd(cookies) : -1;
	for (int way = 0; way < SHARED_WAYS && !rc; way++)
		for (int at = 0; at < 2 && !rc; at++)
			rc = open_shared(p, (enum shared)way, at);
	if (rc)
		return err_sys(err, rc, "can't load the stubs of its points");
	rc = point_sites_attach(p);
	if (rc)
		return err_sys(err, rc, "can't hook its points");
	return points_check(p, err);
}

static void hush(struct hook *hook)
{
	if (hook->slot_fd >= 0)
		hook_put(hook, -1);
}

/* Letting go takes its time, some of it at each function; from here on none of it is seen. */
static void hush_all(struct points *p)
{
	for (int way = 0; way < SHARED_WAYS; way++)
		for (int at = 0; at < 2; at++)
			hush(&p->shared[way][at]);
	for (int i = 0; i < p->nr_sites; i++)
		for (int at = 0; at < 2; at++)
			hush(&p->sites[i].hooks[at]);
}

void points_detach(struct points *p)
{
	struct letgo gone = { .n = 0 };

	if (!p || !p->runs)
		return;
	p->missed = points_missed(p);
	hush_all(p);
	point_multi_detach(p, &gone);
	for (int i = 0; i < p->nr_sites; i++)
		point_site_detach(&p->sites[i], &gone);
	for (int way = 0; way < SHARED_WAYS; way++)
		for (int at = 0; at < 2; at++)
			hook_detach(&p->shared[way][at]);
	letgo(&gone);
	p->runs = NULL;
}

static uint64_t hook_misses(const struct hook *hook)
{
	return hook->stub_fd >= 0 ? hook_missed(hook) : 0;
}

uint64_t point_site_missed(const struct site *site)
{
	return point_kprobe_missed(site) + hook_misses(&site->hooks[0]) +
	       hook_misses(&site->hooks[1]);
}

uint64_t points_missed(const struct points *p)
{
	uint64_t missed = p ? p->missed : 0;

	if (!p || !p->runs)
		return missed;
	missed += point_multi_missed(p);
	for (int way = 0; way < SHARED_WAYS; way++)
		for (int at = 0; at < 2; at++)
			missed += hook_misses(&p->shared[way][at]);
	for (int i = 0; i < p->nr_sites; i++)
		missed += point_site_missed(&p->sites[i]);
	return missed;
}
