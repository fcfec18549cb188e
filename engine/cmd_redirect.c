/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bpfnet redirect: what it does is written in Lua (lua/bpfnet/redirect.lua), on top of bpf.redirect().
 * Here is what has to happen before there is a Lua state: going to the background.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <lua.h>
#include "cmd.h"
#include "cmd_redirect_host.h"
#include "log.h"
#include "loop.h"
#include "script.h"
#include "util.h"

static const char code[] = "local host = ... host.done(require('bpfnet.redirect').main(arg, host))";

static int run_lua(int argc, char **argv, struct redirect_host *host)
{
	struct script_opts opts = { .ring_bytes = 4096 };
	struct script *s;
	struct err err;
	int status = EXIT_FAILED;

	if (script_new(&s, &opts, &err)) {
		log_msg(LOG_ERROR, "%s", err.msg);
		return EXIT_FAILED;
	}
	script_set_args(s, "redirect", argc, argv);
	if (script_load_string(s, code, strlen(code), "=redirect")) {
		redirect_host_push(script_state(s), host);
		if (script_run_chunk(s, 1))
			status = host->status;
		else if (script_was_interrupted(s))
			status = EXIT_OK;
	}
	if (script_error(s) && status != EXIT_OK)
		log_msg(LOG_ERROR, "%s", script_error(s));
	loop_unwatch(host->output);
	script_free(s);
	return status;
}

/* Where the one who started it waits for a byte, its exit status. */
static int starter = -1;

static bool tell_starter(int status)
{
	unsigned char byte = (unsigned char)status;
	bool told = write(starter, &byte, 1) == 1;

	close_fd(&starter);
	return told;
}

/* It is on: from now on nobody listens. */
static bool on_ready(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	fflush(stdout);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	close_fd(&null);
	return chdir("/") == 0 && tell_starter(EXIT_OK);
}

static bool no_one_waits(void)
{
	return true;
}

static int wait_for(pid_t child, int fd)
{
	unsigned char status;
	ssize_t n;

	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	do
		n = read(fd, &status, 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	return n == 1 ? status : EXIT_FAILED;
}

/*
 * The first fork is for a new session, the second one for a process that is not its leader, so that no
 * terminal can become its own. True in the process that is to go on; *status is for the other one.
 */
static bool go_background(int *status)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC)) {
		log_msg(LOG_ERROR, "pipe: %s", errno_name(errno));
		*status = EXIT_FAILED;
		return false;
	}
	child = fork();
	if (child) {
		close(fds[1]);
		*status = wait_for(child, fds[0]);
		return false;
	}
	/* what was open in the starter, a lock perhaps, is not to stay open */
	starter = dup2(fds[1], STDERR_FILENO + 1);
	close_range((unsigned)starter + 1, ~0U, 0);
	setsid();
	if (fork())
		_exit(0);
	signal(SIGTERM, SIG_DFL); /* it may have been ignored, but is what ends this */
	return true;
}

static int run_detached(int argc, char **argv, struct redirect_host *host)
{
	int status;

	host->detached = true;
	host->ready = on_ready;
	if (!go_background(&status))
		return status;
	status = run_lua(argc, argv, host);
	if (starter >= 0) /* it has never been on */
		tell_starter(status ? status : EXIT_FAILED);
	return status;
}

/* Takes -v and -q out of the arguments, which Lua reads. Returns how many are left. */
static int take_common(int argc, char **argv, struct redirect_host *host)
{
	int n = 0;

	for (int i = 0; i < argc; i++) {
		bool v = str_eq(argv[i], "-v") || str_eq(argv[i], "--verbose");
		bool q = str_eq(argv[i], "-q") || str_eq(argv[i], "--quiet");

		if (!v && !q) {
			argv[n++] = argv[i];
			continue;
		}
		common_option(v ? 'v' : 'q');
		host->verbose = host->verbose || v;
		host->quiet = host->quiet || q;
	}
	return n;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h"))
			return true;
	return false;
}

int cmd_redirect(int argc, char **argv)
{
	struct redirect_host host = { .ready = no_one_waits };
	bool detach = false;

	if (asks_for_help(argc, argv))
		return cmd_help(2, (char *[]){ "help", "redirect", NULL });
	if (argc > 1 && str_eq(argv[1], "bench"))
		return cmd_redirect_bench(argc - 1, argv + 1);
	argc = take_common(argc - 1, ++argv, &host);
	for (int i = 0; i < argc; i++)
		detach = detach || str_eq(argv[i], "--detach") || str_starts(argv[i], "--detach=");
	/* a reader that has gone away is no reason to end without letting connections go */
	signal(SIGPIPE, SIG_IGN);
	return detach ? run_detached(argc, argv, &host) : run_lua(argc, argv, &host);
}
