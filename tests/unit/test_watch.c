/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The event loop's descriptors and signals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "loop.h"
#include "t.h"
#include "util.h"

#define MS NSEC_PER_MSEC
#define N  40 /* more than one round of epoll_wait() takes */

static struct loop *loop;
static struct err err;
static int fds[N], calls[N];
static struct loop_watch *watches[N];

static enum loop_end run(int64_t ms)
{
	enum loop_end why;

	CHECK_INT(loop_run(loop, ms < 0 ? -1 : ms * (int64_t)MS, &why), 0);
	return why;
}

static void start(int n, uint32_t events, void (*fn)(void *arg, uint32_t events))
{
	CHECK_INT(loop_new(&loop, &err), 0);
	loop_hold(loop);
	for (int i = 0; i < n; i++) {
		fds[i] = eventfd(1, EFD_NONBLOCK); /* readable */
		watches[i] = loop_watch(loop, fds[i], events, fn, (void *)(intptr_t)i);
		CHECK(watches[i]);
	}
}

static void end(int n)
{
	for (int i = 0; i < n; i++) {
		loop_unwatch(watches[i]);
		close_fd(&fds[i]);
	}
	loop_free(loop);
}

static int total(int n)
{
	int sum = 0;

	for (int i = 0; i < n; i++)
		sum += calls[i];
	return sum;
}

static void on_read(void *arg, uint32_t events)
{
	uint64_t n;

	CHECK(events & EPOLLIN);
	calls[(intptr_t)arg]++;
	CHECK_INT(read(fds[(intptr_t)arg], &n, sizeof(n)), sizeof(n));
}

static void on_count(void *arg, uint32_t events)
{
	(void)events;
	calls[(intptr_t)arg]++;
}

static void reading(void)
{
	uint64_t one = 1;

	start(N, EPOLLIN, on_read);
	CHECK_INT(run(10), LOOP_TIMEOUT);
	CHECK_INT(total(N), N);
	CHECK_INT(write(fds[7], &one, sizeof(one)), sizeof(one));
	run(10);
	CHECK_INT(calls[7], 2);
	CHECK_INT(total(N), N + 1);
	end(N);
}

static void edges(void)
{
	start(1, EPOLLIN | EPOLLET, on_count);
	run(10);
	CHECK_INT(calls[0], 1);
	end(1);
}

static void on_unwatch_self(void *arg, uint32_t events)
{
	intptr_t i = (intptr_t)arg;

	on_count(arg, events);
	loop_unwatch(watches[i]);
	watches[i] = NULL;
}

static void unwatch_self(void)
{
	start(N, EPOLLIN, on_unwatch_self);
	run(20);
	CHECK_INT(total(N), N);
	end(N);
}

/* The first one that is called takes away all others, which are ready in the same round. */
static void on_unwatch_others(void *arg, uint32_t events)
{
	on_count(arg, events);
	for (int i = 0; i < N; i++) {
		if (i == (intptr_t)arg)
			continue;
		loop_unwatch(watches[i]);
		watches[i] = NULL;
		close_fd(&fds[i]);
	}
	loop_stop(loop);
}

static void unwatch_others(void)
{
	start(N, EPOLLIN, on_unwatch_others);
	CHECK_INT(run(-1), LOOP_STOPPED);
	CHECK_INT(total(N), 1);
	CHECK_INT(run(-1), LOOP_STOPPED); /* the one that is left is still readable */
	for (int i = 0; i < N; i++)
		CHECK_INT(calls[i], watches[i] ? 2 : 0);
	end(N);
}

static void on_stop(void *arg, uint32_t events)
{
	on_count(arg, events);
	loop_stop(loop);
}

static void stop_in_round(void)
{
	start(N, EPOLLIN, on_stop);
	CHECK_INT(run(-1), LOOP_STOPPED);
	CHECK_INT(total(N), 1);
	end(N);
}

static void bad_fd(void)
{
	int file = open("/proc/self/exe", O_RDONLY);

	CHECK_INT(loop_new(&loop, &err), 0);
	CHECK(!loop_watch(loop, -1, EPOLLIN, on_count, NULL));
	CHECK(!loop_watch(loop, file, EPOLLIN, on_count, NULL)); /* epoll takes no files */
	loop_unwatch(NULL);
	close(file);
	loop_free(loop);
	loop_free(NULL);
}

static volatile sig_atomic_t handled;

static void in_handler(void *arg)
{
	CHECK(arg == &handled);
	handled++;
}

static void on_kill(void *arg, uint32_t events)
{
	on_read(arg, events);
	kill(getpid(), SIGTERM);
	calls[1] = handled; /* delivered before kill() returns */
}

static void first_signal(void)
{
	start(1, EPOLLIN, on_kill);
	CHECK_INT(loop_catch_signals(loop, in_handler, (void *)&handled, &err), 0);
	CHECK_INT(loop_signal(loop), 0);
	CHECK_INT(run(-1), LOOP_INTERRUPTED);
	CHECK_INT(loop_signal(loop), SIGTERM);
	CHECK_INT(calls[1], 1);
	CHECK_INT(run(-1), LOOP_INTERRUPTED); /* it is not forgotten */
	end(1);
}

/* A process that sleeps in the loop; `again` is what it does after the first signal. */
static pid_t sleeper(void (*again)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	start(0, 0, NULL);
	CHECK_INT(loop_catch_signals(loop, NULL, NULL, &err), 0);
	if (run(-1) != LOOP_INTERRUPTED)
		_exit(1);
	again();
	_exit(0);
}

static void nothing(void)
{
}

static void napping(void)
{
	for (int i = 0; i < 10; i++)
		usleep(20 * 1000);
}

static void pausing(void)
{
	for (;;)
		pause();
}

static int signalled(pid_t pid, int number, int times, int gap_ms)
{
	int status;

	for (int i = 0; i < times; i++) {
		usleep((i ? gap_ms : 50) * 1000);
		kill(pid, number);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void asleep(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		CHECK_INT(signalled(sleeper(nothing), numbers[i], 1, 0), 0);
}

static void second_signal(void)
{
	int status = signalled(sleeper(pausing), SIGTERM, 2, 600);

	CHECK(WIFSIGNALED(status));
	CHECK_INT(WTERMSIG(status), SIGTERM);
}

/* Two at once, as timeout(1) sends them. */
static void doubled_signal(void)
{
	CHECK_INT(signalled(sleeper(napping), SIGINT, 4, 20), 0);
}

static void ignored_signal(void)
{
	signal(SIGHUP, SIG_IGN); /* as under nohup */
	start(0, 0, NULL);
	CHECK_INT(loop_catch_signals(loop, NULL, NULL, &err), 0);
	raise(SIGHUP);
	CHECK_INT(run(1), LOOP_TIMEOUT);
	end(0);
}

/* A signal on the way out, when what the handler was to call is gone. */
static void late_signal(void)
{
	start(0, 0, NULL);
	CHECK_INT(loop_catch_signals(loop, in_handler, (void *)&handled, &err), 0);
	end(0);
	raise(SIGINT);
	CHECK_INT(handled, 0);
}

static const struct t_case cases[] = {
	{ "every readable descriptor gets its call", reading },
	{ "an edge-triggered descriptor is told once", edges },
	{ "a watch can end itself", unwatch_self },
	{ "a watch ended by another one in the same round is not called", unwatch_others },
	{ "stop ends a round", stop_in_round },
	{ "descriptors that can't be waited for are refused", bad_fd },
	{ "the first signal ends the run and calls the handler", first_signal },
	{ "signals wake a sleeping loop", asleep },
	{ "a signal half a second later has its default effect", second_signal },
	{ "signals in quick succession are one", doubled_signal },
	{ "signals that were ignored stay ignored", ignored_signal },
	{ "a signal after the loop is gone calls nothing", late_signal },
};

T_MAIN(cases)
