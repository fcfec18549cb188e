/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "redirect_owner.h"
#include "util.h"

/* The descriptor of the socket in process pid, -ENOENT if it has none. */
static int find_fd(int pid, uint64_t ino)
{
	char path[64], link[64], want[64];
	struct dirent *e;
	int found = -ENOENT;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	snprintf(want, sizeof(want), "socket:[%llu]", (unsigned long long)ino);
	dir = opendir(path);
	while (dir && found < 0 && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);

		if (n < 0)
			continue;
		link[n] = '\0';
		if (str_eq(link, want))
			found = atoi(e->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool socket_is_of(uint64_t ino, const int *pids, int n)
{
	for (int i = 0; i < n; i++)
		if (find_fd(pids[i], ino) >= 0)
			return true;
	return false;
}
