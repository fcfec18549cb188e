/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include "points_multi.h"
#include "points_priv.h"
#include "util.h"

static int keep_link(struct points *p, int fd)
{
	int *links = realloc(p->multi_links, ((size_t)p->nr_multi_links + 1) * sizeof(*links));

	if (!links) {
		close(fd);
		return -ENOMEM;
	}
	p->multi_links = links;
	links[p->nr_multi_links++] = fd;
	return 0;
}

static int link_sites(struct points *p, struct site **sites, int n, bool at_return)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	unsigned long addresses[ROWS_MAX];
	const char *names[ROWS_MAX];
	__u64 cookies[ROWS_MAX];
	int fd;

	for (int i = 0; i < n; i++) {
		addresses[i] = sites[i]->sym.address;
		names[i] = sites[i]->row->target;
		cookies[i] = site_cookie(sites[i]);
	}
	opts.kprobe_multi.flags = at_return ? BPF_F_KPROBE_MULTI_RETURN : 0;
	opts.kprobe_multi.cnt = (__u32)n;
	opts.kprobe_multi.cookies = cookies;
	/* all of them are hidden or none; by address the kernel need not search */
	if (sites[0]->sym.address)
		opts.kprobe_multi.addrs = addresses;
	else
		opts.kprobe_multi.syms = names;
	fd = bpf_link_create(p->shared[SHARED_MULTI][at_return].stub_fd, 0, BPF_TRACE_KPROBE_MULTI,
			     &opts);
	return fd < 0 ? fd : keep_link(p, fd);
}

/* One that can't be had spoils a link: it is found by halves, and left alone. */
static void attach_list(struct points *p, struct site **sites, int n, bool at_return)
{
	int rc = n ? link_sites(p, sites, n, at_return) : 0;

	for (int i = 0; i < n && (!rc || n == 1); i++) {
		sites[i]->error = rc;
		sites[i]->attached = !rc && !at_return;
	}
	if (!rc || n == 1)
		return;
	attach_list(p, sites, n / 2, at_return);
	attach_list(p, sites + n / 2, n - n / 2, at_return);
}

static int collect(struct points *p, struct site **list, bool at_return)
{
	int n = 0;

	for (int i = 0; i < p->nr_sites; i++) {
		struct site *site = &p->sites[i];

		if (site->used && site->sym.found && !site->attached && !site->error &&
		    site->way == SHARED_MULTI && (!at_return || site_returns(site)))
			list[n++] = site;
	}
	return n;
}

/* Returns first: a call that is seen to begin is seen to end. */
void point_multi_attach(struct points *p)
{
	struct site *list[ROWS_MAX];

	attach_list(p, list, collect(p, list, true), true);
	attach_list(p, list, collect(p, list, false), false);
}

void point_multi_detach(struct points *p, struct letgo *l)
{
	while (p->nr_multi_links)
		letgo_add(l, &p->multi_links[--p->nr_multi_links]);
	free(p->multi_links);
	p->multi_links = NULL;
}

/* struct bpf_link_info of 6.7, as far as it is wanted. */
struct multi_info {
	uint32_t type, id, prog_id, pad;
	uint64_t addrs;
	uint32_t count, flags;
	uint64_t missed;
	uint64_t cookies;
};

uint64_t point_multi_missed(const struct points *p)
{
	uint64_t missed = 0;

	for (int i = 0; i < p->nr_multi_links; i++) {
		struct multi_info info = { 0 };
		uint32_t size = sizeof(info);

		if (!bpf_obj_get_info_by_fd(p->multi_links[i], &info, &size))
			missed += info.missed;
	}
	return missed;
}
