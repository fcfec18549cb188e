/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "loop.h"
#include "pump.h"
#include "util.h"

#define ROUND 1024

struct pump {
	struct loop *loop;
	struct ring *ring;
	struct loop_watch *watch;
	struct loop_timer *tick;
	pump_fn fn;
	void *arg;
};

static void on_tick(void *arg);

static void start_tick(struct pump *p, uint64_t after_ns)
{
	loop_timer_set(p->tick, after_ns, 0);
}

static void work(struct pump *p)
{
	int n = p->fn(p->arg, p->ring, ROUND);

	start_tick(p, n == ROUND ? 0 : ring_look_again(p->ring));
}

static void on_tick(void *arg)
{
	work(arg);
}

static void on_wakeup(void *arg, uint32_t events)
{
	(void)events;
	work(arg);
}

int pump_new(struct pump **out, struct loop *loop, struct ring *ring, pump_fn fn, void *arg,
	     struct err *err)
{
	struct pump *p = calloc(1, sizeof(*p));

	*out = NULL;
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	*p = (struct pump){ .loop = loop, .ring = ring, .fn = fn, .arg = arg };
	p->tick = loop_timer_new(loop, on_tick, p);
	/* Edge-triggered: level-triggered epoll would wake us for every record on the way. */
	p->watch = p->tick ? loop_watch(loop, ring_fd(ring), EPOLLIN | EPOLLET, on_wakeup, p) :
			     NULL;
	if (!p->watch) {
		pump_free(p);
		return err_sys(err, -ENOMEM, "can't wait for the ring");
	}
	start_tick(p, NSEC_PER_SEC);
	*out = p;
	return 0;
}

void pump_free(struct pump *p)
{
	if (!p)
		return;
	loop_unwatch(p->watch);
	loop_timer_free(p->tick);
	free(p);
}

void pump_look(struct pump *p)
{
	p->fn(p->arg, p->ring, ROUND);
}

void pump_drain(struct pump *p)
{
	uint64_t end = ring_end(p->ring);

	while (p->fn(p->arg, p->ring, ROUND) == ROUND && !ring_has_read(p->ring, end))
		;
}
