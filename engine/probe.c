/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "kbtf.h"
#include "object.h"
#include "probe.h"
#include "probe_setup.h"
#include "pump.h"
#include "skels.h"
#include "tracer.h"
#include "util.h"

struct probe {
	char name[64];
	struct tracer *tracer;
	struct probe_opts opts;
	char way[24];
	uint32_t number;
	enum probe_state state;
	struct object *obj;
	void *file; /* mapped object file, for a probe that is not built in */
	size_t file_size;
	struct layout *layout;
	struct filter_kinds kinds;
	struct filter_maps *maps;
	struct filter *filter;
	struct ring *ring; /* its own, or the shared one */
	struct pump *pump; /* of its own ring */
	bool uses_socks;
	int socks_fd;
	probe_sink sink;
	void *arg;
	uint64_t delivered;
	uint64_t malformed;
	uint64_t drops_told;
};

static const char *next_skel(const void *arg, int i)
{
	(void)arg;
	return skels[i].name;
}

const struct skel *skel_find(const char *name)
{
	for (const struct skel *s = skels; s->name; s++)
		if (str_eq(s->name, name))
			return s;
	return NULL;
}

static int no_such_probe(const char *name, struct err *err)
{
	const char *near = nearest_name(name, next_skel, NULL);

	err_set(err, -ENOENT, "unknown probe \"%s\"%s%s%s", name, near ? ", did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
	err_hint(err, "bpfnet probes lists them; an object file of your own needs a path with a /");
	return -ENOENT;
}

static int map_file(struct probe *p, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return err_sys(err, -errno, "can't open \"%s\"", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size) {
		close(fd);
		return err_set(err, -EINVAL, "\"%s\" is not a BPF object file", path);
	}
	p->file_size = (size_t)st.st_size;
	p->file = mmap(NULL, p->file_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p->file == MAP_FAILED) {
		p->file = NULL;
		return err_sys(err, -ENOMEM, "can't read \"%s\"", path);
	}
	return 0;
}

/* "./x/mine.bpf.o" is the probe "mine" */
static void name_from_path(struct probe *p, const char *path)
{
	char *dot;

	snprintf(p->name, sizeof(p->name), "%s", strrchr(path, '/') + 1);
	dot = strchr(p->name, '.');
	if (dot)
		*dot = '\0';
}

static int find_object(struct probe *p, const char *name, const void **elf, size_t *size,
		       struct err *err)
{
	const struct skel *skel;
	int rc;

	if (strchr(name, '/')) {
		name_from_path(p, name);
		rc = map_file(p, name, err);
		*elf = p->file;
		*size = p->file_size;
		return rc;
	}
	skel = skel_find(name);
	if (!skel || str_eq(name, "socks"))
		return no_such_probe(name, err);
	snprintf(p->name, sizeof(p->name), "%s", name);
	*elf = skel->elf_bytes(size);
	return 0;
}

/* PROBE_EVENTS leaves a variable `event_type`: a pointer to the event's struct. */
static int read_layout(struct probe *p, struct err *err)
{
	const struct btf *btf = bpf_object__btf(object_bpf(p->obj));
	int id = btf__find_by_name_kind(btf, "event_type", BTF_KIND_VAR),
	    n = (int)btf__type_cnt(btf);
	const struct btf_type *var = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	const struct btf_type *ptr = var ? btf__type_by_id(btf, var->type) : NULL;
	int rc;

	if (!ptr || !btf_is_ptr(ptr)) {
		err_set(err, -EINVAL, "'%s' is not a probe: it names no event", p->name);
		err_hint(err, "write PROBE_EVENTS(struct ..., \"...\") of bpf/probe.h in it");
		return -EINVAL;
	}
	rc = layout_new(&p->layout, btf, (int)ptr->type, err);
	for (int i = 1; !rc && i < n; i++) {
		const struct btf_type *t = btf__type_by_id(btf, (uint32_t)i);
		const char *text = btf__name_by_offset(btf, t->name_off);

		if (btf_is_decl_tag(t) && (int)t->type == id && str_starts(text, "doc:"))
			rc = layout_set_doc(p->layout, text + 4);
	}
	return rc;
}

static int open_object(struct probe *p, const char *name, struct err *err)
{
	const void *elf;
	size_t size;
	int rc = find_object(p, name, &elf, &size, err);

	if (!rc)
		rc = object_open(&p->obj, p->name, elf, size, *p->way ? p->way : NULL, err);
	if (!rc)
		rc = read_layout(p, err);
	if (rc)
		return rc;
	filter_kinds_read(&p->kinds, bpf_object__btf(object_bpf(p->obj)));
	p->uses_socks = bpf_object__find_map_by_name(object_bpf(p->obj), "socks");
	return 0;
}

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
	rc = open_object(p, name, err);
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
	object_close(p->obj);
	if (p->number != UINT32_MAX)
		tracer_remove_probe(p->tracer, p->number);
	if (p->pump)
		tracer_drop_ring(p->ring, p->pump);
	if (p->socks_fd >= 0)
		tracer_socks_put(p->tracer);
	filter_maps_close(p->maps);
	filter_free(p->filter);
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

static int setup(void *arg, struct bpf_object *obj, struct err *err)
{
	struct probe *p = arg;
	int rc;

	probe_setup(obj, p->number);
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

int probe_load(struct probe *p, struct err *err)
{
	int rc = p->state == PROBE_OPEN ? caps_check(err) : 0;

	if (!rc)
		rc = take_ring(p, err);
	if (!rc && p->uses_socks && p->socks_fd < 0)
		rc = tracer_socks_get(p->tracer, *p->way ? p->way : NULL, &p->socks_fd, err);
	if (!rc)
		rc = object_load(p->obj, setup, p, NULL, err);
	if (!rc)
		rc = apply_filter(p, err);
	if (!rc)
		p->state = PROBE_LOADED;
	return rc;
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
	if (!rc)
		p->state = PROBE_ATTACHED;
	return rc;
}

void probe_detach(struct probe *p)
{
	object_detach(p->obj);
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
	stats->dropped = tally.dropped;
	stats->filtered = tally.filtered;
	stats->untracked = tally.untracked;
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

void probe_deliver(struct probe *p, const void *event, size_t size)
{
	if (size < p->layout->size) {
		p->malformed++;
		return;
	}
	p->delivered++;
	p->sink(p->arg, event);
}
