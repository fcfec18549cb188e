/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdbool.h>
#include <stdint.h>
#include "context.h"
#include "globals.h"
#include "kbtf.h"
#include "ksyms.h"
#include "util.h"

enum { RUNQUEUES = 2 }; /* the place in names */

static const char *const names[] = { "__preempt_count", "pcpu_hot", "runqueues" };
static const char *const constants[] = { "cfg_preempt_count", "cfg_pcpu_hot", "cfg_runqueues" };

/*
 * Before 5.11 or so BTF does not list them; the symbols of per-CPU variables are such offsets too.
 * Only where both are known can the one be found from the other.
 */
static bool find_offsets(uint64_t *offsets)
{
	if (!kbtf_percpu(names, offsets, ARRAY_SIZE(names)) && offsets[RUNQUEUES])
		return true;
	return ksyms_scan(names, offsets, ARRAY_SIZE(names)) >= 0;
}

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
			known = find_offsets(offsets);
		*constant = offsets[i];
	}
}
