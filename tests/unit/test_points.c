/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The table of an object's points, what is wanted of it, and what is found out about a kernel. */
#include <errno.h>
#include <linux/version.h>
#include <sys/utsname.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "globals.h"
#include "log.h"
#include "points.h"
#include "points_priv.h"
#include "t.h"
#include "ways.h"

static struct bpf_object *obj;
static struct points *points;
static struct err err;

static int open_points(const char *wanted)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "unit");

	log_catch_libbpf();
	obj = bpf_object__open_file(".output/unit/points.bpf.o", &opts);
	CHECK(obj);
	return points_open(&points, obj, wanted, &err);
}

static void end(void)
{
	points_close(points);
	bpf_object__close(obj);
}

/* "alpha beta" */
static const char *wanted_names(void)
{
	static char text[200];
	const struct point *p;

	text[0] = '\0';
	for (int i = 0; (p = points_get(points, i)); i++) {
		if (!p->wanted)
			continue;
		strcat(text, *text ? " " : "");
		strcat(text, p->name);
	}
	return text;
}

static void check_wanted(const char *option, const char *names)
{
	CHECK_INT(open_points(option), 0);
	CHECK_STR(wanted_names(), names);
	end();
}

static void reads_the_table(void)
{
	const struct point *p;

	CHECK_INT(open_points(NULL), 0);
	CHECK_INT(points->nr_rows, 5);
	CHECK_INT(points->nr_sites, 4);
	p = points_get(points, 1);
	CHECK_STR(p->name, "beta");
	CHECK_STR(p->group, "one");
	CHECK_INT(p->id, 1);
	CHECK_INT(points->rows[2].alt, 1);
	CHECK_INT(site_cookie(&points->sites[2]), 1 | 1 << 8 | 2 << 16);
	CHECK_STR(points->sites[3].row->module, "unit_module");
	CHECK(points_get(points, 3)->optional);
	CHECK(!points_get(points, 4));
	end();
}

static void selects(void)
{
	check_wanted(NULL, "alpha beta gamma");
	check_wanted("all", "alpha beta gamma delta");
	check_wanted("two", "gamma delta");
	check_wanted(" beta , delta", "beta delta");
	CHECK_INT(open_points("beta,two"), 0);
	CHECK(points_get(points, 1)->named && !points_get(points, 2)->named);
	end();
}

static void names_the_unknown(void)
{
	CHECK_INT(open_points("alpha,detla"), -ENOENT);
	CHECK(!points);
	CHECK_STR(err.msg, "unknown point \"detla\", did you mean \"delta\"?");
	CHECK_STR(err.hint, "groups of points are: one two all");
	end();
}

/* One byte of the object's table becomes another one, before it is read. */
static void spoil(size_t at, char byte)
{
	struct bpf_map *map;
	size_t size;

	obj = bpf_object__open_file(".output/unit/points.bpf.o", NULL);
	CHECK(obj);
	map = bpf_object__find_map_by_name(obj, ".rodata.points");
	CHECK(map);
	((char *)bpf_map__initial_value(map, &size))[at] = byte;
	CHECK(at < size);
	CHECK_INT(points_open(&points, obj, NULL, &err), -EINVAL);
	CHECK(strstr(err.msg, "has a table of points that is not one of bpf/points.h"));
	end();
}

static void refuses_a_table_that_is_none(void)
{
	log_catch_libbpf();
	spoil(offsetof(struct point_row, id), (char)POINTS_MAX);
	spoil(0, '\0');
}

static void tells_the_object_what_is_wanted(void)
{
	uint64_t *bits;

	CHECK_INT(open_points("all"), 0);
	points_setup(points, obj);
	bits = globals_find(obj, ".rodata", "cfg_points", 2 * sizeof(*bits));
	CHECK(bits);
	CHECK_INT(bits[0], 3);
	CHECK(bits[1] == (1 | 1ULL << 63));
	CHECK(!bpf_map__autocreate(bpf_object__find_map_by_name(obj, ".rodata.points")));
	end();
}

static void can_do_nothing_without_functions(void)
{
	static const struct refusals none;

	if (caps_missing()[0])
		SKIP("needs root");
	CHECK_INT(open_points("alpha"), 0);
	CHECK_INT(points_choose(points, obj, &none, NULL, &err), -ENOENT);
	CHECK(strstr(err.msg, "point \"alpha\" can't be seen here: this kernel "));
	CHECK_INT(points_say(points, "enter", "kprobe"), POINTS_SAY_NO);
	CHECK_INT(points_say(points, "delta", "btf"), POINTS_SAY_NO);
	CHECK_INT(points_say(points, "other", "btf"), POINTS_SAY_NOTHING);
	CHECK_INT(points_say(NULL, "enter", "kprobe"), POINTS_SAY_NOTHING);
	end();
}

static void knows_the_kernels_version(void)
{
	struct point_row row = { .id = 0 };
	unsigned int major, minor;
	struct utsname u;

	CHECK_INT(uname(&u), 0);
	CHECK_INT(sscanf(u.release, "%u.%u", &major, &minor), 2);
	CHECK(point_row_fits(&row));
	row.since = KERNEL_VERSION(major, minor, 0);
	CHECK(point_row_fits(&row));
	row.since = KERNEL_VERSION(major, minor + 1, 0);
	CHECK(!point_row_fits(&row));
	row.since = 0;
	row.before = KERNEL_VERSION(major, minor + 1, 0);
	CHECK(point_row_fits(&row));
	row.before = KERNEL_VERSION(major, minor, 0);
	CHECK(!point_row_fits(&row));
}

static void finds_symbols_in_one_scan(void)
{
	struct point_sym list[] = { { .name = "ip_rcv" },
				    { .name = "ip_rc" },
				    { .name = "tcp_v4_rcv" } };

	CHECK_INT(point_syms_find(list, 3), 0);
	CHECK(list[0].found && !list[1].found && list[2].found);
	if (!geteuid())
		CHECK(list[0].address && list[0].address != list[2].address);
	CHECK_STR(list[0].module, "");
}

static const struct t_case cases[] = {
	{ "a table of points is read", reads_the_table },
	{ "points are wanted by name, group, all, or as usual", selects },
	{ "an unknown point is named, with a guess", names_the_unknown },
	{ "a table that is none is refused", refuses_a_table_that_is_none },
	{ "an object is told what is wanted", tells_the_object_what_is_wanted },
	{ "points without functions are an error if named", can_do_nothing_without_functions },
	{ "rows are for versions of the kernel", knows_the_kernels_version },
	{ "symbols are found in one scan", finds_symbols_in_one_scan },
};

T_MAIN(cases)
