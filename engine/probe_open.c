/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From a probe's name, or the path of an object file, to an opened object and its event's layout. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "object.h"
#include "probe_priv.h"
#include "skels.h"
#include "stacks.h"
#include "util.h"

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

bool skel_is_probe(const struct skel *skel)
{
	return !str_eq(skel->name, "socks") && !str_eq(skel->name, "redirect");
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

/* podnet in the mode "path" is the object podnet_path. */
static int add_mode(struct probe *p, const char *name, const char *mode, struct err *err)
{
	char full[sizeof(p->name)];

	snprintf(full, sizeof(full), "%s_%s", name, mode);
	if (!skel_find(full))
		return err_set(err, -EINVAL, "probe '%s' has no %ss", name, mode);
	snprintf(p->name, sizeof(p->name), "%s", full);
	return 0;
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
	if (!skel || !skel_is_probe(skel))
		return no_such_probe(name, err);
	snprintf(p->name, sizeof(p->name), "%s", name);
	if (p->opts.mode) {
		rc = add_mode(p, name, p->opts.mode, err);
		if (rc)
			return rc;
		skel = skel_find(p->name);
	}
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

static int find_stacks(struct probe *p, struct err *err)
{
	if (!bpf_object__find_map_by_name(object_bpf(p->obj), "stacks"))
		return 0;
	p->stacks = stacks_new();
	if (!p->stacks)
		return err_set(err, -ENOMEM, "out of memory");
	layout_set_stacks(p->layout, p->stacks);
	return 0;
}

int probe_open_object(struct probe *p, const char *name, struct err *err)
{
	const void *elf;
	size_t size;
	int rc = find_object(p, name, &elf, &size, err);

	if (!rc)
		rc = object_open(&p->obj, p->name, elf, size, *p->way ? p->way : NULL,
				 p->opts.points, err);
	p->opts.points = NULL; /* the caller's */
	if (!rc)
		rc = read_layout(p, err);
	if (!rc)
		rc = find_stacks(p, err);
	if (rc)
		return rc;
	stage_init(&p->stage, p->layout);
	filter_kinds_read(&p->kinds, bpf_object__btf(object_bpf(p->obj)));
	p->uses_socks = bpf_object__find_map_by_name(object_bpf(p->obj), "socks");
	return 0;
}
