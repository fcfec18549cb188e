/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdbool.h>
#include <stdint.h>
#include "context.h"
#include "globals.h"
#include "kbtf.h"
#include "util.h"

static const char *const names[] = { "__preempt_count", "pcpu_hot", "runqueues" };
static const char *const constants[] = { "cfg_preempt_count", "cfg_pcpu_hot", "cfg_runqueues" };

void context_setup(struct bpf_object *obj)
{
	/* these don't move while the kernel runs, so once is enough */
	static uint64_t offsets[ARRAY_SIZE(names)];
	static bool known;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t *constant = globals_find(obj, ".rodata", constants[i], sizeof(*constant));

		if (!constant)
			return;
		if (!known)
			known = !kbtf_percpu(names, offsets, ARRAY_SIZE(names));
		*constant = offsets[i];
	}
}
