/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter.h - values that a script gives for a probe's filters, and their way into the kernel.
 *
 * A filter is a set of kinds, each with values of which one must fit; all kinds must fit. What the
 * kernel side looks like is in bpf/filter.h.
 */
#ifndef BPFNET_FILTER_H
#define BPFNET_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include "err.h"
#include "record.h"

struct btf;
struct bpf_object;
struct filter;
struct filter_maps;

/* What a probe can filter by: the names in its enum filter_kind. "" ends the list. */
struct filter_kinds {
	struct {
		const char *name;
		int number;
	} kind[32];
	int n;
	char text[512]; /* owns the names */
};

/* n is 0 for a probe without filters. */
void filter_kinds_read(struct filter_kinds *kinds, const struct btf *btf);

struct filter *filter_new(const struct filter_kinds *kinds);
void filter_free(struct filter *filter);
/* Adds one value. 0, or -EINVAL: no such filter, or not a value for it; says what was expected. */
int filter_add(struct filter *filter, const char *name, const struct value *value, struct err *err);

/*
 * The filter `pod` is decided in user space, where names are known: a verdict for each key, which is a
 * cgroup's id for sockets and a namespace's inode for packets. Numbers as in enum pod_verdict of
 * bpf/filter_set.h. What has no verdict is passed by the kernel and judged when it arrives; for packets the key
 * 0 has the verdict of all namespaces without one.
 */
enum pod_verdict { POD_UNDECIDED, POD_WANTED, POD_UNWANTED, POD_NONE, POD_NONE_WANTED };

/* What a script gives for it: "pod", "namespace", ...; NULL behind the last one. */
const char *filter_pod_word(int i);
bool filter_is_pod_word(const char *name);
/* Has the probe that filter? */
bool filter_kinds_pod(const struct filter_kinds *kinds);
/* Puts it in force, with no verdicts yet. */
void filter_use_pod(struct filter *filter);
/* Adds a verdict for a key that has none. 0; -E2BIG: no room, it stays undecided; -ENOMEM */
int filter_add_pod(struct filter *filter, uint64_t key, enum pod_verdict verdict);
/* The same for any key; POD_UNDECIDED takes it back. maps: where the filter is in force, or NULL. */
int filter_set_pod(struct filter *filter, struct filter_maps *maps, uint64_t key,
		   enum pod_verdict verdict);

/* The maps of a loaded object; nothing of them is owned. 0, or -ENOENT. */
int filter_maps_open(struct filter_maps **maps, struct bpf_object *obj, struct err *err);
void filter_maps_close(struct filter_maps *maps);
/*
 * Puts the filter in force, for all CPUs at one moment; NULL lets everything pass.
 * 0, or -errno, and then the old one is still in force.
 */
int filter_apply(struct filter_maps *maps, const struct filter *filter, struct err *err);

/* The bytes that are looked up; for tests. */
struct filter_entry {
	uint32_t kind;
	uint32_t prefixlen; /* of a network, without the 32 bits of kind; UINT32_MAX: an exact value */
	uint32_t verdict; /* what the map holds under it: enum pod_verdict */
	uint8_t value[16];
};
int filter_entries(const struct filter *filter, const struct filter_entry **entries);

#endif
