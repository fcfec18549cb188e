/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "points_letgo.h"
#include "util.h"

#define FEW 3 /* are closed here */

void letgo_add(struct letgo *l, int *fd)
{
	if (*fd < 0)
		return;
	if (l->n < LETGO_MAX)
		l->fds[l->n++] = *fd;
	else
		close(*fd);
	*fd = -1;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* From first on, below end. */
static void close_between(unsigned int first, unsigned int end)
{
	if (first >= end || !syscall(SYS_close_range, first, end - 1, 0))
		return;
	for (unsigned int fd = first; fd < end && fd < 65536; fd++)
		close((int)fd);
}

static void close_all(const struct letgo *l)
{
	for (int i = 0; i < l->n; i++)
		close(l->fds[i]);
}

/*
 * All other descriptors first: a pipe's reader must not wait for us, nor a map be kept. Then the
 * parent closes its own, and whoever is the last to close has to wait.
 */
static void child(struct letgo *l, int parent)
{
	unsigned int next = 0;
	char end;

	l->fds[l->n++] = parent;
	qsort(l->fds, (size_t)l->n, sizeof(*l->fds), by_number);
	for (int i = 0; i < l->n; i++) {
		close_between(next, (unsigned int)l->fds[i]);
		next = (unsigned int)l->fds[i] + 1;
	}
	close_between(next, ~0U);
	if (!read(parent, &end, 1))
		close_all(l);
	_exit(0);
}

/* Forks twice, so that it is nobody's child whose end has to be waited for. */
static void leave_to_child(struct letgo *l, int parent)
{
	pid_t pid = fork();

	if (!pid) {
		pid = fork();
		if (pid > 0)
			_exit(0);
		child(l, parent);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void letgo(struct letgo *l)
{
	int ends[2] = { -1, -1 };

	if (l->n > FEW && !pipe2(ends, O_CLOEXEC)) {
		leave_to_child(l, ends[0]);
		close_fd(&ends[0]);
	}
	close_all(l); /* without a child, this waits */
	close_fd(&ends[1]);
	l->n = 0;
}
