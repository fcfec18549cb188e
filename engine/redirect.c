/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "globals.h"
#include "ksyms.h"
#include "object.h"
#include "probe_setup.h"
#include "redirect_found.h"
#include "redirect_guard.h"
#include "redirect_priv.h"
#include "skels.h"
#include "util.h"

const char *redirect_why(uint32_t why)
{
	static const char *const names[] = { "",       "stream",  "blocking", "ulp",   "owned",
					     "option", "no file", "full",     "alone", "stopped",
					     "scope",  "unread",  "closing" };

	return why < ARRAY_SIZE(names) ? names[why] : "?";
}

const char *redirect_way(const struct redirect_flow *flow)
{
	return flow->mode == FLOW_ON || flow->mode == FLOW_LEAVING ? "redirect" : "tcp";
}

static int setup(void *arg, struct bpf_object *obj, struct err *err)
{
	(void)arg;
	(void)err;
	probe_setup(obj, 0);
	return 0;
}

static int load(struct redirect *r, struct err *err)
{
	const struct skel *skel = skel_find("redirect");
	const void *elf;
	size_t size;
	int rc;

	if (!skel)
		return err_set(err, -ENOENT, "this bpfnet was built without the redirect");
	elf = skel->elf_bytes(&size);
	rc = object_open(&r->obj, "redirect", elf, size, NULL, NULL, err);
	return rc ? rc : object_load(r->obj, setup, r, NULL, err);
}

int redirect_map(const struct redirect *r, const char *name)
{
	return bpf_map__fd(bpf_object__find_map_by_name(object_bpf(r->obj), name));
}

struct bpf_program *redirect_program(const struct redirect *r, const char *name)
{
	return bpf_object__find_program_by_name(object_bpf(r->obj), name);
}

static int set_ports(int fd, const struct port_range *ranges, int n)
{
	static uint64_t bits[65536 / 64];
	int rc = 0;

	memset(bits, 0, sizeof(bits));
	for (int i = 0; i < n; i++)
		for (uint32_t port = ranges[i].first; port <= ranges[i].last; port++)
			bits[port / 64] |= 1ULL << (port % 64);
	for (uint32_t i = 0; i < ARRAY_SIZE(bits) && !rc; i++)
		if (bits[i])
			rc = bpf_map_update_elem(fd, &i, &bits[i], BPF_ANY);
	return rc;
}

static const struct redirect_policy usual = {
	.turns = 16,
	.turn_bytes = 256 << 10,
	.stream_bytes = 1 << 20,
	.stream_msgs = 256,
	.queue_bytes = 4 << 20,
	.queue_msgs = 4096,
};

static void set_policy(volatile struct redirect_config *c, const struct redirect_policy *p)
{
	c->turns = p->turns ? p->turns : usual.turns;
	c->turn_bytes = p->turn_bytes ? p->turn_bytes : usual.turn_bytes;
	c->stream_bytes = p->stream_bytes ? p->stream_bytes : usual.stream_bytes;
	c->stream_msgs = p->stream_msgs ? p->stream_msgs : usual.stream_msgs;
	c->queue_bytes = p->queue_bytes ? p->queue_bytes : usual.queue_bytes;
	c->queue_msgs = p->queue_msgs ? p->queue_msgs : usual.queue_msgs;
	if (p->streams)
		c->stream_bytes = c->stream_msgs = UINT32_MAX;
	c->blocking = p->blocking;
	c->tries = 50;
}

/* The value of an array with one element; NULL with errno set. */
void *redirect_memory(int map_fd)
{
	void *at = mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

void redirect_unmap(volatile void *memory)
{
	if (memory)
		munmap((void *)memory, (size_t)getpagesize());
}

static int configure(struct redirect *r, const struct redirect_opts *opts, struct err *err)
{
	int rc = set_ports(redirect_map(r, "ports"), opts->ports, opts->nr_ports);

	if (!rc)
		rc = set_ports(redirect_map(r, "ports_excluded"), opts->excluded,
			       opts->nr_excluded);
	if (rc)
		return err_sys(err, rc, "redirect: can't set the ports");
	r->config = redirect_memory(redirect_map(r, "configs"));
	r->totals = redirect_memory(redirect_map(r, "counts"));
	if (!r->config || !r->totals)
		return err_sys(err, -errno, "redirect: can't map its settings");
	r->config->some_ports = opts->nr_ports > 0;
	r->config->some_excluded = opts->nr_excluded > 0;
	r->config->some_pids = opts->nr_pids || opts->nr_excluded_pids;
	set_policy(r->config, &opts->policy);
	if (!opts->policy.blocking)
		return 0;
	r->config->sleep_function = ksyms_find("woken_wake_function");
	if (!r->config->sleep_function)
		return err_set(err, -EPERM,
			       "redirect: blocking sockets need the address of a kernel function, "
			       "which /proc/kallsyms does not show");
	return 0;
}

static int copy_list(int **to, int *n, const int *from, int nr)
{
	if (!nr)
		return 0;
	*to = malloc((size_t)nr * sizeof(**to));
	if (!*to)
		return -ENOMEM;
	memcpy(*to, from, (size_t)nr * sizeof(**to));
	*n = nr;
	return 0;
}

static int copy_pids(struct redirect *r, const struct redirect_opts *opts, struct err *err)
{
	int rc = copy_list(&r->pids, &r->nr_pids, opts->pids, opts->nr_pids);

	if (!rc)
		rc = copy_list(&r->excluded, &r->nr_excluded, opts->excluded_pids,
			       opts->nr_excluded_pids);
	return rc ? err_set(err, rc, "out of memory") : 0;
}

int redirect_start(struct redirect **out, struct loop *loop, const struct redirect_opts *opts,
		   struct err *err)
{
	struct redirect *r = calloc(1, sizeof(*r));
	int rc;

	*out = NULL;
	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	r->loop = loop;
	rc = redirect_check(opts->any_kernel, err);
	if (!rc)
		rc = copy_pids(r, opts, err);
	if (!rc)
		rc = load(r, err);
	if (!rc)
		rc = configure(r, opts, err);
	if (!rc)
		rc = redirect_attach(r, err);
	if (!rc)
		rc = redirect_attach_cgroups(r, opts, err);
	if (!rc)
		rc = redirect_run(r, err);
	if (rc) {
		redirect_free(r);
		return rc;
	}
	redirect_guard_start(r);
	redirect_found_look();
	*out = r;
	return 0;
}

void redirect_on_notice(struct redirect *r, redirect_fn fn, void *arg)
{
	r->fn = fn;
	r->arg = arg;
}

int redirect_stop(struct redirect *r, uint64_t timeout_ns)
{
	uint64_t end = now_ns() + timeout_ns;
	int left;

	r->config->stopping = 1;
	while (r->nr_links)
		bpf_link__destroy(r->links[--r->nr_links]);
	for (;;) {
		redirect_sweep(r);
		left = (int)((r->totals->live + r->totals->leaving + 1) / 2);
		if (!left || now_ns() >= end)
			return left;
		usleep(1000);
	}
}

void redirect_free(struct redirect *r)
{
	if (!r)
		return;
	if (r->config)
		redirect_stop(r, 0);
	redirect_guard_end(r);
	redirect_halt(r);
	redirect_unpublish(r);
	bpf_link__destroy(r->taker);
	bpf_link__destroy(r->sweeper);
	bpf_link__destroy(r->adopter);
	bpf_link__destroy(r->sampler);
	bpf_link__destroy(r->waker);
	redirect_unmap(r->config);
	redirect_unmap(r->totals);
	object_close(r->obj);
	free(r->pids);
	free(r->excluded);
	free(r);
}

int redirect_each(const struct redirect *r,
		  void (*fn)(void *arg, uint64_t cookie, const struct redirect_flow *flow),
		  void *arg)
{
	struct redirect_flow flow;
	uint64_t cookie, *at = NULL;

	while (bpf_map_get_next_key(r->flows_fd, at, &cookie) == 0) {
		at = &cookie;
		if (bpf_map_lookup_elem(r->flows_fd, &cookie, &flow) == 0)
			fn(arg, cookie, &flow);
	}
	return 0;
}

int redirect_each_refused(const struct redirect *r,
			  void (*fn)(void *arg, uint64_t cookie, const struct redirect_refusal *f),
			  void *arg)
{
	struct redirect_refusal refusal;
	uint64_t cookie, *at = NULL;

	while (bpf_map_get_next_key(r->refused_fd, at, &cookie) == 0) {
		at = &cookie;
		if (bpf_map_lookup_elem(r->refused_fd, &cookie, &refusal) == 0)
			fn(arg, cookie, &refusal);
	}
	return 0;
}

static void add(struct redirect_amounts *sum, const struct redirect_amounts *more)
{
	sum->redirected_bytes += more->redirected_bytes;
	sum->redirected_msgs += more->redirected_msgs;
	sum->passed_bytes += more->passed_bytes;
	sum->passed_msgs += more->passed_msgs;
}

void redirect_stats(struct redirect *r, struct redirect_stats *stats)
{
	const struct redirect_totals *t = (const struct redirect_totals *)r->totals;

	redirect_sweep(r);
	memset(stats, 0, sizeof(*stats));
	stats->taken = t->taken;
	stats->refused = t->refused;
	stats->let_go = t->left;
	stats->live = t->live / 2;
	stats->leaving = (t->leaving + 1) / 2;
	stats->lost_notices = t->lost_notices;
	stats->sent = t->closed;
	add(&stats->sent, &t->known);
}
