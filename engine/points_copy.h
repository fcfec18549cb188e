/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_copy.h - programs of points for one function each, where they can't be shared. */
#ifndef BPFNET_POINTS_COPY_H
#define BPFNET_POINTS_COPY_H

#include <stdbool.h>

struct bpf_program;
struct bpf_prog_load_opts;
struct site;

/* Is the site's program at entry or return a copy for it alone? */
bool point_is_copied(const struct site *site, bool at_return);
/* Fills in what the kernel has to know of a copy and its stub. 0; -ENOENT: no BTF; -errno. */
int point_copy_opts(const struct site *site, bool at_return, struct bpf_prog_load_opts *opts);
/*
 * Loads a copy of a loaded program with the site's numbers in the places of the marks of
 * bpf/points.h. A descriptor or -errno.
 */
int point_copy(const struct bpf_program *prog, const struct site *site, bool at_return);

#endif
