/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "prompt_history.h"
#include "util.h"

/* A file that has grown to MAX_BYTES is cut to its last KEEP_BYTES. */
#define MAX_BYTES  (256 << 10)
#define KEEP_BYTES (128 << 10)

/* -1: there is none, or it is not just ours. */
static int open_file(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char path[512];
	struct stat st;
	int fd;

	if (state && *state == '/')
		snprintf(path, sizeof(path), "%s/bpfnet_history", state);
	else if (home && *home == '/')
		snprintf(path, sizeof(path), "%s/.bpfnet_history", home);
	else
		return -1;
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd >= 0 &&
	    (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || fchmod(fd, 0600)))
		close_fd(&fd);
	return fd;
}

/* The last bytes of the file from the start of a line on, NULL if there are none. */
static char *read_end(int fd, size_t max, size_t *len)
{
	struct stat st;
	char *text, *start;
	ssize_t n;
	off_t from;

	if (fstat(fd, &st) || !st.st_size)
		return NULL;
	from = st.st_size > (off_t)max ? st.st_size - (off_t)max : 0;
	text = malloc(max + 1);
	n = text ? pread(fd, text, max, from) : -1;
	if (n <= 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	start = from ? memchr(text, '\n', (size_t)n) : NULL;
	start = start ? start + 1 : text;
	*len = (size_t)(text + n - start);
	memmove(text, start, *len + 1);
	return text;
}

void history_load(void (*fn)(void *arg, const char *line), void *arg)
{
	int fd = open_file();
	size_t len;
	char *text, *line, *save = NULL;

	if (fd < 0)
		return;
	flock(fd, LOCK_SH);
	text = read_end(fd, MAX_BYTES, &len);
	close_fd(&fd);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		fn(arg, line);
	free(text);
}

/* In place, so that another session that holds the file open goes on in it. */
static void cut(int fd)
{
	size_t len;
	char *text = read_end(fd, KEEP_BYTES, &len);

	if (text && !ftruncate(fd, 0) && write(fd, text, len) != (ssize_t)len)
		ftruncate(fd, 0); /* the disk is full: a short one is better than half a line */
	free(text);
}

void history_append(const char *line)
{
	struct stat st;
	size_t len = strlen(line);
	char *whole;
	int fd;

	if (!len || *line == ' ' || strchr(line, '\n') || len > KEEP_BYTES / 16)
		return;
	fd = open_file();
	whole = malloc(len + 2);
	if (fd >= 0 && whole) {
		snprintf(whole, len + 2, "%s\n", line);
		flock(fd, LOCK_EX);
		if (!fstat(fd, &st) && st.st_size > MAX_BYTES)
			cut(fd);
		if (write(fd, whole, len + 1) < 0)
			errno = 0; /* this line is forgotten */
	}
	free(whole);
	close_fd(&fd);
}
