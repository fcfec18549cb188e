// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Makes TCP connections and prints what a tracer must have seen of them.
 *
 * Each line of output is a JSON object: one end of one connection, or one failed attempt
 * to connect.  What the keys say beyond their names:
 *
 *   pid, tid, comm   of who connected or accepted; 0 and "" for an end nobody accepted
 *   saddr, sport     this socket's own; null if the attempt failed before they were
 *                    chosen; sport is missing where it cannot be told
 *   connect          an attempt must be reported, with this error (null: it succeeded)
 *   accept           an accept must be reported
 *   close            it was established, and its end must be reported
 *   rx_bytes         payload that arrived, whether it was read or not
 *   tx_bytes         payload that was written and sent; tx_unacked of it, if there is
 *                    such a key, was never acknowledged
 *   end              fin, rst_sent, rst_received or timeout; null for failed attempts
 *   closed_by        local or remote: whose FIN or reset was first
 *   closer_pid       the process that closed this end or shut it down (for an end that
 *                    nobody accepted: that closed the listener), 0 if it ended by itself
 *   old              something of it was there before the word to go on; connect and
 *                    accept are false if they were, too, and rx_before and tx_before
 *                    are the parts of rx_bytes and tx_bytes from before.  The attempt of
 *                    "connecting" began before and fails after: connect is true.
 *
 * A scenario that this kernel cannot do: {"skip":"scenario","why":"..."}.  If one fails,
 * the last line is {"failed":"scenario","why":"..."} and the exit status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "traffic.h"

enum { V6 = 1, OWN_NET = 2, PHASE = 4, NOT_ALL = 8, WAITS = 16 };

struct scenario {
	const char *name, *what;
	void (*run)(void);
	int flags;
};

static const struct scenario scenarios[] = {
	{ "echo4", "IPv4, client closes first", run_echo4, 0 },
	{ "echo6", "IPv6, client closes first", run_echo6, V6 },
	{ "mapped", "IPv4 through IPv6 sockets, at one end and at both", run_mapped, V6 },
	{ "nonblock", "non-blocking connect with poll, accept4 with epoll", run_nonblock, 0 },
	{ "bulk", "3 MiB and 13 bytes there, 1000003 back", run_bulk, 0 },
	{ "halfclose", "client shuts down, server answers and closes", run_halfclose, 0 },
	{ "serverclose", "server closes first", run_serverclose, 0 },
	{ "refused4", "ECONNREFUSED, IPv4", run_refused4, 0 },
	{ "refused6", "ECONNREFUSED, IPv6", run_refused6, V6 },
	{ "refused_nb", "ECONNREFUSED, non-blocking, fetched with SO_ERROR", run_refused_nb, 0 },
	{ "refused_again", "ECONNREFUSED, non-blocking, fetched with connect", run_refused_again,
	  0 },
	{ "retry", "ECONNREFUSED, then a connection, with one socket", run_retry, 0 },
	{ "noroute4", "ENETUNREACH at once, IPv4", run_noroute4, OWN_NET },
	{ "noroute6", "ENETUNREACH at once, IPv6", run_noroute6, OWN_NET | V6 },
	{ "addrinuse", "EADDRNOTAVAIL at once: the pair of ports is taken", run_addrinuse, 0 },
	{ "hostunreach", "EHOSTUNREACH later, IPv4, 10 at most", run_hostunreach, OWN_NET | WAITS },
	{ "hostunreach6", "EHOSTUNREACH later, IPv6, 10 at most", run_hostunreach6,
	  OWN_NET | V6 | WAITS },
	{ "timeout", "ETIMEDOUT, IPv4, one only", run_timeout, OWN_NET | WAITS },
	{ "timeout6", "ETIMEDOUT, IPv6, one only", run_timeout6, OWN_NET | V6 | WAITS },
	{ "abandoned", "closed before the outcome of connect", run_abandoned, OWN_NET },
	{ "linger_rst", "client closes with a reset", run_linger_rst, 0 },
	{ "unread_rst", "server closes with unread data: a reset", run_unread_rst, 0 },
	{ "forked", "one process accepts, its child serves and closes", run_forked, 0 },
	{ "threads", "threads connect, threads accept", run_threads, 0 },
	{ "dead_peer", "an established connection times out, one only", run_dead_peer,
	  OWN_NET | WAITS },
	{ "never_accepted", "the listener closes, nobody has accepted", run_never_accepted, 0 },
	{ "uring", "accept through io_uring", run_uring, 0 },
	{ "uring_multi", "accept through io_uring, multishot", run_uring_multi, 0 },
	{ "uring_fail", "connect fails at once through io_uring, then otherwise", run_uring_fail,
	  NOT_ALL },
	{ "tfo", "TCP fast open; one connection more, for the cookie", run_tfo, OWN_NET },
	{ "simopen", "simultaneous open: both ends connect", run_simopen, 0 },
	{ "old", "phase: connections that exist already", run_old, PHASE },
	{ "blocked", "phase: threads that wait in accept already", run_blocked, PHASE },
	{ "queued", "phase: connections that wait to be accepted", run_queued, PHASE },
	{ "connecting", "phase: a connection attempt under way, ETIMEDOUT, one only",
	  run_connecting, PHASE | OWN_NET },
	{ "churn", "-c COUNT short connections, by -p PAIRS at once; a summary for each pair",
	  run_churn, NOT_ALL },
};

#define SCENARIOS (sizeof(scenarios) / sizeof(*scenarios))

int count = 3, pairs = 1;

static bool stay;
static const char *wait_file, *ready_file, *out_file;
static char out_temp[PATH_MAX];
static FILE *out;

struct job {
	const struct scenario *what;
	struct shared *shared;
	pid_t pid;
};

static void usage(void)
{
	fprintf(stderr, "usage: traffic [-c COUNT] [-p PAIRS] [-n] [-w FILE] [-r FILE] [-o FILE] "
			"SCENARIO...\n       traffic list\n");
	exit(1);
}

static int number(const char *text, int max)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (!*text || *end || n < 1 || n > max)
		die("%s is not a number from 1 to %d", text, max);
	return n;
}

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; i < SCENARIOS; i++) {
		if (!strcmp(scenarios[i].name, name))
			return &scenarios[i];
	}
	die("no scenario %s; try: traffic list", name);
}

static void list(void)
{
	for (size_t i = 0; i < SCENARIOS; i++)
		printf("%-15s %s\n", scenarios[i].name, scenarios[i].what);
}

static const char *why_not(const struct scenario *s)
{
	if (s->flags & V6 && !have_ipv6())
		return "no IPv6";
	if (s->flags & OWN_NET && stay)
		return "needs its own network namespace (no -n)";
	return NULL;
}

static void start(struct job *j)
{
	const char *why = why_not(j->what);

	j->shared = shared_new(count * 4 + 16 + pairs);
	sh = j->shared;
	if (!why)
		j->pid = fork();
	if (j->pid < 0)
		die("fork: %s", strerror(errno));
	if (!why && !j->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "tr-client");
		alarm(PHASE_SECONDS + SCENARIO_SECONDS);
		j->what->run();
		_exit(0);
	}
	if (why) {
		snprintf(sh->skip, sizeof(sh->skip), "%s", why);
		tell(SEM_READY);
	}
	sh = NULL;
}

/* Puts the output in place, as far as it is there. */
static void finish_output(void)
{
	if (ferror(out) || fflush(out))
		die("writing the output failed");
	if (out_file && (fclose(out) || rename(out_temp, out_file) < 0))
		die("%s: %s", out_file, strerror(errno));
}

static void failed(const struct job *j, const char *why)
{
	fprintf(out, "{\"failed\":\"%s\",\"why\":\"", j->what->name);
	for (const char *c = why; *c; c++)
		fputc(strchr("\"\\\n\t", *c) ? ' ' : *c, out);
	fprintf(out, "\"}\n");
	finish_output();
	die("%s: %s", j->what->name, why);
}

/* Waits for the end of the scenario and prints its lines. */
static void finish(struct job *j)
{
	struct shared *s = j->shared;
	char why[64];
	int status = 0;

	while (j->pid && waitpid(j->pid, &status, 0) < 0) {
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	}
	if (s->failed)
		failed(j, s->why);
	if (status) {
		snprintf(why, sizeof(why), "ended with status %#x%s", status,
			 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": out of time" : "");
		failed(j, why);
	}
	if (*s->skip) {
		fprintf(out, "{\"skip\":\"%s\",\"why\":\"%s\"}\n", j->what->name, s->skip);
	} else {
		settle(s);
		print_facts(out, j->what->name, s);
	}
	fflush(out);
	shared_free(s);
}

static void say_ready(void)
{
	int fd;

	if (ready_file) {
		fd = open(ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			die("%s: %s", ready_file, strerror(errno));
		close(fd);
		return;
	}
	printf("{\"ready\":true}\n");
	fflush(stdout);
}

static void wait_line(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	double until = now() + PHASE_SECONDS;
	char c = 0;

	while (c != '\n') {
		if (poll(&p, 1, (until - now()) * 1000) != 1 || read(0, &c, 1) != 1)
			die("no line on standard input");
	}
}

static void wait_word(void)
{
	double until = now() + PHASE_SECONDS;

	if (!wait_file) {
		wait_line();
		return;
	}
	while (access(wait_file, F_OK) < 0) {
		if (now() > until)
			die("no %s within %d s", wait_file, PHASE_SECONDS);
		msleep(10);
	}
}

static void wait_ready(const struct job *j)
{
	double until = now() + WAIT_SECONDS * 2;

	while (sem_trywait(&j->shared->sem[SEM_READY]) < 0) {
		if (now() > until)
			die("%s: not ready", j->what->name);
		msleep(2);
	}
	/* finish() says what went wrong */
}

/*
 * All scenarios with phases wait together for one word to go on. Those that do little but wait do
 * so while the others run.
 */
static void run_all(struct job *jobs, int n)
{
	bool phases = false;

	for (int i = 0; i < n; i++) {
		if (!(jobs[i].what->flags & PHASE))
			continue;
		start(&jobs[i]);
		wait_ready(&jobs[i]);
		if (jobs[i].shared->failed)
			finish(&jobs[i]);
		phases = true;
	}
	if (phases || wait_file || ready_file) {
		say_ready();
		wait_word();
	}
	for (int i = 0; i < n; i++) {
		if (jobs[i].what->flags & PHASE)
			sem_post(&jobs[i].shared->sem[SEM_GO]);
		else if (jobs[i].what->flags & WAITS)
			start(&jobs[i]);
	}
	for (int i = 0; i < n; i++) {
		if (!(jobs[i].what->flags & (PHASE | WAITS)))
			start(&jobs[i]);
		finish(&jobs[i]);
	}
}

static void options(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "c:p:nw:r:o:")) != -1) {
		switch (opt) {
		case 'c':
			count = number(optarg, 10000000);
			break;
		case 'p':
			pairs = number(optarg, 1000);
			break;
		case 'n':
			stay = true;
			break;
		case 'w':
			wait_file = optarg;
			break;
		case 'r':
			ready_file = optarg;
			break;
		case 'o':
			out_file = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind == argc)
		usage();
}

/* The scenarios that are named, or all; the result is as long as *n says. */
static struct job *choose(char **names, int *n)
{
	struct job *jobs = NULL;

	*n = 0;
	for (; *names; names++) {
		bool all = !strcmp(*names, "all");

		jobs = realloc(jobs, (*n + SCENARIOS) * sizeof(*jobs));
		if (!jobs)
			die("no memory");
		for (size_t i = 0; all && i < SCENARIOS; i++) {
			if (!(scenarios[i].flags & (PHASE | NOT_ALL)))
				jobs[(*n)++] = (struct job){ .what = &scenarios[i] };
		}
		if (!all)
			jobs[(*n)++] = (struct job){ .what = find(*names) };
	}
	for (int i = 0; i < *n; i++) {
		if (count > 2000 && jobs[i].what->run != run_churn)
			die("%s takes at most -c 2000", jobs[i].what->name);
	}
	return jobs;
}

static void open_output(void)
{
	out = stdout;
	if (!out_file)
		return;
	if (snprintf(out_temp, sizeof(out_temp), "%s.part", out_file) >= (int)sizeof(out_temp))
		die("%s: the name is too long", out_file);
	out = fopen(out_temp, "we");
	if (!out)
		die("%s: %s", out_temp, strerror(errno));
}

int main(int argc, char **argv)
{
	struct job *jobs;
	int n;

	options(argc, argv);
	if (!strcmp(argv[optind], "list")) {
		list();
		return 0;
	}
	jobs = choose(argv + optind, &n);
	open_output();
	if (!stay)
		net_setup();
	run_all(jobs, n);
	finish_output();
	free(jobs);
	return 0;
}
