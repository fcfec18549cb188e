/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <bpf/libbpf.h>
#include "caps.h"
#include "context.h"
#include "globals.h"
#include "probe_setup.h"
#include "util.h"

/* one line of `tally` and TALLY_SLOTS of bpf/probe.h */
#define TALLY_SLOTS 64

struct tally_slot {
	uint64_t dropped;
	uint64_t filtered;
	uint64_t untracked;
	uint64_t sampled;
	uint64_t limited;
	uint64_t aggregated;
	uint64_t pad[2];
};

static void set_constants(struct bpf_object *obj, uint32_t number)
{
	uint32_t *probe = globals_find(obj, ".rodata", "cfg_probe", sizeof(*probe));
	bool *cookie = globals_find(obj, ".rodata", "cfg_cookie", sizeof(*cookie));

	if (probe)
		*probe = number;
	if (cookie)
		*cookie = caps_cookie();
	context_setup(obj);
}

/*
 * Before 6.1 a hash may only take memory that was set aside (the kernel warns in its log), so it
 * is set aside, and kept moderate.
 */
static void preallocate(struct bpf_object *obj)
{
	const uint32_t most = 65536;
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_HASH ||
		    !(bpf_map__map_flags(map) & BPF_F_NO_PREALLOC))
			continue;
		bpf_map__set_map_flags(map, bpf_map__map_flags(map) & ~(uint32_t)BPF_F_NO_PREALLOC);
		if (bpf_map__max_entries(map) > most)
			bpf_map__set_max_entries(map, most);
	}
}

void probe_setup(struct bpf_object *obj, uint32_t number)
{
	set_constants(obj, number);
	if (!caps_map_alloc())
		preallocate(obj);
}

void probe_read_tally(const struct bpf_object *obj, struct tally *tally)
{
	const volatile struct tally_slot *slots =
		globals_find(obj, ".bss", "tally", sizeof(*slots) * TALLY_SLOTS);

	memset(tally, 0, sizeof(*tally));
	for (int i = 0; slots && i < TALLY_SLOTS; i++) {
		tally->dropped += slots[i].dropped;
		tally->filtered += slots[i].filtered;
		tally->untracked += slots[i].untracked;
		tally->sampled += slots[i].sampled;
		tally->limited += slots[i].limited;
		tally->aggregated += slots[i].aggregated;
	}
}
