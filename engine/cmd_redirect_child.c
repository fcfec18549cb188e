/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "cmd_redirect_child.h"
#include "util.h"

#define ON       "redirect: on"
#define START_MS 20000
#define STOP_MS  10000

static volatile sig_atomic_t interrupted;
static pid_t child;
static int output = -1; /* of the child */

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void redirect_child_catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: waiting ends */

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

/* In a group of its own: Ctrl-C is for the parent, which ends it in its turn. */
__attribute__((noreturn)) static void exec_redirect(const char *cgroup, int out)
{
	const char *argv[] = {
		"bpfnet", "redirect", "--cgroup", cgroup, "--quiet", NULL,
	};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execv("/proc/self/exe", (char **)argv);
	_exit(127);
}

/* Adds what it says to text; -ETIMEDOUT, -EINTR, -ECHILD if it has ended. */
static int read_more(char *text, size_t room, uint64_t end_ns)
{
	struct pollfd p = { .fd = output, .events = POLLIN };
	size_t have = strlen(text);
	uint64_t now = now_ns();
	ssize_t n;

	if (interrupted)
		return -EINTR;
	if (now >= end_ns || have + 1 >= room)
		return -ETIMEDOUT;
	if (poll(&p, 1, (int)((end_ns - now) / NSEC_PER_MSEC) + 1) <= 0)
		return 0; /* the next call says why */
	n = read(output, text + have, room - 1 - have);
	if (n <= 0)
		return -ECHILD;
	text[have + (size_t)n] = '\0';
	return 0;
}

/* What it said is the error: the first line, without its own name for itself. */
static int say_why(struct err *err, int rc, char *text)
{
	const char *line = text;

	text[strcspn(text, "\n")] = '\0';
	if (rc == -EINTR)
		return err_set(err, rc, "interrupted");
	if (rc == -ETIMEDOUT)
		return err_set(err, rc, "the redirect is not on after %d s", START_MS / 1000);
	if (str_starts(line, "bpfnet redirect: "))
		line += strlen("bpfnet redirect: ");
	return err_set(err, rc, "no redirect: %s", *line ? line : "it ended without a word");
}

int redirect_child_start(const char *cgroup, struct err *err)
{
	uint64_t end_ns = now_ns() + START_MS * NSEC_PER_MSEC;
	char text[2048] = "";
	int fds[2], rc = 0;

	if (pipe2(fds, O_CLOEXEC))
		return err_sys(err, -errno, "pipe");
	child = fork();
	if (child < 0) {
		rc = err_sys(err, -errno, "fork");
		child = 0;
	} else if (!child) {
		exec_redirect(cgroup, fds[1]);
	}
	close(fds[1]);
	output = fds[0];
	if (rc)
		return rc;
	while (!rc && !strstr(text, ON))
		rc = read_more(text, sizeof(text), end_ns);
	if (!rc)
		return 0;
	redirect_child_stop();
	return say_why(err, rc, text);
}

/* What it says later is of no interest, but must not fill the pipe. */
static void forget_output(void)
{
	struct pollfd p = { .fd = output, .events = POLLIN };
	char text[4096];

	while (poll(&p, 1, 0) > 0 && read(output, text, sizeof(text)) > 0)
		;
}

int redirect_child_check(struct err *err)
{
	forget_output();
	if (interrupted)
		return err_set(err, -EINTR, "interrupted");
	if (child && waitpid(child, NULL, WNOHANG) == child) {
		child = 0;
		return err_set(err, -ECHILD, "the redirect has ended");
	}
	return 0;
}

void redirect_child_stop(void)
{
	uint64_t end_ns = now_ns() + STOP_MS * NSEC_PER_MSEC;

	if (child > 0) {
		kill(child, SIGTERM);
		while (waitpid(child, NULL, WNOHANG) == 0) {
			if (now_ns() > end_ns)
				kill(child, SIGKILL);
			usleep(10000);
		}
	}
	child = 0;
	close_fd(&output);
}
