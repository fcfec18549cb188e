/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include "redirect_wake.h"
#include "util.h"

/* Opens the namespace if a process has it by that link. -ENOENT: it is another one. */
static int open_if(const char *path, uint32_t netns)
{
	struct stat st;
	int fd;

	if (stat(path, &st) || st.st_ino != netns)
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET)
		return fd;
	close_fd(&fd);
	return -ENOENT;
}

/* One that a process holds open: that is how runtimes keep those without processes. */
static int open_held(const char *pid, uint32_t netns)
{
	char path[512], link[64], want[64];
	struct dirent *e;
	int fd = -ENOENT;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	snprintf(want, sizeof(want), "net:[%u]", netns);
	dir = opendir(path);
	while (dir && fd < 0 && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);

		if (n < 0)
			continue;
		link[n] = '\0';
		if (!str_eq(link, want))
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s/fd/%s", pid, e->d_name);
		fd = open_if(path, netns);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* A descriptor of the namespace; -ENOENT if no process is in it or holds it. */
static int open_netns(uint32_t netns)
{
	DIR *proc = opendir("/proc");
	char path[64];
	struct dirent *e;
	int fd = -ENOENT;

	while (proc && fd < 0 && (e = readdir(proc))) {
		if (atoi(e->d_name) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/ns/net", atoi(e->d_name));
		fd = open_if(path, netns);
	}
	if (proc)
		rewinddir(proc);
	while (proc && fd < 0 && (e = readdir(proc)))
		if (atoi(e->d_name) > 0)
			fd = open_held(e->d_name, netns);
	if (proc)
		closedir(proc);
	return fd;
}

struct visit {
	int netns_fd;
	int iter_fd;
	int rc;
};

static void *visit(void *arg)
{
	struct visit *v = arg;
	char none[64];
	int fd;

	if (setns(v->netns_fd, CLONE_NEWNET)) {
		v->rc = -errno;
		return NULL;
	}
	fd = bpf_iter_create(v->iter_fd);
	if (fd < 0) {
		v->rc = -errno;
		return NULL;
	}
	while (read(fd, none, sizeof(none)) > 0)
		;
	close(fd);
	return NULL;
}

/* A thread of its own, whose namespace nobody else has. */
int redirect_wake_in(uint32_t netns, int iter_fd)
{
	struct visit v = { .netns_fd = open_netns(netns), .iter_fd = iter_fd };
	pthread_t thread;
	int rc;

	if (v.netns_fd < 0)
		return v.netns_fd;
	rc = -pthread_create(&thread, NULL, visit, &v);
	if (!rc)
		pthread_join(thread, NULL);
	close(v.netns_fd);
	return rc ? rc : v.rc;
}
