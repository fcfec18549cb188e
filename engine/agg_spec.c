/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What an aggregation keeps: made from names, one after the other. */
#include <errno.h>
#include <stdio.h>
#include "agg.h"
#include "util.h"

static const char *const what_names[] = { "sum", "min", "max", "avg", "hist", "count", NULL };

const char *agg_what_name(enum agg_what what)
{
	return what_names[what];
}

static const char *next_what(const void *arg, int i)
{
	(void)arg;
	return what_names[i];
}

void agg_spec_init(struct agg_spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->max_keys = 10000;
	spec->sort.what = AGG_COUNT;
}

static int check_name(const char *name, struct err *err)
{
	if (strlen(name) < AGG_NAME && *name)
		return 0;
	return err_set(err, -EINVAL, "\"%.70s\" is no name of a field", name);
}

int agg_spec_by(struct agg_spec *spec, const char *name, struct err *err)
{
	if (check_name(name, err))
		return -EINVAL;
	if (spec->nr_by == AGG_MAX_BY)
		return err_set(err, -EINVAL, "more than %d fields in \"by\"", AGG_MAX_BY);
	for (int i = 0; what_names[i]; i++)
		if (str_eq(what_names[i], name))
			return err_set(
				err, -EINVAL,
				"field \"%s\" can't be in \"by\": rows have a %s of their own",
				name, name);
	for (int i = 0; i < spec->nr_by; i++)
		if (str_eq(spec->by[i], name))
			return err_set(err, -EINVAL, "field \"%s\" is twice in \"by\"", name);
	snprintf(spec->by[spec->nr_by++], AGG_NAME, "%s", name);
	return 0;
}

/* The number of this value, which may be new. */
static int find_value(struct agg_spec *spec, const char *name, struct err *err)
{
	struct agg_field *field;

	for (int i = 0; i < spec->nr_values; i++)
		if (str_eq(spec->values[i].name, name))
			return i;
	if (spec->nr_values == AGG_MAX_VALUES)
		return err_set(err, -EINVAL, "more than %d fields with values", AGG_MAX_VALUES);
	field = &spec->values[spec->nr_values];
	snprintf(field->name, AGG_NAME, "%s", name);
	field->unit = hist_unit_of(name);
	return spec->nr_values++;
}

int agg_spec_value(struct agg_spec *spec, enum agg_what what, const char *name, struct err *err)
{
	struct agg_columns *columns = &spec->columns[what];
	int value;

	if (check_name(name, err))
		return -EINVAL;
	value = find_value(spec, name, err);
	if (value < 0)
		return value;
	if (spec->values[value].whats & 1U << what)
		return err_set(err, -EINVAL, "field \"%s\" is twice in \"%s\"", name,
			       what_names[what]);
	spec->values[value].whats |= 1U << what;
	columns->value[columns->n++] = (uint8_t)value;
	columns->list |= columns->n > 1;
	return 0;
}

static int bad_sort(const char *text, struct err *err)
{
	const char *near = nearest_name(text, next_what, NULL);

	if (near && !str_eq(near, text))
		return err_set(err, -EINVAL, "can't sort by \"%s\", did you mean \"%s\"?", text,
			       near);
	err_set(err, -EINVAL, "can't sort by \"%s\"", text);
	err_hint(err, "rows are sorted by \"count\", or by \"sum\", \"min\", \"max\" or \"avg\" "
		      "if they have it, alone or with a field: \"max.rx_bytes\"");
	return -EINVAL;
}

int agg_spec_sort(const struct agg_spec *spec, const char *text, struct agg_sort *sort,
		  struct err *err)
{
	const char *dot = strchr(text, '.');
	size_t len = dot ? (size_t)(dot - text) : strlen(text);
	const struct agg_columns *columns;
	int what = 0;

	while (what_names[what] &&
	       (strlen(what_names[what]) != len || memcmp(what_names[what], text, len) != 0))
		what++;
	if (what == AGG_COUNT && !dot) {
		*sort = (struct agg_sort){ .what = AGG_COUNT };
		return 0;
	}
	if (what >= AGG_HIST || !spec->columns[what].n)
		return bad_sort(text, err);
	columns = &spec->columns[what];
	for (int i = 0; i < columns->n; i++) {
		if (dot && !str_eq(spec->values[columns->value[i]].name, dot + 1))
			continue;
		*sort = (struct agg_sort){ (enum agg_what)what, columns->value[i] };
		return 0;
	}
	return bad_sort(text, err);
}

struct agg_sort agg_spec_default_sort(const struct agg_spec *spec)
{
	if (!spec->columns[AGG_SUM].n)
		return (struct agg_sort){ .what = AGG_COUNT };
	return (struct agg_sort){ AGG_SUM, spec->columns[AGG_SUM].value[0] };
}

bool agg_spec_same(const struct agg_spec *a, const struct agg_spec *b)
{
	if (a->nr_by != b->nr_by || a->nr_values != b->nr_values)
		return false;
	for (int i = 0; i < a->nr_by; i++)
		if (!str_eq(a->by[i], b->by[i]))
			return false;
	for (int i = 0; i < a->nr_values; i++)
		if (!str_eq(a->values[i].name, b->values[i].name) ||
		    a->values[i].whats != b->values[i].whats)
			return false;
	return true;
}
