/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "globals.h"
#include "hook.h"
#include "kbtf.h"
#include "log.h"
#include "object.h"
#include "patch.h"
#include "points.h"
#include "points_attach.h"
#include "util.h"

struct object {
	char name[64];
	const void *elf;
	size_t size;
	char prefer[24];
	struct bpf_object *bpf;
	bool loaded;
	int types_fd; /* the kernel's types that it needs, see kbtf.h */
	struct ways ways;
	struct refusals refused;
	char *wanted; /* points, NULL: the usual ones */
	struct points *points; /* NULL: it has none */
	struct bpf_object *body; /* runs instead of its programs, on its maps, once swapped in */
	struct hook hooks[WAYS_MAX];
	int nr_hooks;
	uint64_t missed; /* in hooks that are detached */
};

static int open_elf(struct object *o, struct bpf_object **bpf, struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = o->name);
	char types[40];
	int rc;

	if (o->types_fd >= 0) {
		snprintf(types, sizeof(types), "/proc/self/fd/%d", o->types_fd);
		opts.btf_custom_path = types;
	}
	log_libbpf_reset();
	*bpf = bpf_object__open_mem(o->elf, o->size, &opts);
	if (*bpf)
		return 0;
	rc = -errno;
	err_sys(err, rc, "'%s' is not a BPF object that can be opened", o->name);
	if (*log_libbpf_reason())
		err_hint(err, "%s", log_libbpf_reason());
	return rc;
}

static const char *preferred(const struct object *o)
{
	return *o->prefer ? o->prefer : NULL;
}

static int choose(struct object *o, struct err *err)
{
	int rc = 0;

	if (o->points)
		rc = points_choose(o->points, o->bpf, &o->refused, preferred(o), err);
	return rc ? rc : ways_choose(&o->ways, o->bpf, o->points, &o->refused, preferred(o), err);
}

/* The first time twice: what it needs of the kernel's types is known only when it is open. */
static int reopen(struct object *o, struct err *err)
{
	int rc;

	object_detach(o);
	bpf_object__close(o->body);
	bpf_object__close(o->bpf);
	o->body = o->bpf = NULL;
	o->loaded = false;
	rc = open_elf(o, &o->bpf, err);
	if (rc)
		return rc;
	if (!bpf_object__btf(o->bpf))
		return err_set(err, -EINVAL, "'%s' has no BTF: compile it with -g", o->name);
	rc = o->points ? 0 : points_open(&o->points, o->bpf, o->wanted, err);
	if (rc)
		return rc;
	if (o->types_fd < 0 && caps_check(err) == 0) {
		o->types_fd = kbtf_subset(o->bpf, err);
		if (o->types_fd < 0)
			return o->types_fd;
		bpf_object__close(o->bpf);
		rc = open_elf(o, &o->bpf, err);
		if (rc)
			return rc;
	}
	rc = choose(o, err);
	/* Who may not trace at all still wants to know what there is; loading says why not. */
	if (rc && o->types_fd < 0)
		return 0;
	return rc ? err_prefix(err, "%s", o->name) : 0;
}

int object_open(struct object **out, const char *name, const void *elf, size_t size,
		const char *prefer, const char *points, struct err *err)
{
	struct object *o = calloc(1, sizeof(*o));
	int rc;

	*out = NULL;
	if (!o)
		return err_set(err, -ENOMEM, "out of memory");
	snprintf(o->name, sizeof(o->name), "%s", name);
	snprintf(o->prefer, sizeof(o->prefer), "%s", prefer ? prefer : "");
	o->elf = elf;
	o->size = size;
	o->types_fd = -1;
	o->wanted = points ? strdup(points) : NULL;
	rc = reopen(o, err);
	if (rc) {
		object_close(o);
		return rc;
	}
	*out = o;
	return 0;
}

void object_close(struct object *o)
{
	if (!o)
		return;
	object_detach(o);
	bpf_object__close(o->body);
	bpf_object__close(o->bpf);
	close_fd(&o->types_fd);
	points_close(o->points);
	free(o->wanted);
	free(o);
}

struct bpf_object *object_bpf(const struct object *o)
{
	return o->bpf;
}

const struct ways *object_ways(const struct object *o)
{
	return &o->ways;
}

struct points *object_points(const struct object *o)
{
	return o->points;
}

bool object_has_mark(const struct object *o, enum patch_mark which)
{
	return patch_has_mark(o->elf, o->size, which);
}

static int load_failed(struct object *o, int rc, struct err *err)
{
	const char *program = log_libbpf_program(), *missing = caps_missing();

	if (*program)
		err_sys(err, rc, "%s: the kernel refused program '%s': %s", o->name, program,
			log_libbpf_reason());
	else
		err_sys(err, rc, "%s: can't load", o->name);
	if (rc == -EPERM && *missing)
		err_hint(err, "this process lacks %s; run as root", missing);
	else if (rc == -EPERM)
		err_hint(err, "kernel lockdown or a container's seccomp profile may forbid bpf()");
	return rc;
}

/* bpf_object__load() with code in its programs */
static int load_with(struct bpf_object *bpf, const struct patch_set *code)
{
	int rc;

	log_libbpf_reset();
	patch_use(code);
	rc = bpf_object__load(bpf);
	patch_use(NULL);
	return rc;
}

static int setup_object(const struct object *o, struct bpf_object *bpf, object_setup_fn setup,
			void *arg, struct err *err)
{
	if (o->points)
		points_setup(o->points, bpf);
	return setup(arg, bpf, err);
}

int object_load(struct object *o, object_setup_fn setup, void *arg, const struct patch_set *code,
		struct err *err)
{
	int rc = 0;

	if (o->loaded)
		rc = reopen(o, err);
	for (;;) {
		if (!rc)
			rc = setup_object(o, o->bpf, setup, arg, err);
		if (rc)
			return rc;
		rc = load_with(o->bpf, code);
		o->loaded = true;
		if (!rc) {
			rc = globals_go_live(o->bpf);
			return rc ? err_sys(err, rc, "%s: can't map its variables", o->name) : 0;
		}
		if (is_shortage(rc) ||
		    !ways_refuse(&o->ways, &o->refused, log_libbpf_program(), log_libbpf_reason()))
			return load_failed(o, rc, err);
		log_msg(LOG_DEBUG, "%s: program '%s' is refused, trying another way", o->name,
			log_libbpf_program());
		rc = reopen(o, err);
	}
}

static int share_maps(struct bpf_object *bpf, const struct bpf_object *from)
{
	struct bpf_map *map, *theirs;
	int rc = 0;

	bpf_object__for_each_map(map, bpf) {
		theirs = bpf_object__find_map_by_name(from, bpf_map__name(map));
		if (!rc && theirs && bpf_map__fd(theirs) >= 0)
			rc = bpf_map__reuse_fd(map, bpf_map__fd(theirs));
	}
	return rc;
}

/* The programs of `bpf` into the hooks, in which those of the same names run now. */
static int set_hooks(struct object *o, const struct bpf_object *bpf)
{
	int rc = 0;

	for (int i = 0; i < o->nr_hooks && !rc; i++) {
		struct hook *h = &o->hooks[i];

		rc = hook_set(h, bpf_object__find_program_by_name(bpf, h->program));
	}
	if (!rc && o->points)
		rc = points_swap(o->points, bpf);
	return rc;
}

static int load_body(struct object *o, struct bpf_object *bpf, object_setup_fn setup, void *arg,
		     const struct patch_set *code, struct err *err)
{
	struct ways ways;
	int rc = ways_choose(&ways, bpf, o->points, &o->refused, preferred(o), err);

	if (!rc)
		rc = setup_object(o, bpf, setup, arg, err);
	if (rc)
		return rc;
	rc = share_maps(bpf, o->bpf);
	if (rc)
		return err_sys(err, rc, "%s: can't share its maps", o->name);
	rc = load_with(bpf, code);
	return rc ? load_failed(o, rc, err) : 0;
}

int object_swap(struct object *o, object_setup_fn setup, void *arg, const struct patch_set *code,
		struct err *err)
{
	struct bpf_object *bpf;
	int rc = open_elf(o, &bpf, err);

	if (rc)
		return rc;
	rc = load_body(o, bpf, setup, arg, code, err);
	if (!rc) {
		rc = set_hooks(o, bpf);
		if (rc)
			err_sys(err, rc, "%s: can't exchange its programs while they run", o->name);
	}
	if (rc) {
		set_hooks(o, o->body ? o->body : o->bpf);
		bpf_object__close(bpf);
		return rc;
	}
	bpf_object__close(o->body);
	o->body = bpf;
	return 0;
}

int object_attach(struct object *o, struct err *err)
{
	const struct bpf_object *runs = o->body ? o->body : o->bpf;
	int rc;

	for (int i = 0; i < o->ways.n; i++) {
		const struct way_program *p = &o->ways.list[i];

		if (!p->used || p->shared || way_is_iter(p->prog))
			continue;
		rc = hook_attach(&o->hooks[o->nr_hooks],
				 bpf_object__find_program_by_name(runs, p->name));
		if (!rc) {
			o->nr_hooks++;
			continue;
		}
		object_detach(o);
		if (!is_shortage(rc) && ways_refuse(&o->ways, &o->refused, p->name, strerror(-rc)))
			return -EAGAIN;
		return err_sys(err, rc, "%s: can't attach program '%s' to '%s'", o->name, p->name,
			       p->hook);
	}
	rc = o->points ? points_attach(o->points, runs, o->bpf, err) : 0;
	if (rc) {
		object_detach(o);
		err_prefix(err, "%s", o->name);
	}
	return rc;
}

void object_detach(struct object *o)
{
	o->missed = object_missed(o);
	points_detach(o->points);
	/* the other way round than attached: no probe's program may outlive the one it leans on */
	while (o->nr_hooks)
		hook_detach(&o->hooks[--o->nr_hooks]);
}

bool object_module(struct object *o, const char *module, bool gone)
{
	if (gone)
		points_module_gone(o->points, module);
	return gone || points_module_came(o->points, module, preferred(o));
}

uint64_t object_missed(const struct object *o)
{
	uint64_t missed = o->missed + points_missed(o->points);

	for (int i = 0; i < o->nr_hooks; i++)
		missed += hook_missed(&o->hooks[i]);
	return missed;
}

static struct bpf_link *attach_iter(const struct object *o, const char *name, const char *map_name)
{
	const struct bpf_object *runs = o->body ? o->body : o->bpf;
	struct bpf_program *prog = bpf_object__find_program_by_name(runs, name);
	struct bpf_map *map = map_name ? bpf_object__find_map_by_name(runs, map_name) : NULL;
	union bpf_iter_link_info info = { .map.map_fd = map ? (uint32_t)bpf_map__fd(map) : 0 };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = map ? &info : NULL,
		    .link_info_len = map ? sizeof(info) : 0);

	return prog ? bpf_program__attach_iter(prog, &opts) : NULL;
}

int object_iterate(struct object *o, const char *name, const char *map, struct err *err)
{
	struct bpf_link *link = attach_iter(o, name, map);
	char buf[256];
	int fd, rc = 0;
	ssize_t n;

	if (!link)
		return err_sys(err, -errno, "%s: can't attach iterator '%s'", o->name, name);
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		rc = err_sys(err, -errno, "%s: can't run iterator '%s'", o->name, name);
	while (!rc && (n = read(fd, buf, sizeof(buf))) != 0)
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			rc = err_sys(err, -errno, "%s: iterator '%s' failed", o->name, name);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return rc;
}
