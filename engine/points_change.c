/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Changes of what points run and where, while they are attached. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "points_attach.h"
#include "points_copy.h"
#include "points_priv.h"
#include "util.h"

/* A program that is about to run in a stub instead of another one. */
struct change {
	struct hook *hook;
	int fd;
	bool ours; /* to be closed */
};

static int plan_change(struct change *change, struct hook *hook, const struct bpf_program *prog,
		       const struct site *site, bool at_return)
{
	change->hook = hook;
	change->ours = site;
	if (!prog)
		return -ENOENT;
	change->fd = site ? point_copy(prog, site, at_return) : bpf_program__fd(prog);
	return change->fd < 0 ? change->fd : 0;
}

/* All that is to be loaded is loaded before the first is exchanged. */
static int plan_changes(struct points *p, const struct bpf_object *runs, struct change *list,
			int *n)
{
	int rc = 0;

	for (int way = 0; way < SHARED_WAYS; way++)
		for (int at = 0; at < 2 && !rc; at++)
			if (p->shared[way][at].slot_fd >= 0)
				rc = plan_change(&list[(*n)++], &p->shared[way][at],
						 point_program(runs, (enum shared)way, at), NULL,
						 at);
	for (int i = 0; i < p->nr_sites; i++) {
		struct site *site = &p->sites[i];

		for (int at = 0; at < 2 && !rc; at++)
			if (site->hooks[at].slot_fd >= 0)
				rc = plan_change(&list[(*n)++], &site->hooks[at],
						 point_program(runs, site->way, at), site, at);
	}
	return rc;
}

int points_swap(struct points *p, const struct bpf_object *runs)
{
	struct change *list;
	int n = 0, rc;

	if (!p->runs)
		return 0;
	list = calloc(2 * SHARED_WAYS + 2 * (size_t)p->nr_sites, sizeof(*list));
	if (!list)
		return -ENOMEM;
	rc = plan_changes(p, runs, list, &n);
	for (int i = 0; i < n && !rc; i++)
		rc = hook_put(list[i].hook, list[i].fd);
	for (int i = 0; i < n; i++)
		if (list[i].ours)
			close_fd(&list[i].fd);
	if (!rc)
		p->runs = runs;
	free(list);
	return rc;
}

bool points_module_came(struct points *p, const char *module, const char *prefer)
{
	bool all = true;

	if (!p->runs || !points_have_module(p, module))
		return true;
	if (points_choose_module(p, module, prefer))
		return false;
	point_sites_attach(p);
	for (int i = 0; i < p->nr; i++)
		all &= !p->list[i].wanted || p->list[i].by != POINT_BY_NONE ||
		       !point_has_module(p, &p->list[i], module);
	return all;
}

/* A function is gone, and with it the kernel has ended its kprobes. */
static void lose_site(struct points *p, struct site *site, struct letgo *gone)
{
	p->missed += point_site_missed(site);
	point_site_detach(site, gone);
	site->sym.found = false;
}

/* What of the point is still seen. */
static void tell_rest(const struct points *p, struct point *point)
{
	size_t len = 0;

	point->where[0] = '\0';
	for (int i = 0; i < p->nr_sites; i++) {
		const struct site *site = &p->sites[i];

		if (site->point != point || !site->attached || len >= sizeof(point->where))
			continue;
		len += (size_t)snprintf(point->where + len, sizeof(point->where) - len, "%s%s",
					len ? ", " : "", site->row->target);
	}
	if (len)
		return;
	point->by = POINT_BY_MODULE;
	snprintf(point->why, sizeof(point->why), "its module is not loaded");
}

void points_module_gone(struct points *p, const char *module)
{
	struct letgo gone = { .n = 0 };

	for (int i = 0; i < p->nr_sites && p->runs; i++) {
		struct site *site = &p->sites[i];

		/* by the other ways a module is held as long as it is hooked */
		if (!site->attached || site->way != SHARED_KPROBE || !*site->sym.module ||
		    (module && !str_eq(site->sym.module, module)))
			continue;
		lose_site(p, site, &gone);
		tell_rest(p, site->point);
	}
	letgo(&gone);
}
