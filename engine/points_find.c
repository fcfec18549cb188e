/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What there is of tracepoints and functions on this kernel. */
#include <errno.h>
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "kbtf.h"
#include "kbtf_module.h"
#include "points_choose.h"
#include "util.h"
#include "ways.h"

static bool target_is_here(const char *sec)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	char path[128];

	if (!str_starts(sec, "tp/"))
		return !kbtf_attach_opts(sec, &opts);
	snprintf(path, sizeof(path), "events/%s", sec + 3);
	return caps_tracefs() >= 0 && !faccessat(caps_tracefs(), path, F_OK, 0);
}

const char *point_tracepoint(const struct choice *c, struct point *point)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, c->obj) {
		const char *name = bpf_program__name(prog), *sec, *why;
		size_t len = strlen(point->programs);

		if (strncmp(name, point->programs, len) || strncmp(name + len, "__", 2))
			continue;
		sec = bpf_program__section_name(prog);
		why = ways_refusal(c->refused, name);
		if (!why && target_is_here(sec))
			return sec;
		if (why)
			snprintf(point->why, sizeof(point->why), "%s", why);
		else
			snprintf(point->why, sizeof(point->why), "this kernel has no %s", sec);
	}
	return NULL;
}

int point_find_types(const struct choice *c)
{
	struct points *p = c->p;
	struct bpf_program *prog;
	struct kbtf_query *types;
	int n = 0, room = p->nr_sites, rc;

	bpf_object__for_each_program(prog, c->obj)
		room++;
	types = calloc((size_t)room, sizeof(*types));
	if (!types)
		return -ENOMEM;
	for (int i = 0; i < p->nr_sites; i++, n++) {
		types[n].kind = BTF_KIND_FUNC;
		snprintf(types[n].name, sizeof(types[n].name), "%s", p->sites[i].row->target);
	}
	bpf_object__for_each_program(prog, c->obj) {
		const char *sec = bpf_program__section_name(prog);

		if (!str_starts(sec, "tp_btf/"))
			continue;
		types[n].kind = BTF_KIND_TYPEDEF;
		snprintf(types[n].name, sizeof(types[n].name), "btf_trace_%s", sec + 7);
		n++;
	}
	rc = kbtf_find_all(types, n);
	for (int i = 0; i < p->nr_sites; i++)
		p->sites[i].btf_id = types[i].id;
	free(types);
	return rc;
}

void point_find_module_types(const struct choice *c)
{
	for (int i = 0; i < c->p->nr_sites; i++) {
		struct site *site = &c->p->sites[i];
		struct kbtf_function f;

		if (site->attached || !site->point->wanted || !*site->sym.module)
			continue;
		close_fd(&site->btf_fd);
		site->btf_id = -ENOENT;
		if (kbtf_module_function(site->sym.module, site->row->target, &f))
			continue;
		site->btf_id = f.id;
		site->btf_fd = f.btf_fd;
		site->nr_args = f.nr_args;
	}
}

int point_find_symbols(const struct choice *c)
{
	struct points *p = c->p;
	struct point_sym *syms = calloc((size_t)p->nr_sites + 1, sizeof(*syms));
	int rc;

	if (!syms)
		return -ENOMEM;
	for (int i = 0; i < p->nr_sites; i++)
		syms[i] = p->sites[i].sym;
	rc = point_syms_find(syms, p->nr_sites);
	for (int i = 0; i < p->nr_sites; i++)
		p->sites[i].sym = syms[i];
	free(syms);
	return rc;
}
