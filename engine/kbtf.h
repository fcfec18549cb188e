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

#include <stdint.h>
#include <stdint.h>
#include "err.h"

struct bpf_object;
struct bpf_prog_load_opts;

/* Id of a function or a typedef by name (BTF_KIND_FUNC, BTF_KIND_TYPEDEF); -ENOENT, -errno. */
int kbtf_find(const char *name, int kind);
struct kbtf_query {
	char name[64];
	int kind;
	int id; /* the answer; -ENOENT */
};
/* The same for n names in one pass, some 10 ms for a hundred. 0 or -errno. */
int kbtf_find_all(struct kbtf_query *list, int n);
/* How many arguments the function of that id has; -errno. */
int kbtf_nr_args(int id);
/*
 * Calls each(arg, i, name, value) for the enumerators of every names[i] that the kernel has an enum
 * of, until that returns something else than 0, which is returned. 0 or -errno. The texts are not to
 * be kept. What was not read before is given back at the end.
 */
int kbtf_enums(const char *const *names, int n,
	       int (*each)(void *arg, int i, const char *name, uint32_t value), void *arg);
/*
 * A memory file with the types that the object's relocations may ask for, as BTF; open_opts'
 * btf_custom_path can be /proc/self/fd/N. The caller closes it. -errno with err set.
 */
int kbtf_subset(const struct bpf_object *obj, struct err *err);
/*
 * Fills in what the kernel has to know to load a program for section `sec` of a kind for tracing
 * ("fentry/tcp_close"); other kinds need nothing. 0; -ENOENT: no such function; -errno.
 */
int kbtf_attach_opts(const char *sec, struct bpf_prog_load_opts *opts);
/*
 * Offsets in the per-CPU area of variables by name; 0 where there is none. 0 or -errno.
 */
int kbtf_percpu(const char *const *names, uint64_t *offsets, int n);
/* Gives the memory back; the next call reads again. */
void kbtf_release(void);
/* Makes libbpf load tp_btf, fentry, fexit and iter programs with our ids. Once, before all else. */
void kbtf_register_handlers(void);

#endif
