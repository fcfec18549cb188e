/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * t.h - a test program: a table of cases, each run in a process of its own.
 *
 * So a case that crashes, hangs, leaks (under LeakSanitizer) or kills itself is one failed case.
 * A failed check ends its case. Prints "ok NAME", "not ok NAME: FILE:LINE: WHY" or
 * "skip NAME: WHY", and at the end "N passed, N failed, N skipped" for run.sh to add up.
 */
#ifndef BPFNET_T_H
#define BPFNET_T_H

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef T_SECONDS
#define T_SECONDS 60 /* for one case; the sanitizers are slow */
#endif
#define T_SKIPPED 77
#define T_FAILED  76

struct t_case {
	const char *name; /* a sentence about behaviour */
	void (*fn)(void);
};

static const char *t_name = "";

#define FAIL(...)                                                                                  \
	do {                                                                                       \
		printf("not ok %s: %s:%d: ", t_name, __FILE__, __LINE__);                          \
		printf(__VA_ARGS__);                                                               \
		putchar('\n');                                                                     \
		fflush(stdout);                                                                    \
		_exit(T_FAILED);                                                                   \
	} while (0)

#define SKIP(...)                                                                                  \
	do {                                                                                       \
		printf("skip %s: ", t_name);                                                       \
		printf(__VA_ARGS__);                                                               \
		putchar('\n');                                                                     \
		fflush(stdout);                                                                    \
		_exit(T_SKIPPED);                                                                  \
	} while (0)

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			FAIL("%s", #cond);                                                         \
	} while (0)

#define CHECK_INT(got, want)                                                                       \
	do {                                                                                       \
		int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                            \
                                                                                                   \
		if (got_ != want_)                                                                 \
			FAIL("%s: got %" PRId64 ", expected %" PRId64, #got, got_, want_);         \
	} while (0)

#define CHECK_STR(got, want)                                                                       \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
                                                                                                   \
		if (!got_ || strcmp(got_, want_) != 0)                                             \
			FAIL("%s: got \"%s\", expected \"%s\"", #got, got_ ? got_ : "(null)",      \
			     want_);                                                               \
	} while (0)

/* The text has the part in it. */
#define CHECK_HAS(text, part)                                                                      \
	do {                                                                                       \
		const char *text_ = (text), *part_ = (part);                                       \
                                                                                                   \
		if (!text_ || !strstr(text_, part_))                                               \
			FAIL("%s: expected \"%s\" in \"%s\"", #text, part_,                        \
			     text_ ? text_ : "(null)");                                            \
	} while (0)

/* A child that says nothing about itself ended in a way it did not choose. */
static inline int t_judge(const char *name, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		printf("ok %s\n", name);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		printf("not ok %s: did not end within %d s\n", name, T_SECONDS);
	else if (WIFSIGNALED(status))
		printf("not ok %s: killed by %s\n", name, strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == T_SKIPPED)
		return T_SKIPPED;
	else if (WEXITSTATUS(status) != T_FAILED)
		printf("not ok %s: exit status %d (a sanitizer's words are above)\n", name,
		       WEXITSTATUS(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : T_FAILED;
}

static inline void t_start_case(const struct t_case *c)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	t_name = c->name;
	alarm(T_SECONDS);
	c->fn();
	exit(0);
}

/* A case has a process group, so that children which a failed check has left end with it. */
static inline int t_run_case(const struct t_case *c)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		t_start_case(c);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("fork");
		return T_FAILED;
	}
	kill(-pid, SIGKILL);
	return t_judge(c->name, status);
}

/* With an argument: only the cases that have it in their name. */
static inline int t_main(int argc, char **argv, const struct t_case *cases, int n)
{
	int passed = 0, failed = 0, skipped = 0;

	for (int i = 0; i < n; i++) {
		int rc;

		if (argc > 1 && !strstr(cases[i].name, argv[1]))
			continue;
		rc = t_run_case(&cases[i]);
		passed += rc == 0;
		skipped += rc == T_SKIPPED;
		failed += rc != 0 && rc != T_SKIPPED;
	}
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}

#define T_MAIN(cases)                                                                              \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return t_main(argc, argv, cases, (int)(sizeof(cases) / sizeof((cases)[0])));       \
	}

#endif
