/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * podnet_span - the time that a packet takes from one point to another, for chosen pairs of points.
 *
 * With an aggregation nothing is sent: the histograms are kept in the kernel.
 */
#include "podnet.h"

#define SPANS 8

struct podnet_span_event {
	struct facts;
	__u64 span_ns DOC("time from the point `from` to the point `to`");
	__u32 from_netns DOC("inode of the network namespace at the first of them");
	__u32 from_ifindex DOC("network device at the first of them");
	char from_ifname[16] DOC("its name");
	enum point from DOC("the first of the two points");
	enum point to DOC("the other");
	__u8 zero[6];
};

PROBE_EVENTS(struct podnet_span_event,
	     "the time that packets take between chosen points, one event per pair");

#define PACKETS 32768

struct start {
	__u64 ts_ns;
	__u32 netns;
	__u32 ifindex;
	char ifname[16];
};

struct packet {
	struct track track;
	struct nf nf;
	struct start starts[SPANS];
	union {
		struct facts facts;
		struct podnet_span_event ev;
	};
};

#include "podnet_run.h"

/* Pairs of points, from and to; 0 ends the list. */
const volatile __u8 cfg_spans[SPANS][2] = {};

static __always_inline void packet_first(struct packet *p)
{
	(void)p;
}

static __always_inline void packet_child(struct packet *p, __u64 ts_ns)
{
	(void)p;
	(void)ts_ns;
}

static __always_inline void packet_unend(struct packet *p)
{
	(void)p;
}

static __always_inline void packet_lost(struct packet *p, bool timeout)
{
	(void)p;
	(void)timeout;
}

static __always_inline void start_span(struct start *start, const struct packet *p)
{
	start->ts_ns = p->facts.ts_ns;
	start->netns = p->facts.netns;
	start->ifindex = p->facts.ifindex;
	__builtin_memcpy(start->ifname, p->facts.ifname, sizeof(start->ifname));
}

static __noinline int end_span(struct packet *p, __u32 n)
{
	struct podnet_span_event *ev = &p->ev;
	struct start *start = &p->starts[n & (SPANS - 1)];

	ev->span_ns = ev->ts_ns - start->ts_ns;
	ev->from_netns = start->netns;
	ev->from_ifindex = start->ifindex;
	__builtin_memcpy(ev->from_ifname, start->ifname, sizeof(ev->from_ifname));
	ev->from = cfg_spans[n & (SPANS - 1)][0];
	ev->to = cfg_spans[n & (SPANS - 1)][1];
	start->ts_ns = 0;
	return event_send(ev, sizeof(*ev), ev->ts_ns);
}

/* The last time at `from` before the first time at `to` counts. */
static __noinline void packet_at(void *ctx, struct packet *p, const struct happened *what)
{
	(void)ctx;
	for (int n = 0; n < SPANS; n++) {
		if (!cfg_spans[n][0])
			break;
		if (cfg_spans[n][1] == what->point && p->starts[n].ts_ns)
			end_span(p, n);
		if (cfg_spans[n][0] == what->point)
			start_span(&p->starts[n], p);
	}
}

static __always_inline void packet_end(void *ctx, struct packet *p, const struct happened *what)
{
	packet_at(ctx, p, what);
}
