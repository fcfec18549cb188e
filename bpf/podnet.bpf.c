/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* podnet - one event for each point that a packet passes on its way through this host. */
#include "podnet.h"

struct podnet_event {
	struct facts;
	struct nf;
	__u64 delta_ns DOC("time since the point before; 0 at the first");
	ksym_t location DOC("where in the kernel it was dropped");
	drop_reason_t reason DOC("why it was dropped; since 5.17");
	kstack_t stack DOC("the kernel's stack, with stack = true");
	__u32 hop DOC("1 for the packet's first point, 2 for the next, ...");
	enum point point DOC("where the packet is");
	enum point from DOC("the point before");
	enum context context DOC("task, softirq or hardirq: what the CPU was doing");
	enum identity identity DOC("how it is known that this is the same packet");
};

PROBE_EVENTS(struct podnet_event, "a packet's way through this host, one event per point");

#define PACKETS 32768

struct packet {
	struct track track;
	struct nf nf;
	__u64 last_ns;
	__u64 before_ns; /* at the point before */
	__u32 last_point;
	__u32 before_point;
	union {
		struct facts facts;
		struct podnet_event ev;
	};
};

#include "podnet_run.h"

static __always_inline void packet_first(struct packet *p)
{
	p->last_ns = 0;
}

static __always_inline void packet_unend(struct packet *p)
{
	p->last_ns = p->before_ns;
	p->last_point = p->before_point;
}

/* What its original has done in the meantime on another CPU was not before it. */
static __always_inline void packet_child(struct packet *p, __u64 ts_ns)
{
	if (p->last_ns > ts_ns)
		packet_unend(p);
	if (p->last_ns > ts_ns)
		p->last_ns = ts_ns;
}

static __always_inline void packet_lost(struct packet *p, bool timeout)
{
	(void)p;
	(void)timeout;
}

static __noinline void packet_at(void *ctx, struct packet *p, const struct happened *what)
{
	struct podnet_event *ev = &p->ev;

	if (what->nf)
		*(struct nf *)&ev->spent_ns = *what->nf;
	else
		clear_nf((struct nf *)&ev->spent_ns);
	ev->delta_ns = p->last_ns ? ev->ts_ns - p->last_ns : 0;
	ev->location = what->location;
	ev->reason = what->reason;
	ev->stack = cfg_stack ? bpf_get_stackid(ctx, &stacks, 0) : -1;
	ev->hop++;
	ev->point = what->point;
	ev->from = p->last_point;
	ev->context = context();
	ev->identity = p->track.tell ?: what->identity;
	p->track.tell = 0;
	p->before_ns = p->last_ns;
	p->before_point = p->last_point;
	p->last_ns = ev->ts_ns;
	p->last_point = what->point;
	event_send(ev, sizeof(*ev), ev->ts_ns);
}

static __always_inline void packet_end(void *ctx, struct packet *p, const struct happened *what)
{
	if (point_wanted(what->point))
		packet_at(ctx, p, what);
}
