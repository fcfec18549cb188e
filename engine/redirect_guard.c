/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <bpf/libbpf.h>
#include "log.h"
#include "redirect_guard.h"
#include "redirect_priv.h"
#include "util.h"

/* Like that of stop: what still has a reader that does not read goes by TCP until it closes. */
#define STOP_NS (10 * NSEC_PER_SEC)

/*
 * Closes all but these, which are sorted upwards first: who reads what this process writes must see it end with
 * its parent, and the parent's probes must be gone with it.
 */
static void close_others(int *keep, unsigned int n)
{
	unsigned int from = 0;
	int fd;

	for (unsigned int i = 1; i < n; i++)
		for (unsigned int k = i; k && keep[k - 1] > keep[k]; k--) {
			int swap = keep[k];

			keep[k] = keep[k - 1];
			keep[k - 1] = swap;
		}
	for (unsigned int i = 0; i < n; i++) {
		if ((unsigned int)keep[i] > from)
			close_range(from, (unsigned int)keep[i] - 1, 0);
		from = (unsigned int)keep[i] + 1;
	}
	close_range(from, ~0U, 0);
	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		;
	close_fd(&fd);
}

/* A terminal's Ctrl-C and a service manager's SIGTERM are the parent's business: it dismisses us. */
static void stand_aside(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, "bpfnet-guard");
}

/* True: the parent has sent a byte, so has let all go itself. False: it is dead. */
static bool is_dismissed(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* Only what looks after sockets is taken along; the maps' memory is, too. */
__attribute__((noreturn)) static void guard(const struct redirect *parent, int fd)
{
	struct redirect r = {
		.flows_fd = parent->flows_fd,
		.waking_fd = parent->waking_fd,
		.sweep_fd = parent->sweep_fd,
		.waker = parent->waker,
		.config = parent->config,
		.totals = parent->totals,
	};
	int keep[] = { fd, r.flows_fd, r.waking_fd, r.sweep_fd, bpf_link__fd(r.waker) };

	stand_aside();
	close_others(keep, ARRAY_SIZE(keep));
	if (!is_dismissed(fd))
		redirect_stop(&r, STOP_NS);
	_exit(0);
}

void redirect_guard_start(struct redirect *r)
{
	int pair[2];
	pid_t pid;

	/* not a pipe: a write to a child that was killed is to be an error and no signal */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		log_msg(LOG_WARN, "redirect: nobody to look after it if killed: %s",
			errno_name(errno));
		return;
	}
	pid = fork();
	if (!pid)
		guard(r, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		log_msg(LOG_WARN, "redirect: nobody to look after it if killed: fork: %s",
			errno_name(errno));
		close(pair[0]);
		return;
	}
	r->guard_pid = pid;
	r->guard_fd = pair[0];
}

void redirect_guard_end(struct redirect *r)
{
	if (!r->guard_pid)
		return;
	send(r->guard_fd, "", 1, MSG_NOSIGNAL);
	close_fd(&r->guard_fd);
	while (waitpid(r->guard_pid, NULL, 0) < 0 && errno == EINTR)
		;
	r->guard_pid = 0;
}
