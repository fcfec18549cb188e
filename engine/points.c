/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The table of an object's points, and which of them are wanted. */
#include <errno.h>
#include <linux/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "globals.h"
#include "points_attach.h"
#include "points_priv.h"
#include "util.h"

#define TABLE ".rodata.points"

const char *point_by_name(enum point_by by)
{
	static const char *const names[] = { "", "", "tracepoint", "fentry", "multi", "kprobe" };

	return names[by];
}

bool point_row_fits(const struct point_row *row)
{
	static uint32_t version;
	unsigned int major = 0, minor = 0, patch = 0;
	struct utsname u;

	if (!version && !uname(&u)) {
		sscanf(u.release, "%u.%u.%u", &major, &minor, &patch);
		version = KERNEL_VERSION(major, minor, patch > 255 ? 255 : patch);
	}
	return version >= row->since && (!row->before || version < row->before);
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size);
}

static bool row_is_sane(const struct point_row *row)
{
	return ends(row->point, sizeof(row->point)) && *row->point &&
	       ends(row->target, sizeof(row->target)) && ends(row->group, sizeof(row->group)) &&
	       ends(row->module, sizeof(row->module)) && row->id < POINTS_MAX;
}

static struct point *find_point(struct points *p, const char *name)
{
	for (int i = 0; i < p->nr; i++)
		if (str_eq(p->list[i].name, name))
			return &p->list[i];
	return NULL;
}

static int add_row(struct points *p, struct point_row *row)
{
	struct point *point = find_point(p, row->point);
	struct site *site = &p->sites[p->nr_sites];

	if (!row_is_sane(row) || (!point && p->nr == POINTS_MAX))
		return -EINVAL;
	if (!point) {
		point = &p->list[p->nr++];
		*point = (struct point){ .name = row->point,
					 .group = row->group,
					 .programs = row->point,
					 .id = row->id };
	}
	point->optional |= row->optional == ROW_OPTIONAL;
	point->wanted |= row->optional == ROW_ALWAYS;
	if (*row->target == '=') {
		point->programs = row->target + 1;
	} else if (*row->target) {
		*site = (struct site){ .row = row, .point = point, .sym.name = row->target };
		points_init_site(site);
		p->nr_sites++;
	}
	return 0;
}

static int read_table(struct points *p, const struct point_row *table, size_t size)
{
	int rc = 0;

	if (!table || !size || size % sizeof(*table) || size / sizeof(*table) > ROWS_MAX)
		return -EINVAL;
	p->nr_rows = (int)(size / sizeof(*table));
	p->rows = malloc(size);
	p->sites = calloc((size_t)p->nr_rows, sizeof(*p->sites));
	if (!p->rows || !p->sites)
		return -ENOMEM;
	memcpy(p->rows, table, size);
	for (int i = 0; i < p->nr_rows && !rc; i++)
		rc = add_row(p, &p->rows[i]);
	return rc;
}

/* What may be written in `points`: points, then groups, then "all". */
static const char *next_name(const void *arg, int i)
{
	const struct points *p = arg;

	if (i < p->nr)
		return p->list[i].name;
	if (i < 2 * p->nr)
		return p->list[i - p->nr].group;
	return i == 2 * p->nr ? "all" : NULL;
}

static void list_groups(const struct points *p, char *text, size_t size)
{
	size_t len = 0;

	*text = '\0';
	for (int i = 0; i < p->nr; i++) {
		int first = 0;

		while (!str_eq(p->list[first].group, p->list[i].group))
			first++;
		if (first == i && len < size)
			len += (size_t)snprintf(text + len, size - len, " %s", p->list[i].group);
	}
}

static int unknown_point(const struct points *p, const char *name, struct err *err)
{
	const char *near = nearest_name(name, next_name, p);
	char groups[200];

	list_groups(p, groups, sizeof(groups));
	err_set(err, -ENOENT, "unknown point \"%s\"%s%s%s", name, near ? ", did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
	err_hint(err, "groups of points are:%s all", groups);
	return -ENOENT;
}

static int want(struct points *p, const char *name, struct err *err)
{
	bool any = false;

	for (int i = 0; i < p->nr; i++) {
		struct point *point = &p->list[i];
		bool its_name = str_eq(point->name, name);

		if (!its_name && !str_eq(point->group, name) && !str_eq(name, "all"))
			continue;
		point->wanted = any = true;
		point->named |= its_name;
	}
	return any ? 0 : unknown_point(p, name, err);
}

static int select_points(struct points *p, const char *wanted, struct err *err)
{
	char *words, *word, *rest;
	int rc = 0;

	for (int i = 0; i < p->nr && !wanted; i++)
		p->list[i].wanted |= !p->list[i].optional;
	if (!wanted)
		return 0;
	words = strdup(wanted);
	if (!words)
		return err_set(err, -ENOMEM, "out of memory");
	for (rest = words; (word = strsep(&rest, ",")) && !rc;) {
		word += strspn(word, " ");
		word[strcspn(word, " ")] = '\0';
		rc = want(p, word, err);
	}
	free(words);
	return rc;
}

int points_open(struct points **out, struct bpf_object *obj, const char *wanted, struct err *err)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, TABLE);
	const void *table;
	struct points *p;
	size_t size = 0;
	int rc;

	*out = NULL;
	if (!map && wanted && !str_eq(wanted, "all"))
		return err_set(err, -EINVAL, "'%s' has no points to choose from",
			       bpf_object__name(obj));
	if (!map)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	points_init(p);
	table = bpf_map__initial_value(map, &size);
	rc = read_table(p, table, size);
	if (rc)
		err_set(err, rc, "'%s' has a table of points that is not one of bpf/points.h",
			bpf_object__name(obj));
	else
		rc = select_points(p, wanted, err);
	if (rc) {
		points_close(p);
		return rc;
	}
	*out = p;
	return 0;
}

void points_close(struct points *p)
{
	if (!p)
		return;
	points_detach(p);
	for (int i = 0; i < p->nr_sites; i++)
		close_fd(&p->sites[i].btf_fd);
	free(p->sites);
	free(p->rows);
	free(p);
}

void points_setup(const struct points *p, struct bpf_object *obj)
{
	struct bpf_map *table = bpf_object__find_map_by_name(obj, TABLE);
	uint64_t *bits = globals_find(obj, ".rodata", "cfg_points", 2 * sizeof(*bits));
	bool *cookie = globals_find(obj, ".rodata", "cfg_point_cookie", sizeof(*cookie));

	bpf_map__set_autocreate(table, false);
	if (cookie)
		*cookie = caps_attach_cookie();
	if (bits)
		bits[0] = bits[1] = 0;
	for (int i = 0; i < p->nr && bits; i++)
		if (p->list[i].wanted)
			bits[p->list[i].id / 64] |= 1ULL << p->list[i].id % 64;
}

const struct point *points_get(const struct points *p, int i)
{
	return p && i < p->nr ? &p->list[i] : NULL;
}
