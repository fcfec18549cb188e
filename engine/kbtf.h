/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * kbtf.h - the running kernel's BTF, read once and only as far as needed.
 *
 * libbpf parses all of it (some 5 MB, 150,000 types) for every object, and searches it for every
 * type: 10 to 20 ms and 12 MB each time. We look up ids ourselves, and hand libbpf a file with just
 * the types that an object names.
 */
#ifndef BPFNET_KBTF_H
#define BPFNET_KBTF_H

#include "err.h"

struct bpf_object;

/* Id of a function or a typedef by name (BTF_KIND_FUNC, BTF_KIND_TYPEDEF); -ENOENT, -errno. */
int kbtf_find(const char *name, int kind);
/*
 * A memory file with the types that the object's relocations may ask for, as BTF; open_opts'
 * btf_custom_path can be /proc/self/fd/N. The caller closes it. -errno with err set.
 */
int kbtf_subset(const struct bpf_object *obj, struct err *err);
/* Gives the memory back; the next call reads again. */
void kbtf_release(void);
/* Makes libbpf load tp_btf, fentry, fexit and iter programs with our ids. Once, before all else. */
void kbtf_register_handlers(void);

#endif
