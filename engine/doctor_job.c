/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "doctor_job.h"
#include "util.h"

#define PIECE 4096

/* What is attached stays until the parent says so: shutdown() reaches us whoever else has its end. */
static void child(pid_t parent, int fd, void (*work)(void *arg, int fd), void *arg)
{
	char end;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		work(arg, fd);
	shutdown(fd, SHUT_WR);
	while (read(fd, &end, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

int doctor_job_start(struct doctor_job *job, void (*work)(void *arg, int fd), void *arg)
{
	pid_t parent = getpid();
	int ends[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	job->pid = fork();
	rc = job->pid < 0 ? -errno : 0;
	if (!job->pid) {
		close(ends[0]);
		child(parent, ends[1], work, arg);
	}
	close(ends[1]);
	job->answer = ends[0];
	if (rc) {
		job->pid = 0;
		close_fd(&job->answer);
	}
	return rc;
}

/* False at the end of the answer, and where there is no memory for more of it. */
static bool read_piece(struct doctor_job *job)
{
	char *text = realloc(job->text, job->len + PIECE);
	ssize_t n;

	if (!text)
		return false;
	job->text = text;
	n = read(job->answer, text + job->len, PIECE);
	if (n > 0)
		job->len += (size_t)n;
	return n > 0 || (n < 0 && errno == EINTR);
}

bool doctor_job_wait(struct doctor_job *job, uint64_t deadline_ns)
{
	struct pollfd ready = { .fd = job->answer, .events = POLLIN };

	for (;;) {
		uint64_t now = now_ns();
		int n = now < deadline_ns ?
				poll(&ready, 1, (int)((deadline_ns - now) / NSEC_PER_MSEC) + 1) :
				0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		if (!read_piece(job))
			return true;
	}
}

void doctor_job_dismiss(struct doctor_job *job)
{
	if (job->answer >= 0)
		shutdown(job->answer, SHUT_RDWR);
}

void doctor_job_end(struct doctor_job *job, bool wait)
{
	if (job->pid) {
		if (!wait)
			kill(job->pid, SIGKILL);
		while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
			;
		job->pid = 0;
	}
	close_fd(&job->answer);
	free(job->text);
	job->text = NULL;
	job->len = 0;
}
