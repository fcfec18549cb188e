/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <bpf/libbpf.h>
#include "caps.h"
#include "globals.h"
#include "probe_setup.h"
#include "util.h"

/* one line of `tally` and TALLY_SLOTS of bpf/probe.h */
#define TALLY_SLOTS 64

struct tally_slot {
	uint64_t dropped;
	uint64_t filtered;
	uint64_t untracked;
	uint64_t pad[5];
};

void probe_setup_constants(struct bpf_object *obj, uint32_t number)
{
	uint32_t *probe = globals_find(obj, ".rodata", "cfg_probe", sizeof(*probe));
	bool *cookie = globals_find(obj, ".rodata", "cfg_cookie", sizeof(*cookie));

	if (probe)
		*probe = number;
	if (cookie)
		*cookie = caps_cookie();
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
	}
}
