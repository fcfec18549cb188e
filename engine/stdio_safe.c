/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "err.h"
#include "stdio_safe.h"

#define UNKNOWN (-1)

static int first_failure;
static pid_t ours;

/* stdio keeps that something failed, but not why. errno still says it, if nothing else has failed since. */
static int why_failed(int last)
{
	switch (last) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EIO:
	case EBADF:
		return last;
	}
	return UNKNOWN;
}

int stdio_flush(void)
{
	int last = errno, rc = fflush(stdout) ? errno : 0;

	if (!first_failure && (rc || ferror(stdout)))
		first_failure = rc ? rc : why_failed(last);
	errno = last;
	return first_failure;
}

/* Children that exit() have a copy of the buffer, and nothing to say about it. */
static void at_exit(void)
{
	int rc = getpid() == ours ? stdio_flush() : 0;

	if (!rc)
		return;
	if (rc == UNKNOWN)
		fprintf(stderr, "bpfnet: can't write to standard output\n");
	else
		fprintf(stderr, "bpfnet: can't write to standard output (%s)\n", errno_name(rc));
	_exit(1);
}

/* Opened the wrong way round: whoever uses it gets EBADF, as if it were closed. */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

void stdio_begin(void)
{
	fill_standard_descriptors();
	ours = getpid();
	atexit(at_exit);
}
