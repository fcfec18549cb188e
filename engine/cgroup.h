/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cgroup.h - where cgroup v2 is, and directories in it by name. */
#ifndef BPFNET_CGROUP_H
#define BPFNET_CGROUP_H

#include "err.h"

/* Where it is mounted, from this process's mount table; NULL: nowhere. */
const char *cgroup_root(void);
/*
 * The directory that `name` means: a path, or one relative to the root ("shop.slice", "/"). The
 * caller frees it. -ENOENT: there is no cgroup v2, or no such directory; -EINVAL: it is no cgroup.
 */
int cgroup_path(char **path, const char *name, struct err *err);
/*
 * The directory of the Kubernetes pod with that uid, in either way that runtimes write it. The caller
 * frees it. -ENOENT: there is none here.
 */
int cgroup_of_pod(char **path, const char *uid, struct err *err);

#endif
