/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "attach.h"
#include "points.h"
#include "util.h"
#include "ways.h"

/* The text after `prefix` in a declaration tag of the program's function; NULL if it has none. */
static const char *find_tag(const struct btf *btf, const char *program, const char *prefix)
{
	int id = btf__find_by_name_kind(btf, program, BTF_KIND_FUNC);
	int n = (int)btf__type_cnt(btf);

	for (int i = 1; id > 0 && i < n; i++) {
		const struct btf_type *t = btf__type_by_id(btf, (uint32_t)i);
		const char *text;

		if (!btf_is_decl_tag(t) || (int)t->type != id)
			continue;
		text = btf__name_by_offset(btf, t->name_off);
		if (str_starts(text, prefix))
			return text + strlen(prefix);
	}
	return NULL;
}

static void parse_name(struct way_program *p, const char *name)
{
	const char *way = strstr(name, "__"), *more;

	p->what[0] = p->way[0] = '\0';
	if (!way)
		return;
	snprintf(p->what, sizeof(p->what), "%.*s", (int)(way - name), name);
	way += 2;
	more = strstr(way, "__");
	snprintf(p->way, sizeof(p->way), "%.*s", more ? (int)(more - way) : (int)strlen(way), way);
}

static int list_programs(struct ways *ways, struct bpf_object *obj, const struct points *points,
			 struct err *err)
{
	const struct btf *btf = bpf_object__btf(obj);
	struct bpf_program *prog;

	ways->n = 0;
	bpf_object__for_each_program(prog, obj) {
		struct way_program *p = &ways->list[ways->n];
		const char *name = bpf_program__name(prog);
		enum points_say say;

		if (ways->n == WAYS_MAX)
			return err_set(err, -E2BIG, "more than %d programs", WAYS_MAX);
		memset(p, 0, sizeof(*p));
		p->prog = prog;
		p->name = name;
		p->hook = bpf_program__section_name(prog);
		parse_name(p, name);
		say = points_say(points, p->what, p->way);
		if (say == POINTS_SAY_NO) {
			bpf_program__set_autoload(prog, false);
			continue;
		}
		p->shared = say == POINTS_SAY_SHARED;
		p->loses = find_tag(btf, name, "loses:");
		p->loses = p->loses ? p->loses : "";
		p->optional = find_tag(btf, name, "optional") != NULL;
		ways->n++;
	}
	return 0;
}

const char *ways_refusal(const struct refusals *refused, const char *program)
{
	for (int i = 0; i < refused->n; i++)
		if (str_eq(refused->list[i].program, program))
			return refused->list[i].why;
	return NULL;
}

static const char *why_not(const struct way_program *p, const struct refusals *refused)
{
	const char *why = ways_refusal(refused, p->name);

	return why ? why : attach_refusal(p->hook);
}

static bool same_way(const struct way_program *a, const struct way_program *b)
{
	return str_eq(a->what, b->what) && str_eq(a->way, b->way);
}

/* Every program of the way works, but for those that it can do without. */
static bool way_works(const struct ways *ways, const struct way_program *way,
		      const struct refusals *refused)
{
	bool any = false;

	for (int i = 0; i < ways->n; i++) {
		const struct way_program *p = &ways->list[i];

		if (!same_way(p, way))
			continue;
		if (!why_not(p, refused))
			any = true;
		else if (!p->optional)
			return false;
	}
	return any;
}

static const struct way_program *best_way(const struct ways *ways, const char *what,
					  const struct refusals *refused, const char *prefer)
{
	const struct way_program *first = NULL;

	for (int i = 0; i < ways->n; i++) {
		const struct way_program *p = &ways->list[i];

		if (!str_eq(p->what, what) || !way_works(ways, p, refused))
			continue;
		if (prefer && str_eq(p->way, prefer))
			return p;
		if (!first)
			first = p;
	}
	return first;
}

/* The programs that are there and can't be had, for a message. */
static int no_way(const struct ways *ways, const char *what, const struct refusals *refused,
		  struct err *err)
{
	char text[600] = "";
	size_t len = 0;

	for (int i = 0; i < ways->n; i++) {
		const struct way_program *p = &ways->list[i];
		const char *why = str_eq(p->what, what) ? why_not(p, refused) : NULL;

		if (why && len < sizeof(text) - 1)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s: %s",
						len ? "; " : "", p->hook, why);
	}
	err_set(err, -ENOENT, "no way to see '%s' on this kernel (%s)", what, text);
	err_hint(err, "bpfnet doctor says what to do");
	return -ENOENT;
}

static bool all_optional(const struct ways *ways, const char *what)
{
	for (int i = 0; i < ways->n; i++)
		if (str_eq(ways->list[i].what, what) && !ways->list[i].optional)
			return false;
	return true;
}

static int choose_one(struct ways *ways, int i, const struct refusals *refused, const char *prefer,
		      struct err *err)
{
	struct way_program *p = &ways->list[i];
	const struct way_program *best;

	if (!*p->what || p->shared) {
		p->used = !ways_refusal(refused, p->name);
		return 0;
	}
	best = best_way(ways, p->what, refused, prefer);
	if (!best && !all_optional(ways, p->what))
		return no_way(ways, p->what, refused, err);
	p->used = best && same_way(p, best) && !why_not(p, refused);
	return 0;
}

int ways_choose(struct ways *ways, struct bpf_object *obj, const struct points *points,
		const struct refusals *refused, const char *prefer, struct err *err)
{
	int rc = list_programs(ways, obj, points, err);

	for (int i = 0; i < ways->n && !rc; i++) {
		rc = choose_one(ways, i, refused, prefer, err);
		if (!rc)
			bpf_program__set_autoload(ways->list[i].prog, ways->list[i].used);
	}
	return rc;
}

bool ways_refuse(const struct ways *ways, struct refusals *refused, const char *program,
		 const char *why)
{
	for (int i = 0; i < ways->n; i++) {
		const struct way_program *p = &ways->list[i];

		if (!str_eq(p->name, program))
			continue;
		if ((!*p->what && !p->optional) || ways_refusal(refused, program) ||
		    refused->n == WAYS_MAX)
			return false;
		snprintf(refused->list[refused->n].program, sizeof(refused->list[0].program), "%s",
			 program);
		snprintf(refused->list[refused->n].why, sizeof(refused->list[0].why), "%s", why);
		refused->n++;
		return true;
	}
	return false;
}

bool way_is_iter(const struct bpf_program *prog)
{
	return str_starts(bpf_program__section_name(prog), "iter/");
}
