/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_kernels.h - kernels whose sockmaps are known to go wrong under a redirect.
 *
 * Judged by the upstream version: a distribution that keeps 6.1.0 in its name and takes over single
 * fixes can only be judged where it says which upstream version it is at (Debian, Ubuntu).
 */
#ifndef BPFNET_REDIRECT_KERNELS_H
#define BPFNET_REDIRECT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Versions are "6.12.8" or "6.13", in ascending order and divided by a space. The last one is
 * mainline's; those before it are of stable branches, each of its branch only. A branch that is not
 * named has what mainline had when it began.
 */
struct redirect_kernel {
	const char *since; /* the first bad versions */
	const char *fixed; /* the first good ones */
	const char *what; /* what happens, as the end of "kernel 6.1.94: ..." */
	const char *source; /* a commit's subject, a CVE */
	bool warns; /* no reason to refuse, but users must know it */
	bool likely; /* a version in it is inferred, not read in a record */
};

/* All of them, the worst first; `since` is NULL after the last. */
extern const struct redirect_kernel redirect_kernels[];

/* The patch level is -1 before the branch's first release (6.18-rc5). */
struct kernel_version {
	int major, minor, patch;
};

/*
 * From what uname() calls release and version; in the place of the latter the line of
 * /proc/version_signature where there is one (Ubuntu). False if they don't tell the upstream version.
 */
bool redirect_kernel_version(const char *release, const char *version, struct kernel_version *v);

/* The next row after `after`, or the first if NULL, that this version is in. NULL after the last. */
const struct redirect_kernel *redirect_kernel_next(const struct kernel_version *v,
						   const struct redirect_kernel *after);

/* The first row that is a reason to refuse; NULL if none is known or the version can't be told. */
const struct redirect_kernel *redirect_kernel_known_bad(const char *release, const char *version);

/* "6.1.95": the version to go to; mainline's if this branch never got the fix. */
void redirect_kernel_fixed_in(const struct redirect_kernel *row, const struct kernel_version *v,
			      char *text, size_t size);

/* What redirect_kernel_version() wants of the kernel that runs: two texts. 0 or -errno. */
int redirect_kernel_here(char *release, char *version, size_t size);

#endif
