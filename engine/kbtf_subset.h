/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* kbtf_subset.h - between kbtf.c, which reads the kernel's BTF, and those that use its types. */
#ifndef BPFNET_KBTF_SUBSET_H
#define BPFNET_KBTF_SUBSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct btf;
struct btf_type;

struct kbtf {
	char *data;
	size_t size;
	bool mapped;
	const char *types;
	const char *strings;
	uint32_t *at; /* offset of type id from `types` */
	uint32_t n; /* ids are below it */
};

struct kbtf_bytes {
	char *data;
	size_t size;
};

static inline const struct btf_type *kbtf_type(const struct kbtf *k, uint32_t id)
{
	return (const void *)(k->types + k->at[id]);
}

/* The kernel's, read if it is not; till kbtf_release(). NULL if it can't be read. */
const struct kbtf *kbtf_kernel(void);
size_t kbtf_type_size(const struct btf_type *t);
/* BTF of the structs and enums that `local` names, as the kernel has them. 0 or -ENOMEM. */
int kbtf_make_subset(const struct kbtf *k, const struct btf *local, struct kbtf_bytes *out);

#endif
