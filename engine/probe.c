/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "kbtf.h"
#include "ksyms.h"
#include "log.h"
#include "object.h"
#include "points_attach.h"
#include "points_watch.h"
#include "probe_priv.h"
#include "probe_setup.h"
#include "probe_sweep.h"
#include "pump.h"
#include "redirect_found.h"
#include "stacks.h"
#include "tracer.h"
#include "util.h"

int probe_open(struct probe **out, struct tracer *tracer, const char *name,
	       const struct probe_opts *opts, probe_sink sink, void *arg, struct err *err)
{
	struct probe *p = calloc(1, sizeof(*p));
	int rc;

	*out = NULL;
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->tracer = tracer;
	p->opts = *opts;
	snprintf(p->way, sizeof(p->way), "%s", opts->way ? opts->way : "");
	p->socks_fd = -1;
	p->sink = sink;
	p->arg = arg;
	p->number = UINT32_MAX;
	p->stage.rate.map_fd = -1;
	rc = probe_open_object(p, name, err);
	if (!rc)
		rc = probe_packets_open(p, &opts->packets, err);
	if (!rc)
		rc = probe_sweep_open(p, opts->timeout_ns, err);
	if (!rc)
		rc = tracer_add_probe(tracer, p, err);
	if (rc < 0) {
		probe_close(p);
		return rc;
	}
	p->number = (uint32_t)rc;
	*out = p;
	return 0;
}

void probe_close(struct probe *p)
{
	if (!p)
		return;
	points_watch_free(p->watch);
	probe_sweep_stop(p);
	redirect_found_free(p->redirects);
	object_close(p->obj);
	if (p->number != UINT32_MAX)
		tracer_remove_probe(p->tracer, p->number);
	if (p->pump)
		tracer_drop_ring(p->ring, p->pump);
	if (p->socks_fd >= 0)
		tracer_socks_put(p->tracer);
	filter_maps_close(p->maps);
	filter_free(p->filter);
	stage_fini(&p->stage);
	pcap_filter_free(&p->pcap);
	layout_free(p->layout);
	if (p->file)
		munmap(p->file, p->file_size);
	free(p);
}

const char *probe_name(const struct probe *p)
{
	return p->name;
}

enum probe_state probe_state(const struct probe *p)
{
	return p->state;
}

const struct layout *probe_layout(const struct probe *p)
{
	return p->layout;
}

const struct filter_kinds *probe_filter_kinds(const struct probe *p)
{
	return &p->kinds;
}

const struct ways *probe_ways(const struct probe *p)
{
	return object_ways(p->obj);
}

const struct points *probe_points(const struct probe *p)
{
	return object_points(p->obj);
}

struct bpf_object *probe_object(const struct probe *p)
{
	return object_bpf(p->obj);
}

static int take_ring(struct probe *p, struct err *err)
{
	int rc = 0;

	if (p->ring)
		return 0;
	if (p->opts.buffer)
		rc = tracer_own_ring(p->tracer, p->opts.buffer, &p->ring, &p->pump, err);
	else
		rc = tracer_ring(p->tracer, &p->ring, err);
	if (!rc && p->opts.low_latency)
		ring_set_low_latency(p->ring, true);
	return rc;
}

static int share_map(struct probe *p, struct bpf_object *obj, const char *name, int fd,
		     struct err *err)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);
	int rc = map ? bpf_map__reuse_fd(map, fd) : 0;

	return rc ? err_sys(err, rc, "%s: can't share the map '%s'", p->name, name) : 0;
}

int probe_setup_object(void *arg, struct bpf_object *obj, struct err *err)
{
	struct probe *p = arg;
	int rc;

	probe_setup(obj, p->number);
	probe_packets_setup(p, obj);
	probe_sweep_setup(p, obj);
	redirect_found_setup(obj);
	rc = share_map(p, obj, "events", ring_fd(p->ring), err);
	if (!rc)
		rc = share_map(p, obj, "wakeups", ring_wakeups_fd(p->ring), err);
	if (!rc && p->uses_socks)
		rc = share_map(p, obj, "socks", p->socks_fd, err);
	return rc;
}

static int apply_filter(struct probe *p, struct err *err)
{
	int rc;

	filter_maps_close(p->maps);
	p->maps = NULL;
	if (!p->kinds.n)
		return 0;
	rc = filter_maps_open(&p->maps, object_bpf(p->obj), err);
	return rc ? rc : filter_apply(p->maps, p->filter, err);
}

static int use_stacks(struct probe *p, struct err *err)
{
	const struct bpf_map *map;

	if (!p->stacks)
		return 0;
	map = bpf_object__find_map_by_name(object_bpf(p->obj), "stacks");
	return stacks_set_map(p->stacks, map, err) ? err_prefix(err, "%s", p->name) : 0;
}

/* After this the object may be another one. */
static void forget_redirects(struct probe *p)
{
	redirect_found_free(p->redirects);
	p->redirects = NULL;
}

static int find_redirects(struct probe *p, struct err *err)
{
	return redirect_found_new(&p->redirects, tracer_loop(p->tracer), object_bpf(p->obj),
				  p->socks_fd, err);
}

int probe_load(struct probe *p, struct err *err)
{
	int rc = probe_packets_check(p, err);

	if (!rc && p->state == PROBE_OPEN)
		rc = caps_check(err);

	if (!rc)
		rc = take_ring(p, err);
	if (!rc && p->uses_socks && p->socks_fd < 0)
		rc = tracer_socks_get(p->tracer, *p->way ? p->way : NULL, &p->socks_fd, err);
	forget_redirects(p);
	if (!rc)
		rc = probe_load_object(p, err);
	if (!rc)
		rc = apply_filter(p, err);
	if (!rc)
		rc = use_stacks(p, err);
	if (!rc)
		rc = find_redirects(p, err);
	if (!rc)
		p->state = PROBE_LOADED;
	return rc;
}

static bool on_module(void *arg, const char *module, bool gone)
{
	struct probe *p = arg;
	bool done = object_module(p->obj, module, gone);

	kbtf_release();
	return done;
}

static void watch_modules(struct probe *p)
{
	struct points *points = object_points(p->obj);

	if (p->watch || !points || !points_have_module(points, NULL))
		return;
	p->watch = points_watch_new(tracer_loop(p->tracer), on_module, p);
	if (!p->watch)
		log_msg(LOG_DEBUG, "%s: modules that are loaded from now on go unnoticed", p->name);
}

/* The kernel takes its time to list its symbols: not in the first handler that is shown one. */
static void read_symbols(const struct probe *p)
{
	for (int i = 0; i < p->layout->nr_fields; i++)
		if (p->layout->fields[i].kind == FIELD_KSYM) {
			ksyms_text(1, NULL);
			return;
		}
}

int probe_attach(struct probe *p, struct err *err)
{
	int rc = 0;

	if (p->state == PROBE_ATTACHED)
		return 0;
	do {
		if (p->state == PROBE_OPEN || rc == -EAGAIN)
			rc = probe_load(p, err);
		if (!rc)
			rc = object_attach(p->obj, err);
	} while (rc == -EAGAIN);
	kbtf_release();
	if (rc)
		return rc;
	p->state = PROBE_ATTACHED;
	watch_modules(p);
	read_symbols(p);
	return probe_sweep_start(p, err);
}

void probe_detach(struct probe *p)
{
	points_watch_free(p->watch);
	p->watch = NULL;
	object_detach(p->obj);
	probe_sweep_stop(p);
	if (p->state == PROBE_ATTACHED)
		p->state = PROBE_LOADED;
}

int probe_set_filter(struct probe *p, struct filter *filter, struct err *err)
{
	int rc = p->maps ? filter_apply(p->maps, filter, err) : 0;

	if (rc) {
		filter_free(filter);
		return rc;
	}
	filter_free(p->filter);
	p->filter = filter;
	return 0;
}

void probe_set_wants(struct probe *p, bool (*wants)(void *arg, const void *event))
{
	p->wants = wants;
}

int probe_set_pod(struct probe *p, uint64_t key, enum pod_verdict verdict)
{
	return p->filter ? filter_set_pod(p->filter, p->maps, key, verdict) : 0;
}

static void read_tally(const struct probe *p, struct tally *tally)
{
	memset(tally, 0, sizeof(*tally));
	if (p->state != PROBE_OPEN)
		probe_read_tally(object_bpf(p->obj), tally);
}

void probe_stats(const struct probe *p, struct probe_stats *stats)
{
	struct tally tally;

	read_tally(p, &tally);
	stats->events = p->delivered;
	stats->dropped = tally.dropped + p->left;
	stats->filtered = tally.filtered + p->judged[VERDICT_FILTERED] + p->unwanted;
	stats->untracked = tally.untracked;
	stats->sampled = tally.sampled + p->judged[VERDICT_SAMPLED];
	stats->limited = tally.limited;
	stats->aggregated = tally.aggregated + p->judged[VERDICT_AGGREGATED];
	if (p->socks_fd >= 0)
		stats->untracked += tracer_untracked(p->tracer);
	stats->missed = p->state == PROBE_OPEN ? 0 : object_missed(p->obj);
	if (p->socks_fd >= 0)
		stats->missed += tracer_socks_missed(p->tracer);
	stats->malformed = p->malformed;
}

void probe_drain(struct probe *p)
{
	if (p->pump)
		pump_drain(p->pump);
}

uint64_t probe_new_drops(struct probe *p)
{
	struct tally tally;
	uint64_t n;

	read_tally(p, &tally);
	n = tally.dropped - p->drops_told;
	p->drops_told = tally.dropped;
	return n;
}

uint64_t probe_new_left(struct probe *p)
{
	uint64_t n = p->left - p->left_told;

	p->left_told = p->left;
	return n;
}

void probe_leave(struct probe *p)
{
	p->left++;
}

void probe_deliver(struct probe *p, const void *event, size_t size)
{
	if (size < p->layout->size) {
		p->malformed++;
		return;
	}
	if (p->wants && !p->wants(p->arg, event)) {
		p->unwanted++;
		return;
	}
	p->delivered++;
	p->sink(p->arg, event);
}
