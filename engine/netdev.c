/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "netdev.h"
#include "util.h"

#define MAX_SEEN 4096

struct search {
	const char *name;
	bool found;
	ino_t seen[MAX_SEEN]; /* namespaces that have been looked at */
	int nr_seen;
};

/* A line of it begins with the device's name and a colon. */
static bool dev_file_has(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	size_t len = strlen(name);
	char line[512];
	bool has = false;

	while (f && !has && fgets(line, sizeof(line), f)) {
		const char *s = line + strspn(line, " ");

		has = !strncmp(s, name, len) && s[len] == ':';
	}
	if (f)
		fclose(f);
	return has;
}

/* Remembers a namespace; false if it was known, or there are too many. */
static bool is_new(struct search *s, ino_t ino)
{
	for (int i = 0; i < s->nr_seen; i++)
		if (s->seen[i] == ino)
			return false;
	if (s->nr_seen == MAX_SEEN) {
		s->found = true; /* not worth more: give it the benefit of the doubt */
		return false;
	}
	s->seen[s->nr_seen++] = ino;
	return true;
}

static void look_at_process(struct search *s, const char *pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", pid);
	if (stat(path, &st) || !is_new(s, st.st_ino))
		return;
	snprintf(path, sizeof(path), "/proc/%.20s/net/dev", pid);
	s->found |= dev_file_has(path, s->name);
}

/* A namespace that no process need be in: enter it and come back. */
static void look_at_named(struct search *s, const char *file)
{
	int back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "/run/netns/%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (back >= 0 && fd >= 0 && !fstat(fd, &st) && is_new(s, st.st_ino)) {
		if (setns(fd, CLONE_NEWNET)) {
			s->found = true; /* not allowed */
		} else {
			s->found |= if_nametoindex(s->name) != 0;
			if (setns(back, CLONE_NEWNET))
				abort(); /* nothing that follows would be right */
		}
	}
	close_fd(&fd);
	close_fd(&back);
}

static void look_in(struct search *s, const char *dir, bool numbers,
		    void (*look)(struct search *s, const char *entry))
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && !s->found && (e = readdir(d)))
		if (numbers ? isdigit((unsigned char)*e->d_name) : *e->d_name != '.')
			look(s, e->d_name);
	if (d)
		closedir(d);
}

bool netdev_exists(const char *name)
{
	struct search *s;
	bool found;

	if (if_nametoindex(name))
		return true;
	s = calloc(1, sizeof(*s));
	if (!s)
		return true;
	s->name = name;
	look_in(s, "/proc", true, look_at_process);
	look_in(s, "/run/netns", false, look_at_named);
	found = s->found;
	free(s);
	return found;
}
