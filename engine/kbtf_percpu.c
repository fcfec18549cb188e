/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Where the kernel's per-CPU variables are: BTF lists them with their places. */
#include <errno.h>
#include <bpf/btf.h>
#include "kbtf.h"
#include "kbtf_subset.h"
#include "util.h"

#define PERCPU ".data..percpu"

static void match(const struct kbtf *k, const struct btf_var_secinfo *place,
		  const char *const *names, uint64_t *offsets, int n)
{
	const char *name = k->strings + kbtf_type(k, place->type)->name_off;

	for (int i = 0; i < n; i++)
		if (str_eq(names[i], name))
			offsets[i] = place->offset;
}

int kbtf_percpu(const char *const *names, uint64_t *offsets, int n)
{
	const struct kbtf *k = kbtf_kernel();

	memset(offsets, 0, sizeof(*offsets) * (size_t)n);
	if (!k)
		return -ENOENT;
	/* sections come last */
	for (uint32_t id = k->n - 1; id > 0; id--) {
		const struct btf_type *t = kbtf_type(k, id);

		if (!btf_is_datasec(t) || !str_eq(k->strings + t->name_off, PERCPU))
			continue;
		for (int i = 0; i < btf_vlen(t); i++)
			match(k, &btf_var_secinfos(t)[i], names, offsets, n);
		break;
	}
	return 0;
}
