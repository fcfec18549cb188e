/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Verdicts of the filter `pod`: entries like others, but one may come, change and go at any time. */
#include <errno.h>
#include <string.h>
#include "filter.h"
#include "filter_priv.h"
#include "util.h"

const char *filter_pod_word(int i)
{
	static const char *const words[] = { "pod",   "namespace", "container",
					     "image", "runtime",   "sidecar",
					     "label", "where",     NULL };

	return words[i];
}

bool filter_is_pod_word(const char *name)
{
	for (int i = 0; filter_pod_word(i); i++)
		if (str_eq(filter_pod_word(i), name))
			return true;
	return false;
}

static int pod_kind(const struct filter_kinds *kinds)
{
	for (int i = 0; i < kinds->n; i++)
		if (str_eq(kinds->kind[i].name, "pod"))
			return kinds->kind[i].number;
	return -1;
}

bool filter_kinds_pod(const struct filter_kinds *kinds)
{
	return pod_kind(kinds) >= 0;
}

void filter_use_pod(struct filter *f)
{
	f->active |= 1ULL << pod_kind(f->kinds);
}

int filter_add_pod(struct filter *f, uint64_t key, enum pod_verdict verdict)
{
	struct err err;
	struct filter_entry *e = filter_new_entry(f, pod_kind(f->kinds), &err);

	if (!e)
		return err.code;
	memcpy(e->value, &key, sizeof(key));
	e->verdict = verdict;
	return 0;
}

static struct filter_entry *find(struct filter *f, uint64_t key)
{
	uint32_t kind = (uint32_t)pod_kind(f->kinds);

	/* from the end: what changes is mostly new */
	for (int i = f->n - 1; i >= 0; i--)
		if (f->entries[i].kind == kind && !memcmp(f->entries[i].value, &key, sizeof(key)))
			return &f->entries[i];
	return NULL;
}

int filter_set_pod(struct filter *f, struct filter_maps *maps, uint64_t key,
		   enum pod_verdict verdict)
{
	struct filter_entry *e = find(f, key);
	int rc;

	if (verdict == POD_UNDECIDED) {
		if (!e)
			return 0;
		if (maps)
			filter_maps_delete(maps, e);
		*e = f->entries[--f->n];
		return 0;
	}
	if (!e) {
		rc = filter_add_pod(f, key, verdict);
		if (rc)
			return rc;
		e = &f->entries[f->n - 1];
	}
	e->verdict = verdict;
	return maps ? filter_maps_set(maps, e) : 0;
}
