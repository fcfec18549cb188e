/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
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

static void close_between(unsigned int first, unsigned int last)
{
	if (first <= last && syscall(SYS_close_range, first, last, 0) && last < 65536)
		for (unsigned int fd = first; fd <= last; fd++)
			close((int)fd);
}

static void close_all(const struct letgo *l)
{
	for (int i = 0; i < l->n; i++)
		close(l->fds[i]);
}

/* All other descriptors first: a pipe's reader must not wait for us, nor a map be kept. */
static void child(struct letgo *l)
{
	unsigned int next = 0;

	qsort(l->fds, (size_t)l->n, sizeof(*l->fds), by_number);
	for (int i = 0; i < l->n; i++) {
		close_between(next, (unsigned int)l->fds[i] - 1);
		next = (unsigned int)l->fds[i] + 1;
	}
	close_between(next, ~0U);
	close_all(l);
	_exit(0);
}

/* Twice, so that it is nobody's child whose end has to be waited for. */
static void leave_to_child(struct letgo *l)
{
	pid_t pid = fork();

	if (!pid) {
		pid = fork();
		if (pid > 0)
			_exit(0);
		child(l);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void letgo(struct letgo *l)
{
	if (l->n > FEW)
		leave_to_child(l);
	/* who is not the last to close has nothing to wait for; without a child it waits */
	close_all(l);
	l->n = 0;
}
