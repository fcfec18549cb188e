/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The kernel's side of filters: two banks, of which one is in force. */
#include <errno.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "filter.h"
#include "filter_priv.h"
#include "globals.h"
#include "util.h"

#define BANK       (1U << 16) /* in kind; see struct filter_key of bpf/filter.h */
#define BANK_SHIFT 32

/* struct filter_key and struct filter_net of bpf/filter.h */
struct filter_key {
	uint32_t kind;
	uint8_t value[16];
};

struct filter_net {
	uint32_t prefixlen;
	uint32_t kind;
	uint8_t addr[16];
};

struct filter_maps {
	int set_fd;
	int nets_fd;
	volatile uint64_t *active;
};

int filter_maps_open(struct filter_maps **out, struct bpf_object *obj, struct err *err)
{
	struct bpf_map *set = bpf_object__find_map_by_name(obj, "filter_set");
	struct bpf_map *nets = bpf_object__find_map_by_name(obj, "filter_nets");
	volatile uint64_t *active = globals_find(obj, ".bss", "filter_active", sizeof(*active));
	struct filter_maps *maps;

	*out = NULL;
	if (!set || !nets || !active)
		return err_set(err, -ENOENT, "the object has no filters");
	maps = calloc(1, sizeof(*maps));
	if (!maps)
		return err_set(err, -ENOMEM, "out of memory");
	maps->set_fd = bpf_map__fd(set);
	maps->nets_fd = bpf_map__fd(nets);
	maps->active = active;
	*out = maps;
	return 0;
}

void filter_maps_close(struct filter_maps *maps)
{
	free(maps);
}

static int set_entry(struct filter_maps *maps, const struct filter_entry *e, uint32_t bank)
{
	struct filter_key key = { .kind = e->kind | bank };
	struct filter_net net = { .prefixlen = 32 + e->prefixlen, .kind = e->kind | bank };
	uint8_t value = (uint8_t)e->verdict;

	if (e->prefixlen == UINT32_MAX) {
		memcpy(key.value, e->value, sizeof(key.value));
		return bpf_map_update_elem(maps->set_fd, &key, &value, BPF_ANY);
	}
	memcpy(net.addr, e->value, sizeof(net.addr));
	return bpf_map_update_elem(maps->nets_fd, &net, &value, BPF_ANY);
}

int filter_maps_set(struct filter_maps *maps, const struct filter_entry *e)
{
	return set_entry(maps, e, (*maps->active >> BANK_SHIFT) & BANK) ? -errno : 0;
}

void filter_maps_delete(struct filter_maps *maps, const struct filter_entry *e)
{
	struct filter_key key = { .kind = e->kind | ((*maps->active >> BANK_SHIFT) & BANK) };

	memcpy(key.value, e->value, sizeof(key.value));
	bpf_map_delete_elem(maps->set_fd, &key);
}

/* Deletes the entries of one bank; `kind_at` is where kind stands in the key. */
static void clear_bank(int fd, size_t kind_at, uint32_t bank)
{
	union {
		struct filter_key key;
		struct filter_net net;
		char bytes[24];
	} cur, next;
	bool more = bpf_map_get_next_key(fd, NULL, &next) == 0;
	uint32_t kind;

	while (more) {
		cur = next;
		more = bpf_map_get_next_key(fd, &cur, &next) == 0;
		memcpy(&kind, cur.bytes + kind_at, sizeof(kind));
		if ((kind & BANK) == bank)
			bpf_map_delete_elem(fd, &cur);
	}
}

int filter_apply(struct filter_maps *maps, const struct filter *filter, struct err *err)
{
	uint32_t bank = (*maps->active >> BANK_SHIFT) & BANK ? 0 : BANK;

	if (!filter || !filter->active) {
		*maps->active = 0;
		return 0;
	}
	/*
	 * What the other bank holds is from the filter before last. It is cleared only now, because
	 * a program that had just read the old filter_active might still have been looking there.
	 */
	clear_bank(maps->set_fd, offsetof(struct filter_key, kind), bank);
	clear_bank(maps->nets_fd, offsetof(struct filter_net, kind), bank);
	for (int i = 0; i < filter->n; i++)
		if (set_entry(maps, &filter->entries[i], bank) &&
		    (errno != E2BIG || filter->entries[i].verdict == FILTER_VALUE))
			return err_sys(err, -errno, "can't write the filter's value %d", i + 1);
	*maps->active = filter->active | (uint64_t)bank << BANK_SHIFT;
	return 0;
}
