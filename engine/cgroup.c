/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include "cgroup.h"
#include "util.h"

#define CGROUP2_MAGIC 0x63677270 /* CGROUP2_SUPER_MAGIC */
#define TMPFS_MAGIC   0x01021994

const char *cgroup_root(void)
{
	static char root[PATH_MAX];
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *m;

	*root = '\0';
	while (mounts && !*root && (m = getmntent(mounts)))
		if (str_eq(m->mnt_type, "cgroup2"))
			snprintf(root, sizeof(root), "%s", m->mnt_dir);
	if (mounts)
		endmntent(mounts);
	return *root ? root : NULL;
}

static bool is_cgroup(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
}

/* The usual place is taken then, and what is mounted there must not be hidden. */
static bool v1_is_there(void)
{
	struct statfs fs;

	return statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

int cgroup_path(char **out, const char *name, struct err *err)
{
	const char *root = cgroup_root();
	char path[PATH_MAX];

	*out = NULL;
	if (!root) {
		err_set(err, -ENOENT, "cgroup v2 is not mounted");
		err_hint(err, "mount -t cgroup2 none %s",
			 v1_is_there() ? "/sys/fs/cgroup/unified (make that directory first)" :
					 "/sys/fs/cgroup");
		return -ENOENT;
	}
	if (*name == '/' && realpath(name, path) && is_cgroup(path)) {
		*out = strdup(path);
		return *out ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (access(path, F_OK) == 0 && is_cgroup(path)) {
		*out = realpath(path, NULL);
		return *out ? 0 : err_sys(err, -errno, "cgroup \"%s\"", name);
	}
	if (access(name, F_OK) == 0) {
		err_set(err, -EINVAL, "\"%s\" is not a cgroup v2 directory", name);
		err_hint(err, "cgroup v2 is mounted at %s", root);
		return -EINVAL;
	}
	err_set(err, -ENOENT, "there is no cgroup \"%s\"", name);
	err_hint(err, "give a directory below %s, or a name relative to it", root);
	return -ENOENT;
}

/* What the walk looks for, and where it was: nftw() hands nothing through. */
static struct {
	char uid[64];
	char *found;
} search;

/* "pod<uid>" or "kubepods-...-pod<uid>.slice", whose uid has _ for -. */
static int is_the_pod(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *name = path + at->base, *pod = strstr(name, "pod");
	size_t len = strlen(search.uid);

	(void)st;
	while (type == FTW_D && pod) {
		const char *uid = pod + 3;
		size_t i = 0;

		while (i < len &&
		       (uid[i] == search.uid[i] || (uid[i] == '_' && search.uid[i] == '-')))
			i++;
		if (i == len && (uid[i] == '\0' || uid[i] == '.')) {
			search.found = strdup(path);
			return 1;
		}
		pod = strstr(uid, "pod");
	}
	return 0;
}

int cgroup_of_pod(char **path, const char *uid, struct err *err)
{
	const char *root = cgroup_root();

	*path = search.found = NULL;
	if (!root)
		return cgroup_path(path, uid, err);
	snprintf(search.uid, sizeof(search.uid), "%s", uid);
	nftw(root, is_the_pod, 32, FTW_PHYS);
	*path = search.found;
	return *path ? 0 :
		       err_set(err, -ENOENT, "there is no cgroup of a pod with uid \"%s\"", uid);
}
