/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * podnet_path - one event for each packet, with all the points that it passed.
 *
 * A path is sent when the packet's end is seen, when its memory is found to belong to another
 * packet, or when nothing has been heard of it for a while (the iterator `sweep`).
 */
#include "podnet.h"

#define HOPS 48

struct podnet_hop {
	__u64 ts_ns DOC("time, CLOCK_MONOTONIC");
	__u64 delta_ns DOC("time since the point before; 0 at the first");
	opt_u64 spent_ns DOC("time in the hook, table or chain, at netfilter's points");
	__u32 netns DOC("inode of the network namespace");
	__u32 ifindex DOC("number of the network device");
	char ifname[16] DOC("name of the network device");
	char table[16] DOC("iptables' or nftables' table");
	char chain[24] DOC("nftables' base chain");
	__u16 cpu DOC("where it happened");
	enum point point DOC("where the packet was");
	enum context context DOC("task, softirq or hardirq");
	enum identity identity DOC("how it is known that this is the same packet");
	enum hook hook DOC("netfilter's hook");
	enum verdict verdict DOC("what netfilter said");
	__u8 zero;
};

enum path_end {
	PATH_END_UNSEEN, /* its memory is used by another packet */
	PATH_END_TIMEOUT, /* nothing heard of it for a while */
	PATH_END_DELIVERED,
	PATH_END_FREED,
	PATH_END_DROPPED,
	PATH_END_MERGED,
} __attribute__((packed));

struct podnet_path_event {
	struct facts;
	struct nf;
	__u64 first_ns DOC("time of the first point");
	__u64 duration_ns DOC("from the first point to the last");
	ksym_t location DOC("where in the kernel it was dropped");
	drop_reason_t reason DOC("why it was dropped; since 5.17");
	kstack_t stack DOC("the kernel's stack at its end, with stack = true");
	struct in6_addr first_saddr DOC("source address at the first point, before any NAT");
	struct in6_addr first_daddr DOC("destination address at the first point");
	__u16 first_sport DOC("source port at the first point");
	__u16 first_dport DOC("destination port at the first point");
	__u32 nr_hops DOC("how many points are listed");
	__u32 hops_lost DOC("points that found no room in the list");
	enum path_end ended DOC("delivered, freed, dropped, merged; timeout or unseen: not known");
	__u8 zero_path[3];
	struct podnet_hop hops[HOPS] DOC("the points");
};

PROBE_EVENTS(struct podnet_path_event,
	     "a packet's whole way through this host, one event per packet");

#define PACKETS 8192

struct packet {
	struct track track;
	struct nf nf;
	__u64 last_ns;
	__u64 before_ns; /* at the point before */
	struct event_hdr hdr;
	union {
		struct facts facts;
		struct podnet_path_event ev;
	};
};

#include "podnet_run.h"

static __always_inline void packet_first(struct packet *p)
{
	p->ev.first_ns = p->track.first_ns;
	p->ev.stack = -1;
	clear_nf((struct nf *)&p->ev.spent_ns);
}

static __always_inline void set_hop(struct podnet_hop *hop, const struct packet *p,
				    const struct happened *what)
{
	const struct nf *nf = what->nf;

	hop->ts_ns = p->facts.ts_ns;
	hop->delta_ns = p->last_ns ? hop->ts_ns - p->last_ns : 0;
	hop->netns = p->facts.netns;
	hop->ifindex = p->facts.ifindex;
	__builtin_memcpy(hop->ifname, p->facts.ifname, sizeof(hop->ifname));
	hop->cpu = p->facts.cpu;
	hop->point = what->point;
	hop->context = context();
	hop->identity = p->track.tell ?: what->identity;
	hop->zero = 0;
	hop->spent_ns = nf ? nf->spent_ns : OPT_NONE;
	hop->hook = nf ? nf->hook : HOOK_NONE;
	hop->verdict = nf ? nf->verdict : VERDICT_NONE;
	if (nf) {
		__builtin_memcpy(hop->table, nf->table, sizeof(hop->table));
		__builtin_memcpy(hop->chain, nf->chain, sizeof(hop->chain));
	} else {
		hop->table[0] = hop->chain[0] = '\0';
	}
}

static __noinline void packet_at(void *ctx, struct packet *p, const struct happened *what)
{
	struct podnet_path_event *ev = &p->ev;
	__u32 n = ev->nr_hops;

	(void)ctx;
	if (!n && !ev->hops_lost) {
		ev->first_saddr = ev->saddr;
		ev->first_daddr = ev->daddr;
		ev->first_sport = ev->sport;
		ev->first_dport = ev->dport;
		ev->first_ns = ev->ts_ns;
	}
	ev->duration_ns = ev->ts_ns - ev->first_ns;
	if (n < HOPS) {
		set_hop(&ev->hops[n], p, what);
		ev->nr_hops = n + 1;
	} else {
		ev->hops_lost++;
	}
	p->track.tell = 0;
	p->before_ns = p->last_ns;
	p->last_ns = ev->ts_ns;
}

static __noinline void send_path(struct packet *p, enum path_end ended)
{
	struct podnet_path_event *ev = &p->ev;

	if (!ev->nr_hops)
		return;
	ev->ended = ended;
	ev->ts_ns = p->last_ns;
	event_send_in_place(&p->hdr, sizeof(*ev), bpf_ktime_get_ns());
}

static __always_inline void packet_unend(struct packet *p)
{
	if (p->ev.nr_hops && p->before_ns != p->last_ns)
		p->ev.nr_hops--;
	p->last_ns = p->before_ns;
	p->ev.location = 0;
	p->ev.reason = 0;
	p->ev.stack = -1;
	clear_nf((struct nf *)&p->ev.spent_ns);
}

/* What its original has done in the meantime on another CPU was not before it. */
static __noinline void packet_child(struct packet *p, __u64 ts_ns)
{
	struct podnet_path_event *ev = &p->ev;

	for (int i = 0; i < 8; i++) {
		__u32 last = ev->nr_hops - 1, before = last - 1;

		/* so that the compiler checks both, as the verifier asks for */
		asm volatile("" : "+r"(last), "+r"(before));
		if (last >= HOPS || ev->hops[last].ts_ns <= ts_ns)
			break;
		ev->nr_hops = last;
		p->last_ns = before < HOPS ? ev->hops[before].ts_ns : 0;
	}
}

static __always_inline void packet_lost(struct packet *p, bool timeout)
{
	send_path(p, timeout ? PATH_END_TIMEOUT : PATH_END_UNSEEN);
}

static __always_inline enum path_end end_of(__u32 point)
{
	switch (point) {
	case POINT_DELIVERED:
		return PATH_END_DELIVERED;
	case POINT_DROPPED:
		return PATH_END_DROPPED;
	case POINT_MERGED:
		return PATH_END_MERGED;
	}
	return PATH_END_FREED;
}

static __noinline void packet_end(void *ctx, struct packet *p, const struct happened *what)
{
	struct podnet_path_event *ev = &p->ev;

	if (point_wanted(what->point))
		packet_at(ctx, p, what);
	if (what->point == POINT_DROPPED) {
		*(struct nf *)&ev->spent_ns = p->nf;
		ev->location = what->location;
		ev->reason = what->reason;
	}
	if (cfg_stack)
		ev->stack = bpf_get_stackid(ctx, &stacks, 0);
	send_path(p, end_of(what->point));
}
