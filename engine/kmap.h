/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* kmap.h - a BPF map of a probe by name, with keys and values as its BTF describes them. */
#ifndef BPFNET_KMAP_H
#define BPFNET_KMAP_H

#include <stdint.h>
#include "err.h"
#include "record.h"

struct bpf_object;
struct kmap;

/* 0; -ENOENT if the object has no such map; -EINVAL if a script can't see its key or value. */
int kmap_open(struct kmap **map, struct bpf_object *obj, const char *name, struct err *err);
void kmap_close(struct kmap *map);
const struct layout *kmap_key(const struct kmap *map);
const struct layout *kmap_value(const struct kmap *map);
/* Values that one get gives: the number of possible CPUs for a per-CPU map, else 1. */
int kmap_copies(const struct kmap *map);
/* Room for kmap_copies() values, each rounded up to 8 bytes. */
size_t kmap_values_size(const struct kmap *map);
/* 0, or -ENOENT and other -errno. */
int kmap_get(const struct kmap *map, const void *key, void *values);
int kmap_set(const struct kmap *map, const void *key, const void *values);
int kmap_delete(const struct kmap *map, const void *key);
/* The key after `key` (NULL: the first) into `next`; -ENOENT after the last. */
int kmap_next(const struct kmap *map, const void *key, void *next);

#endif
