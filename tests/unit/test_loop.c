/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The event loop's timers and ends. Descriptors and signals: test_watch.c. */
#include <errno.h>
#include "loop.h"
#include "t.h"
#include "util.h"

#define MS NSEC_PER_MSEC

static struct loop *loop;
static struct loop_timer *timers[4];
static char trace[256]; /* what happened, a letter each */
static int fired;

static void note(char c)
{
	size_t len = strlen(trace);

	CHECK(len + 1 < sizeof(trace));
	trace[len] = c;
	trace[len + 1] = '\0';
}

static void start(void)
{
	struct err err;

	CHECK_INT(loop_new(&loop, &err), 0);
	loop_hold(loop);
}

static void end(void)
{
	for (int i = 0; i < 4; i++)
		loop_timer_free(timers[i]);
	loop_free(loop);
}

static enum loop_end run(int64_t ms)
{
	enum loop_end why;

	CHECK_INT(loop_run(loop, ms < 0 ? -1 : ms * (int64_t)MS, &why), 0);
	return why;
}

static void add(int i, void (*fn)(void *arg), uint64_t first_ms, uint64_t every_ms)
{
	timers[i] = loop_timer_new(loop, fn, (void *)(intptr_t)i);
	CHECK(timers[i]);
	loop_timer_set(timers[i], first_ms * MS, every_ms * MS);
}

static void on_letter(void *arg)
{
	note((char)('a' + (intptr_t)arg));
	fired++;
}

static void order(void)
{
	start();
	add(0, on_letter, 30, 0);
	add(1, on_letter, 10, 0);
	add(2, on_letter, 20, 0);
	timers[3] = loop_timer_new(loop, on_letter, (void *)3); /* made stopped */
	CHECK_INT(run(60), LOOP_TIMEOUT);
	CHECK_STR(trace, "bca");
	loop_timer_set(timers[1], 0, 0); /* fired ones can be set again */
	CHECK_INT(run(5), LOOP_TIMEOUT);
	CHECK_STR(trace, "bcab");
	end();
}

static void early(void)
{
	uint64_t began = now_ns();

	start();
	add(0, on_letter, 25, 0);
	while (!fired)
		run(5);
	CHECK(now_ns() - began >= 25 * MS);
	end();
}

static void periodic(void)
{
	uint64_t began = now_ns();

	start();
	add(0, on_letter, 0, 10);
	while (fired < 5)
		CHECK_INT(run(95), LOOP_TIMEOUT);
	CHECK(fired <= 10 && now_ns() - began >= 40 * MS);
	end();
}

static uint64_t fired_ns[3];

static void on_slow(void *arg)
{
	(void)arg;
	if (fired < 3)
		fired_ns[fired] = now_ns();
	if (!fired++)
		usleep(60 * 1000);
}

/* After a callback of 60 ms a timer of 10 ms fires once for what it missed. */
static void no_burst(void)
{
	start();
	add(0, on_slow, 0, 10);
	while (fired < 3)
		run(75);
	CHECK(fired_ns[1] - fired_ns[0] >= 60 * MS);
	CHECK(fired_ns[2] - fired_ns[1] >= 9 * MS);
	end();
}

static void on_stop_self(void *arg)
{
	loop_timer_stop(timers[(intptr_t)arg]);
	fired++;
}

static void on_free_self(void *arg)
{
	loop_timer_free(timers[(intptr_t)arg]);
	timers[(intptr_t)arg] = NULL;
	fired++;
}

static void on_free_next(void *arg)
{
	intptr_t next = (intptr_t)arg + 1;

	loop_timer_free(timers[next]);
	timers[next] = NULL;
	fired++;
}

static void on_free_all(void *arg)
{
	(void)arg;
	for (int i = 0; i < 4; i++) {
		loop_timer_free(timers[i]);
		timers[i] = NULL;
	}
	fired++;
}

static void stop_self(void)
{
	start();
	add(0, on_stop_self, 0, 1);
	run(20);
	CHECK_INT(fired, 1);
	end();
}

static void free_self(void)
{
	start();
	add(0, on_free_self, 0, 1);
	add(1, on_free_self, 0, 1);
	run(20);
	CHECK_INT(fired, 2);
	end();
}

/* All are due in the same round; the one that is freed must not fire, nor be touched. */
static void free_other(void)
{
	start();
	add(0, on_free_next, 1, 0);
	add(1, on_letter, 2, 1);
	usleep(5000);
	run(20);
	CHECK_STR(trace, "");
	CHECK_INT(fired, 1);
	end();
}

static void free_all(void)
{
	start();
	add(0, on_letter, 0, 1);
	add(1, on_letter, 0, 1);
	add(2, on_letter, 0, 1);
	add(3, on_free_all, 3, 0);
	run(20);
	CHECK(fired > 1);
	end();
}

static void on_new(void *arg)
{
	(void)arg;
	fired++;
	if (!timers[1])
		add(1, on_letter, 0, 0);
}

static void new_inside(void)
{
	start();
	add(0, on_new, 0, 0);
	run(20);
	CHECK_STR(trace, "b");
	end();
}

static void on_again(void *arg)
{
	fired++;
	loop_timer_set(timers[(intptr_t)arg], 0, 0);
}

/* One that is always due must keep neither the timeout nor the other timers out. */
static void greedy(void)
{
	start();
	add(0, on_again, 0, 0);
	add(1, on_letter, 5, 0);
	CHECK_INT(run(20), LOOP_TIMEOUT);
	CHECK_STR(trace, "b");
	CHECK(fired > 10);
	end();
}

static void on_stop_loop(void *arg)
{
	(void)arg;
	note('s');
	loop_stop(loop);
}

static void stopping(void)
{
	start();
	add(0, on_stop_loop, 0, 0);
	add(1, on_letter, 1, 0);
	usleep(2000);
	CHECK_INT(run(-1), LOOP_STOPPED); /* also with another one due */
	CHECK_STR(trace, "s");
	CHECK(!loop_is_running(loop));
	CHECK_INT(run(10), LOOP_TIMEOUT); /* a stop is over with its run */
	CHECK_STR(trace, "sb");
	loop_stop(loop); /* and one before a run has no effect on it */
	CHECK_INT(run(1), LOOP_TIMEOUT);
	end();
}

static void on_release(void *arg)
{
	(void)arg;
	loop_release(loop);
	fired++;
}

static void holding(void)
{
	start();
	loop_hold(loop);
	add(0, on_release, 1, 2);
	CHECK_INT(run(2000), LOOP_IDLE);
	CHECK_INT(fired, 2);
	CHECK_INT(run(-1), LOOP_IDLE);
	loop_hold(loop);
	loop_timer_stop(timers[0]);
	CHECK_INT(run(0), LOOP_TIMEOUT);
	end();
}

static int nested_rc;

static void on_nested(void *arg)
{
	enum loop_end why;

	(void)arg;
	CHECK(loop_is_running(loop));
	nested_rc = loop_run(loop, 0, &why);
	loop_stop(loop);
}

static void nested(void)
{
	start();
	add(0, on_nested, 0, 0);
	CHECK_INT(run(100), LOOP_STOPPED);
	CHECK_INT(nested_rc, -EBUSY);
	CHECK(!loop_is_running(loop));
	end();
}

static void before(void *arg)
{
	(void)arg;
	note('<');
}

static void after(void *arg)
{
	(void)arg;
	note('>');
}

/* Awake from the start of a run to each sleep, and from its end to the next; asleep after it. */
static void hooks(void)
{
	start();
	loop_set_sleep_hooks(loop, before, after, NULL);
	add(0, on_letter, 3, 0);
	CHECK_INT(run(6), LOOP_TIMEOUT);
	CHECK(strncmp(trace, "><", 2) == 0);
	CHECK(trace[strlen(trace) - 1] == '<');
	CHECK_HAS(trace, ">a<");
	for (size_t i = 1; i < strlen(trace); i++)
		CHECK(trace[i] != trace[i - 1]);
	end();
}

static const struct t_case cases[] = {
	{ "timers fire in the order in which they are due", order },
	{ "no timer fires early", early },
	{ "a periodic timer fires again and again", periodic },
	{ "missed periods are not made up for in a burst", no_burst },
	{ "a timer can stop itself", stop_self },
	{ "timers can free themselves", free_self },
	{ "a timer freed by another one in the same round does not fire", free_other },
	{ "a timer can free all of them", free_all },
	{ "a timer can make another one", new_inside },
	{ "a timer that is always due keeps nothing out", greedy },
	{ "stop ends a run after the callback", stopping },
	{ "a run ends as idle when nobody holds the loop", holding },
	{ "a run inside a run is refused", nested },
	{ "sleep hooks are called in pairs", hooks },
};

T_MAIN(cases)
