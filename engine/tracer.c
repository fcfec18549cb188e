/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include "kbtf.h"
#include "loop.h"
#include "probe.h"
#include "pump.h"
#include "socks.h"
#include "tracer.h"
#include "util.h"

#define MAX_PROBES 256

struct tracer {
	struct loop *loop;
	uint64_t ring_bytes;
	struct ring *ring;
	struct pump *pump;
	uint64_t leave_ns; /* what is delivered after this time is not; 0: none */
	tracer_guard guard;
	void *guard_arg;
	struct socks *socks;
	int socks_users;
	/* Numbers are used again only after all others: late events must not find a new probe. */
	struct probe *probes[MAX_PROBES];
	uint32_t last;
};

struct tracer *tracer_new(struct loop *loop, uint64_t ring_bytes)
{
	struct tracer *t = calloc(1, sizeof(*t));

	if (t) {
		kbtf_register_handlers();
		t->loop = loop;
		t->ring_bytes = ring_bytes;
	}
	return t;
}

void tracer_free(struct tracer *t)
{
	if (!t)
		return;
	pump_free(t->pump);
	ring_free(t->ring);
	socks_free(t->socks);
	free(t);
}

struct loop *tracer_loop(const struct tracer *t)
{
	return t->loop;
}

void tracer_set_guard(struct tracer *t, tracer_guard guard, void *arg)
{
	t->guard = guard;
	t->guard_arg = arg;
}

struct round {
	struct tracer *tracer;
	struct ring *ring;
	int max;
	int n;
};

static void dispatch(void *arg, uint32_t number, const void *data, size_t size)
{
	struct round *r = arg;
	struct tracer *t = r->tracer;
	struct probe *p = tracer_probe(t, number);

	/* Closed probes leave events behind. */
	if (!p)
		return;
	if (t->leave_ns && now_ns() > t->leave_ns)
		probe_leave(p);
	else
		probe_deliver(p, data, size);
	/* A slow handler's round would take long: the loop is to see the signal now. */
	if (!t->leave_ns && loop_signal(t->loop))
		ring_enough(r->ring);
}

static void run_round(void *arg)
{
	struct round *r = arg;

	r->n = ring_consume(r->ring, r->max, dispatch, r);
}

/* A round that an error ended counts as one that found no more: nobody goes on at once. */
static int guarded_round(void *arg, struct ring *ring, int max)
{
	struct tracer *t = arg;
	struct round r = { t, ring, max, 0 };

	if (ring_is_reading(ring)) /* a handler that drains: that round goes on */
		return 0;
	for (int errors = 0; errors < max; errors++) {
		bool again = t->guard(t->guard_arg, run_round, &r);

		ring_end_round(ring);
		if (!again)
			return r.n;
	}
	return max;
}

int tracer_own_ring(struct tracer *t, uint64_t bytes, struct ring **ring, struct pump **pump,
		    struct err *err)
{
	int rc = ring_new(ring, bytes, err);

	if (rc)
		return rc;
	rc = pump_new(pump, t->loop, *ring, guarded_round, t, err);
	if (rc) {
		ring_free(*ring);
		*ring = NULL;
	}
	return rc;
}

void tracer_drop_ring(struct ring *ring, struct pump *pump)
{
	pump_free(pump);
	ring_free(ring);
}

int tracer_ring(struct tracer *t, struct ring **ring, struct err *err)
{
	int rc = t->ring ? 0 : tracer_own_ring(t, t->ring_bytes, &t->ring, &t->pump, err);

	*ring = t->ring;
	return rc;
}

void tracer_look(struct tracer *t)
{
	if (t->pump)
		pump_look(t->pump);
}

void tracer_drain(struct tracer *t)
{
	if (t->pump)
		pump_drain(t->pump);
	for (int i = 0; i < MAX_PROBES; i++)
		if (t->probes[i])
			probe_drain(t->probes[i]);
}

void tracer_drain_last(struct tracer *t)
{
	uint64_t outer = t->leave_ns; /* of who has called the handler that detaches a probe now */

	if (!outer)
		t->leave_ns = now_ns() + TRACER_LAST_NS;
	tracer_drain(t);
	t->leave_ns = outer;
}

int tracer_add_probe(struct tracer *t, struct probe *probe, struct err *err)
{
	for (int i = 0; i < MAX_PROBES; i++) {
		uint32_t n = (t->last + 1 + (uint32_t)i) % MAX_PROBES;

		if (t->probes[n])
			continue;
		t->probes[n] = probe;
		t->last = n;
		return (int)n;
	}
	return err_set(err, -E2BIG, "more than %d probes at once", MAX_PROBES);
}

void tracer_remove_probe(struct tracer *t, uint32_t number)
{
	if (number < MAX_PROBES)
		t->probes[number] = NULL;
}

struct probe *tracer_probe(const struct tracer *t, uint32_t number)
{
	return number < MAX_PROBES ? t->probes[number] : NULL;
}

int tracer_socks_get(struct tracer *t, const char *prefer, int *map_fd, struct err *err)
{
	int rc = t->socks ? 0 : socks_new(&t->socks, prefer, err);

	if (rc)
		return rc;
	t->socks_users++;
	*map_fd = socks_map_fd(t->socks);
	return 0;
}

void tracer_socks_put(struct tracer *t)
{
	if (--t->socks_users)
		return;
	socks_free(t->socks);
	t->socks = NULL;
}

uint64_t tracer_untracked(const struct tracer *t)
{
	return t->socks ? socks_untracked(t->socks) : 0;
}

uint64_t tracer_socks_missed(const struct tracer *t)
{
	return t->socks ? socks_missed(t->socks) : 0;
}
