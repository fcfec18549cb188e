// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Short connections one after another, as fast as they can be made. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "traffic.h"

#define REQUEST 100
#define ANSWER  1000

static void all_of(int fd, bool out, size_t n)
{
	static char buf[ANSWER];

	while (n) {
		ssize_t done = out ? send(fd, buf, n, MSG_NOSIGNAL) : recv(fd, buf, n, 0);

		if (done <= 0)
			die("%s: %s", out ? "send" : "recv",
			    done ? strerror(errno) : "end of the stream too early");
		n -= done;
	}
}

static void serve_churn(int lfd, const void *arg)
{
	char byte;

	(void)arg;
	alarm(0); /* how long it takes is up to the count */
	for (int i = 0; i < count; i++) {
		int fd = take_plain(lfd);

		all_of(fd, false, REQUEST);
		all_of(fd, true, ANSWER);
		if (recv(fd, &byte, 1, 0))
			die("recv: not the end");
		close(fd);
	}
}

static void churn_client(struct fact *f, const union addr *to)
{
	double start = now();

	for (int i = 0; i < count; i++) {
		int fd = open_plain(to);

		all_of(fd, true, REQUEST);
		all_of(fd, false, ANSWER);
		close(fd);
	}
	f->tx = (now() - start) * 1e6;
	f->rx = count;
}

static pid_t start_client(struct fact *f)
{
	union addr to = sh->server;
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "tr-client");
	wait_for(SEM_GO);
	churn_client(f, &to);
	_exit(0);
}

/* Each pair has a server of its own; all clients begin together. */
void run_churn(void)
{
	alarm(0);
	sh->nfacts = pairs;
	for (int i = 0; i < pairs; i++) {
		sh->fact[i].churn = true;
		sh->fact[i].closer = start_server("127.0.0.1", serve_churn, NULL);
		sh->fact[i].pid = start_client(&sh->fact[i]);
	}
	for (int i = 0; i < pairs; i++)
		tell(SEM_GO);
	for (int i = 0; i < pairs; i++) {
		finish_child(sh->fact[i].pid);
		finish_child(sh->fact[i].closer);
	}
}
