/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "loop.h"
#include "util.h"

#define BATCH   16
#define BUSY_NS (50 * NSEC_PER_MSEC) /* without a pause, at most */

struct loop_watch {
	struct loop *loop;
	int fd;
	void (*fn)(void *arg, uint32_t events);
	void *arg;
};

struct loop_timer {
	struct loop *loop;
	struct loop_timer *next;
	uint64_t due_ns; /* 0: stopped */
	uint64_t every_ns;
	void (*fn)(void *arg);
	void *arg;
};

struct loop {
	int epfd;
	int holds;
	bool running;
	bool stop;
	struct loop_timer *timers;
	/* What this round of epoll_wait() gave: loop_unwatch() takes its watch out of it. */
	struct epoll_event events[BATCH];
	int nr_events;
	void (*before)(void *arg);
	void (*after)(void *arg);
	void *hook_arg;
	uint64_t last_pause_ns; /* when the hooks were called */
	struct loop_watch *signal_watch;
};

/* A handler has no argument of ours, so there is one loop for signals in a process. */
static struct {
	int fd;
	volatile sig_atomic_t number;
	bool keep; /* a SIGINT is taken back by and by */
	volatile sig_atomic_t last; /* the next one ends the process */
	volatile uint64_t last_ns; /* when that was settled */
	void (*fn)(void *arg);
	void *arg;
} signals = { .fd = -1 };

int loop_new(struct loop **out, struct err *err)
{
	struct loop *l = calloc(1, sizeof(*l));

	*out = NULL;
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		free(l);
		return err_sys(err, -errno, "epoll_create1");
	}
	*out = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->signal_watch) {
		signals.fn = NULL; /* its argument may be gone when the next one comes */
		loop_unwatch(l->signal_watch);
		close_fd(&signals.fd);
	}
	close_fd(&l->epfd);
	free(l);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

bool loop_set_stop(struct loop *l, bool stop)
{
	bool old = l->stop;

	l->stop = stop;
	return old;
}

bool loop_is_running(const struct loop *l)
{
	return l->running;
}

void loop_hold(struct loop *l)
{
	l->holds++;
}

void loop_release(struct loop *l)
{
	l->holds--;
}

struct loop_watch *loop_watch(struct loop *l, int fd, uint32_t events,
			      void (*fn)(void *arg, uint32_t events), void *arg)
{
	struct loop_watch *w = calloc(1, sizeof(*w));
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (!w)
		return NULL;
	*w = (struct loop_watch){ .loop = l, .fd = fd, .fn = fn, .arg = arg };
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev)) {
		free(w);
		return NULL;
	}
	return w;
}

void loop_unwatch(struct loop_watch *w)
{
	if (!w)
		return;
	epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	for (int i = 0; i < w->loop->nr_events; i++)
		if (w->loop->events[i].data.ptr == w)
			w->loop->events[i].data.ptr = NULL;
	free(w);
}

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct loop_timer){ .loop = l, .next = l->timers, .fn = fn, .arg = arg };
	l->timers = t;
	return t;
}

void loop_timer_set(struct loop_timer *t, uint64_t first_ns, uint64_t every_ns)
{
	t->due_ns = now_ns() + first_ns;
	t->every_ns = every_ns;
}

void loop_timer_stop(struct loop_timer *t)
{
	t->due_ns = 0;
}

void loop_timer_free(struct loop_timer *t)
{
	struct loop_timer **p;

	if (!t)
		return;
	for (p = &t->loop->timers; *p != t; p = &(*p)->next)
		;
	*p = t->next;
	free(t);
}

static struct loop_timer *next_due(const struct loop *l)
{
	struct loop_timer *first = NULL;

	for (struct loop_timer *t = l->timers; t; t = t->next)
		if (t->due_ns && (!first || t->due_ns < first->due_ns))
			first = t;
	return first;
}

/* Those due by `now`, so that one that is set to 0 again can't keep the rest out. */
static void run_timers(struct loop *l, uint64_t now)
{
	struct loop_timer *t;

	while (!l->stop && (t = next_due(l)) && t->due_ns <= now) {
		if (t->every_ns) {
			t->due_ns += t->every_ns;
			/* After a pause the missed ones are left out, not made up for in a burst. */
			if (t->due_ns <= now)
				t->due_ns = now + t->every_ns;
		} else {
			t->due_ns = 0;
		}
		t->fn(t->arg);
	}
}

static int sleep_ms(const struct loop *l, uint64_t deadline_ns)
{
	struct loop_timer *t = next_due(l);
	uint64_t due = t && t->due_ns < deadline_ns ? t->due_ns : deadline_ns, now = now_ns();

	if (due == UINT64_MAX)
		return -1;
	if (due <= now)
		return 0;
	due = (due - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return due > 3600000 ? 3600000 : (int)due;
}

/* 0 or -errno, of waiting. */
static int wait_and_dispatch(struct loop *l, uint64_t deadline_ns)
{
	int ms = sleep_ms(l, deadline_ns), rc;
	bool pause = ms || now_ns() - l->last_pause_ns > BUSY_NS;

	if (pause && l->before)
		l->before(l->hook_arg);
	l->nr_events = epoll_wait(l->epfd, l->events, BATCH, ms);
	rc = l->nr_events < 0 && errno != EINTR ? -errno : 0;
	if (pause && l->after)
		l->after(l->hook_arg);
	if (pause)
		l->last_pause_ns = now_ns();
	for (int i = 0; i < l->nr_events && !l->stop; i++) {
		struct loop_watch *w = l->events[i].data.ptr;

		if (w)
			w->fn(w->arg, l->events[i].events);
	}
	l->nr_events = 0;
	return rc;
}

static int run(struct loop *l, uint64_t deadline_ns, enum loop_end *end)
{
	for (;;) {
		/* One time for both: a timer that is due before the deadline runs before it. */
		uint64_t now = now_ns();
		int rc;

		*end = LOOP_INTERRUPTED;
		if (signals.number)
			return 0;
		run_timers(l, now);
		*end = LOOP_STOPPED;
		if (l->stop)
			return 0;
		*end = LOOP_IDLE;
		if (!l->holds)
			return 0;
		*end = LOOP_TIMEOUT;
		if (now >= deadline_ns)
			return 0;
		*end = LOOP_STOPPED;
		rc = wait_and_dispatch(l, deadline_ns);
		if (rc || l->stop)
			return rc;
	}
}

int loop_run(struct loop *l, int64_t timeout_ns, enum loop_end *end)
{
	int rc;

	if (l->running)
		return -EBUSY;
	l->running = true;
	l->stop = false;
	if (l->after)
		l->after(l->hook_arg);
	rc = run(l, timeout_ns < 0 ? UINT64_MAX : now_ns() + (uint64_t)timeout_ns, end);
	if (l->before)
		l->before(l->hook_arg);
	l->running = false;
	return rc;
}

void loop_set_sleep_hooks(struct loop *l, void (*before)(void *arg), void (*after)(void *arg),
			  void *arg)
{
	l->before = before;
	l->after = after;
	l->hook_arg = arg;
}

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };

/*
 * Who asks for an end once may send two signals: timeout(1) sends one to the process and one to its group, and who is
 * impatient presses twice. What is printed last would be lost. A signal comes through late, too, when the kernel lets
 * go of a tracepoint, which takes up to 0.2 s.
 */
#define SAME_WISH_NS (500 * NSEC_PER_MSEC)

/* The next signal ends the process, whatever we are doing: its default effect, when the handler returns. */
static void end_at_once(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		signal(caught[i], SIG_DFL);
	raise(number);
}

static void on_signal(int number)
{
	int saved = errno;
	uint64_t one = 1;

	if (signals.last) {
		if (now_ns() - signals.last_ns > SAME_WISH_NS)
			end_at_once(number);
		errno = saved;
		return;
	}
	if (!signals.keep || number != SIGINT || signals.number) {
		signals.last = 1;
		signals.last_ns = now_ns();
	}
	if (number != SIGINT || !signals.number)
		signals.number = number;
	if (write(signals.fd, &one, sizeof(one)) < 0)
		signals.number = number; /* nothing else to do here */
	if (signals.fn)
		signals.fn(signals.arg);
	errno = saved;
}

static void on_signal_fd(void *arg, uint32_t events)
{
	(void)arg;
	(void)events; /* waking up was all that was wanted: run() looks at signals.number */
}

static void catch_all(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	for (size_t i = 0; i < ARRAY_SIZE(caught); i++) {
		struct sigaction old;

		/* nohup and background shells ignore some of them, and mean it */
		sigaction(caught[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(caught[i], &sa, NULL);
	}
}

int loop_catch_signals(struct loop *l, void (*fn)(void *arg), void *arg, struct err *err)
{
	signals.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signals.fd < 0)
		return err_sys(err, -errno, "eventfd");
	signals.number = 0;
	signals.last = 0;
	signals.keep = false;
	signals.fn = fn;
	signals.arg = arg;
	l->signal_watch = loop_watch(l, signals.fd, EPOLLIN | EPOLLET, on_signal_fd, l);
	if (!l->signal_watch) {
		close_fd(&signals.fd);
		return err_sys(err, -ENOMEM, "can't wait for signals");
	}
	catch_all();
	return 0;
}

void loop_keep_catching(struct loop *l)
{
	(void)l;
	signals.keep = true;
}

void loop_clear_signal(struct loop *l)
{
	(void)l;
	if (!signals.number)
		return;
	signals.number = 0;
	signals.last = 0;
}

int loop_signal(const struct loop *l)
{
	(void)l;
	return signals.number;
}
