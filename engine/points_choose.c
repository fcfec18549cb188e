/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What this kernel has of the points that are wanted, and by what each is seen. */
#include <errno.h>
#include <stdio.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "points_choose.h"
#include "util.h"
#include "ways.h"

static const char *const shared_names[2][SHARED_WAYS] = {
	{ "enter__fentry", "enter__multi", "enter__kprobe" },
	{ "return__fentry", "return__multi", "return__kprobe" },
};

static const enum point_by by_shared[SHARED_WAYS] = { POINT_BY_FENTRY, POINT_BY_MULTI,
						      POINT_BY_KPROBE };

const char *point_shared_name(enum shared way, bool at_return)
{
	return shared_names[at_return][way];
}

static bool is_shared_name(const char *what)
{
	return str_eq(what, "enter") || str_eq(what, "return");
}

enum points_say points_say(const struct points *p, const char *what, const char *way)
{
	if (!p || !*what)
		return POINTS_SAY_NOTHING;
	for (int i = 0; i < SHARED_WAYS && is_shared_name(what); i++)
		if (str_eq(way, point_by_name(by_shared[i])))
			return p->wants[i][str_eq(what, "return")] ? POINTS_SAY_SHARED :
								     POINTS_SAY_NO;
	for (int i = 0; i < p->nr; i++)
		if (str_eq(p->list[i].name, what))
			return p->list[i].by == POINT_BY_TRACEPOINT ? POINTS_SAY_NOTHING :
								      POINTS_SAY_NO;
	return POINTS_SAY_NOTHING;
}

static bool kernel_has(enum shared way)
{
	switch (way) {
	case SHARED_FENTRY:
		return caps_fentry();
	case SHARED_MULTI:
		return caps_kprobe_multi();
	default:
		return caps_kprobe();
	}
}

static void find_usable(struct choice *c)
{
	for (int way = 0; way < SHARED_WAYS; way++) {
		for (int at = 0; at < 2 && kernel_has(way); at++) {
			const char *name = shared_names[at][way];
			const char *why = ways_refusal(c->refused, name);

			c->usable[way][at] = !why && bpf_object__find_program_by_name(c->obj, name);
			if (why)
				snprintf(c->refusal, sizeof(c->refusal), "%s: %s", name, why);
		}
	}
}

static bool any_usable(const struct choice *c)
{
	return c->usable[SHARED_FENTRY][0] || c->usable[SHARED_MULTI][0] ||
	       c->usable[SHARED_KPROBE][0];
}

static bool site_can(const struct choice *c, const struct site *site, enum shared way)
{
	bool returns = site->row->flags & POINT_RETURN;

	if (!c->usable[way][0] || (returns && !c->usable[way][1]))
		return false;
	if (way != SHARED_FENTRY)
		return true;
	/* older verifiers (6.1) let no program read an argument that points to a pointer */
	if (site->row->flags & POINT_DEREF)
		return false;
	return site->sym.found ? site->btf_id > 0 : *site->row->module;
}

static bool site_has_way(const struct choice *c, const struct site *site)
{
	return site_can(c, site, SHARED_FENTRY) || site_can(c, site, SHARED_MULTI) ||
	       site_can(c, site, SHARED_KPROBE);
}

/* A function that a module will bring, once it is loaded. */
static bool site_may_come(const struct site *site)
{
	return !site->sym.found && *site->row->module;
}

static void say_why_not(const struct choice *c, const struct site *site)
{
	const char *function = site->row->target;
	char *why = site->point->why;
	size_t size = sizeof(site->point->why);

	if (*c->refusal && !any_usable(c))
		snprintf(why, size, "%s", c->refusal);
	else if (!any_usable(c))
		snprintf(why, size,
			 "this kernel lets no function be hooked: no fentry, no kprobes");
	else if (site->sym.found)
		snprintf(why, size, "no way to hook %s here", function);
	else if (site_may_come(site))
		snprintf(why, size, "the module %s is not loaded", site->row->module);
	else
		snprintf(why, size, "this kernel has no function %s", function);
}

/* The sites of the table's row, which are in its order. */
static struct site *site_of(struct points *p, const struct point_row *row)
{
	for (int i = 0; i < p->nr_sites; i++)
		if (p->sites[i].row == row)
			return &p->sites[i];
	return NULL;
}

/* How good a row is for its point here. */
static enum point_by judge_row(struct choice *c, struct point *point, const struct point_row *row)
{
	struct site *site = site_of(c->p, row);

	if (!point_row_fits(row))
		return POINT_BY_NONE;
	if (!site) {
		const char *sec = point_tracepoint(c, point);

		if (sec)
			snprintf(point->where, sizeof(point->where), "%s", sec);
		return sec ? POINT_BY_TRACEPOINT : POINT_BY_NONE;
	}
	if (site->sym.found && site_has_way(c, site))
		return POINT_BY_KPROBE; /* or a better one, see below */
	say_why_not(c, site);
	return site_may_come(site) && site_has_way(c, site) ? POINT_BY_MODULE : POINT_BY_NONE;
}

/* The lowest alternative of which there is something; what a module may bring only if none is. */
static void choose_alt(struct choice *c, struct point *point)
{
	enum point_by best = POINT_BY_NONE;

	point->where[0] = '\0';
	snprintf(point->why, sizeof(point->why), "not in this version of the kernel");
	for (int i = 0; i < c->p->nr_rows; i++) {
		const struct point_row *row = &c->p->rows[i];
		enum point_by by;

		if (!str_eq(row->point, point->name))
			continue;
		by = judge_row(c, point, row);
		if (by == POINT_BY_NONE || (by == POINT_BY_MODULE && best != POINT_BY_NONE) ||
		    (best > POINT_BY_MODULE && row->alt >= point->alt))
			continue;
		best = by;
		point->alt = row->alt;
	}
	point->by = best;
	if (best > POINT_BY_MODULE)
		point->why[0] = '\0';
}

/* Which alternative a module will bring is seen then. */
static bool site_in_use(const struct choice *c, const struct site *site)
{
	const struct point *point = site->point;

	if (point->by == POINT_BY_NONE || point->by == POINT_BY_TRACEPOINT ||
	    !point_row_fits(site->row) || !site_has_way(c, site))
		return false;
	if (point->by != POINT_BY_MODULE && site->row->alt != point->alt)
		return false;
	return site->sym.found || site_may_come(site);
}

/*
 * fentry costs least at each hit, and most to attach: for few functions. (Emulated, for 4 and 16
 * functions: 150 and 520 ms by fentry on 6.12, 40 and 60 by multi; on 5.10 280 and 900 by fentry,
 * 80 and 180 by kprobes.)
 */
static enum shared best_way(const struct choice *c, const struct site *site, const char *prefer,
			    int nr_sites)
{
	static const enum shared orders[2][SHARED_WAYS] = {
		{ SHARED_FENTRY, SHARED_MULTI, SHARED_KPROBE },
		{ SHARED_MULTI, SHARED_KPROBE, SHARED_FENTRY },
	};
	/* that a module's functions can have fentry is known only when it is there */
	bool few = nr_sites <= FENTRY_MAX && site->sym.found;
	/*
	 * A kretprobe misses what returns while as many calls as there are CPUs are under way, and
	 * netfilter's hooks are nested three deep.
	 */
	bool nested = site_returns(site) && !c->usable[SHARED_MULTI][1];
	const enum shared *order = orders[!few && !nested];

	for (int i = 0; i < SHARED_WAYS && prefer; i++)
		if (str_eq(prefer, point_by_name(by_shared[i])) &&
		    site_can(c, site, (enum shared)i))
			return (enum shared)i;
	for (int i = 0; i < SHARED_WAYS; i++)
		if (site_can(c, site, order[i]))
			return order[i];
	return SHARED_KPROBE;
}

static void want_way(struct points *p, const struct site *site, enum shared way)
{
	p->wants[way][0] = true;
	p->wants[way][1] |= site->row->flags & POINT_RETURN;
}

static void use_way(struct site *site, enum shared way)
{
	struct point *point = site->point;
	size_t len = strlen(point->where);

	site->way = way;
	point->by = by_shared[way];
	if (len < sizeof(point->where))
		snprintf(point->where + len, sizeof(point->where) - len, "%s%s", len ? ", " : "",
			 site->row->target);
}

static void choose_way(const struct choice *c, struct site *site, const char *prefer, int nr_sites)
{
	want_way(c->p, site, best_way(c, site, prefer, nr_sites));
	if (site->sym.found)
		use_way(site, best_way(c, site, prefer, nr_sites));
	else
		want_way(c->p, site, best_way(c, site, NULL, nr_sites));
}

static void choose_ways(const struct choice *c, const char *prefer)
{
	struct points *p = c->p;
	int n = 0;

	for (int i = 0; i < p->nr_sites; i++) {
		p->sites[i].used = site_in_use(c, &p->sites[i]);
		n += p->sites[i].used && p->sites[i].sym.found;
	}
	for (int i = 0; i < p->nr_sites; i++)
		if (p->sites[i].used)
			choose_way(c, &p->sites[i], prefer, n);
}

int points_check(const struct points *p, struct err *err)
{
	const struct point *lacking = NULL;
	bool any = false;

	for (int i = 0; i < p->nr; i++) {
		const struct point *point = &p->list[i];

		if (!point->wanted)
			continue;
		any |= point->by != POINT_BY_NONE;
		if (point->by == POINT_BY_NONE && (!lacking || point->named))
			lacking = point;
		if (lacking && lacking->named)
			return err_set(err, -ENOENT, "point \"%s\" can't be seen here: %s",
				       lacking->name, lacking->why);
	}
	return any ? 0 :
		     err_set(err, -ENOENT, "none of the points can be seen here (%s: %s)",
			     lacking ? lacking->name : "none is wanted",
			     lacking ? lacking->why : "");
}

static bool may_use_fentry(const struct choice *c, const char *prefer)
{
	int n = 0;

	for (int i = 0; i < c->p->nr_sites; i++)
		n += c->p->sites[i].point->wanted && c->p->sites[i].sym.found;
	return c->usable[SHARED_FENTRY][0] &&
	       (n <= FENTRY_MAX || (prefer && str_eq(prefer, point_by_name(POINT_BY_FENTRY))));
}

int points_choose(struct points *p, const struct bpf_object *obj, const struct refusals *refused,
		  const char *prefer, struct err *err)
{
	struct choice c = { .p = p, .obj = obj, .refused = refused };
	int rc;

	find_usable(&c);
	rc = point_find_types(&c);
	if (!rc && any_usable(&c))
		rc = point_find_symbols(&c);
	if (!rc && may_use_fentry(&c, prefer))
		point_find_module_types(&c);
	if (rc)
		return err_sys(err, rc, "can't find out which functions the kernel has");
	memset(p->wants, 0, sizeof(p->wants));
	for (int i = 0; i < p->nr; i++) {
		p->list[i].by = POINT_BY_NONE;
		if (p->list[i].wanted)
			choose_alt(&c, &p->list[i]);
	}
	choose_ways(&c, prefer);
	return points_check(p, err);
}

bool point_has_module(const struct points *p, const struct point *point, const char *module)
{
	for (int i = 0; i < p->nr_sites; i++) {
		const struct site *site = &p->sites[i];

		if ((!point || site->point == point) && site->point->wanted && *site->row->module &&
		    (!module || str_eq(site->row->module, module)))
			return true;
	}
	return false;
}

bool points_have_module(const struct points *p, const char *module)
{
	return point_has_module(p, NULL, module);
}

int points_choose_module(struct points *p, const char *module, const char *prefer)
{
	static const struct refusals none;
	struct choice c = { .p = p, .obj = p->runs, .refused = &none };
	int rc = point_find_symbols(&c);

	/* what is loaded by now is all that can be attached */
	memcpy(c.usable, p->wants, sizeof(c.usable));
	if (!rc && c.usable[SHARED_FENTRY][0])
		point_find_module_types(&c);
	for (int i = 0; i < p->nr && !rc; i++) {
		struct point *point = &p->list[i];

		if (point->by <= POINT_BY_MODULE && point_has_module(p, point, module))
			choose_alt(&c, point);
	}
	for (int i = 0; i < p->nr_sites && !rc; i++) {
		struct site *site = &p->sites[i];

		if (site->attached || !site_in_use(&c, site))
			continue;
		site->used = true;
		site->error = 0;
		if (site->sym.found)
			use_way(site, best_way(&c, site, prefer, ROWS_MAX));
	}
	return rc;
}
