/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

/* A descriptor of our own for another process's. */
static int borrow_fd(int pid, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), ours;

	if (pidfd < 0)
		return -errno;
	ours = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (ours < 0)
		ours = -errno;
	close(pidfd);
	return ours;
}

/* tcp_set_rcvlowat() signals at once if there is enough to read. */
static int set_again(int fd)
{
	int low = 1;
	socklen_t len = sizeof(low);

	if (getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, &len) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, len))
		return -errno;
	return 0;
}

static int poke_in(int pid, uint64_t ino)
{
	int fd = find_fd(pid, ino), ours, rc;

	if (fd < 0)
		return -ENOENT;
	ours = borrow_fd(pid, fd);
	if (ours < 0)
		return ours;
	rc = set_again(ours);
	close(ours);
	return rc;
}

int socket_poke(uint64_t ino)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int rc = -ENOENT;

	while (proc && rc == -ENOENT && (e = readdir(proc)))
		if (atoi(e->d_name) > 0)
			rc = poke_in(atoi(e->d_name), ino);
	if (proc)
		closedir(proc);
	return rc;
}
