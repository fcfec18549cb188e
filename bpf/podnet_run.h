/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * podnet_run.h - the programs of podnet, and the following of packets; the last thing to include.
 *
 * Whoever includes it has defined struct packet (with `struct track track` first, and `struct facts
 * facts` somewhere), and
 *
 *	packet_first(p)		p is new: all zero, but for its trace
 *	packet_at(ctx, p, h)	it is at a point that is wanted; p->facts say how it looks
 *	packet_end(ctx, p, h)	the same at its end
 *	packet_child(p, ts)	p is a copy of the packet that it was made of, before ts
 *	packet_unend(p)		clones of it go on: they have not shared that end
 *	packet_lost(p, timeout)	its end was not seen: the memory belongs to another packet now,
 *				or nothing has been heard of it for a while
 */
#ifndef BPFNET_PODNET_RUN_H
#define BPFNET_PODNET_RUN_H

#include "podnet.h"

/* What has happened to a packet, besides its facts. */
struct happened {
	const struct nf *nf;
	__u64 location; /* of a drop */
	__u32 reason;
	__u32 point;
	enum identity identity;
	__u8 zero[7];
};

struct drop {
	__u64 location;
	__u32 reason;
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PACKETS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* address of the struct sk_buff */
	__type(value, struct packet);
} packets SEC(".maps");

static const struct packet no_packet; /* all zero */

static void packet_first(struct packet *p);
static void packet_at(void *ctx, struct packet *p, const struct happened *what);
static void packet_end(void *ctx, struct packet *p, const struct happened *what);
static void packet_child(struct packet *p, __u64 ts_ns);
static void packet_unend(struct packet *p);
static void packet_lost(struct packet *p, bool timeout);

static __always_inline struct packet *find_packet(__u64 skb)
{
	return bpf_map_lookup_elem(&packets, &skb);
}

static __always_inline struct packet *new_packet(__u64 skb, const void *from)
{
	if (bpf_map_update_elem(&packets, &skb, from, BPF_ANY)) {
		COUNT(TALLY_UNTRACKED);
		return NULL;
	}
	return find_packet(skb);
}

/* The packet that another struct with the same data belongs to. */
static __always_inline struct packet *find_parent(struct seen *s)
{
	__u64 *skb = s->i.cloned ? bpf_map_lookup_elem(&heads, &s->i.head) : NULL;
	struct packet *p = skb && *skb != s->i.skb ? find_packet(*skb) : NULL;

	if (!p || p->track.head != s->i.head || !packet_is(&p->track, s))
		return NULL;
	/*
	 * It may have ended before its clones. With other headers this is no clone that went into
	 * a tunnel, but a new packet in memory whose last end was not seen.
	 */
	return p->track.print == s->print ? p : NULL;
}

/* Copies of facts that the clone shares; it goes its own way from here. */
static __always_inline struct packet *make_child(struct seen *s, const struct packet *parent,
						 enum identity identity)
{
	struct packet *p = new_packet(s->i.skb, parent);

	if (!p)
		return NULL;
	s->identity = identity;
	p->track.ended = false;
	p->track.head = s->i.head;
	packet_child(p, s->ts_ns);
	return p;
}

static __always_inline __u32 owner_of(struct seen *s)
{
	__u64 sk = skb_sock(&s->i);
	struct sock_life *life = sk ? sock_life((void *)sk) : NULL;

	if (life && life->pid)
		return life->pid;
	if (s->flags & SEEN_READER || (s->flags & SEEN_SENDER && sk && context() == CONTEXT_TASK))
		return bpf_get_current_pid_tgid() >> 32;
	return 0;
}

static __always_inline bool is_wanted(struct seen *s)
{
	__u64 netns, pid;

	if (!filter_active)
		return true;
	netns = filter_active & (1ULL << FILTER_NETNS | 1ULL << FILTER_POD) ? netns_of(&s->i) : 0;
	pid = filter_active & 1ULL << FILTER_PID ? owner_of(s) : 0;
	FORGET_RANGE(netns);
	FORGET_RANGE(pid);
	return filter_passes(&s->i, &s->h, netns, pid);
}

static __always_inline bool passes_pcap(const struct seen *s)
{
	__u32 mac = s->i.mac, l3 = s->i.l3, from = l3;
	bool ether = mac != 0xffff && mac + 14 <= l3 && mac + 22 >= l3;
	/* s->i.len counts from skb->data, which is at either header or behind: as good as it gets */
	__u32 caplen;

	if (ether)
		from = mac;
	caplen = s->i.linear_end - from;
	if ((__s32)caplen < 0)
		caplen = 0;
	return ether ? pcap_passes_ether((void *)(s->i.head + from), caplen, s->i.len) :
		       pcap_passes_ip((void *)(s->i.head + from), caplen, s->i.len);
}

/* Seen for the first time: the filters decide, once for all its way. */
static __noinline struct packet *first_sight(struct seen *s)
{
	struct packet *p;

	if (s->flags & SEEN_FOLLOW)
		return NULL;
	s->identity = IDENTITY_FIRST;
	if (!is_wanted(s) || !passes_pcap(s)) {
		COUNT(TALLY_FILTERED);
		return NULL;
	}
	p = new_packet(s->i.skb, &no_packet);
	if (!p)
		return NULL;
	/* unique: one CPU begins one packet at a time */
	p->facts.trace = s->ts_ns << 6 | (bpf_get_smp_processor_id() & 63);
	p->track.first_ns = s->ts_ns;
	clear_nf(&p->nf);
	if (!(s->flags & SEEN_END))
		bpf_map_update_elem(&heads, &s->i.head, &s->i.skb, BPF_ANY);
	packet_first(p);
	return p;
}

static __noinline struct packet *follow(struct seen *s)
{
	struct packet *p = find_packet(s->i.skb), *parent;

	s->print = headers_print(&s->h);
	/* what it was made of may look different: a segment has its own numbers */
	if (p && !p->track.ended &&
	    (packet_is(&p->track, s) || (p->track.made && p->track.head == s->i.head))) {
		if (s->identity == IDENTITY_MOVED)
			bpf_map_update_elem(&heads, &s->i.head, &s->i.skb, BPF_ANY);
		goto found;
	}
	if (p) {
		if (!p->track.ended)
			packet_lost(p, false);
		bpf_map_delete_elem(&packets, &s->i.skb);
	}
	parent = find_parent(s);
	p = parent ? make_child(s, parent, IDENTITY_CLONE) : first_sight(s);
	if (!p)
		return NULL;
found:
	p->track.made = false;
	track_update(&p->track, s);
	set_facts(&p->facts, &p->track, s);
	return p;
}

/* The struct is freed. Its data may live on in clones, which lead here through `heads`. */
static __always_inline void forget(struct packet *p, const struct seen *s, bool last_user)
{
	__u64 *first = bpf_map_lookup_elem(&heads, &s->i.head);
	__u64 skb = first ? *first : 0;

	if (skb == s->i.skb && !last_user) {
		p->track.ended = true;
		packet_unend(p);
		return;
	}
	bpf_map_delete_elem(&packets, &s->i.skb);
	if (!skb || !last_user)
		return;
	if (skb != s->i.skb) {
		p = find_packet(skb);
		if (p && p->track.ended && p->track.head == s->i.head)
			bpf_map_delete_elem(&packets, &skb);
	}
	bpf_map_delete_elem(&heads, &s->i.head);
}

static __always_inline void look(struct seen *s, const struct sk_buff *skb, enum point point,
				 const __u32 flags, const bool trusted)
{
	s->ts_ns = bpf_ktime_get_ns();
	s->point = point;
	s->flags = flags;
	s->identity = 0;
	skb_read(&s->i, skb, flags >> 8 & 7, trusted);
	skb_headers((struct skb_seen *)s);
	/* the function that begins here writes it into the header */
	if (entry_of(flags) == ENTRY_LOCAL_OUT)
		s->h.ip_len = s->i.len >> 16 ? 0 : s->i.len;
}

static __always_inline void tell(void *ctx, struct packet *p, __u32 point, enum identity identity,
				 const struct nf *nf)
{
	struct happened what = { .nf = nf, .point = point, .identity = identity };

	if (point_wanted(point))
		packet_at(ctx, p, &what);
}

static __noinline int passes_by(void *ctx, struct seen *s)
{
	struct packet *p = follow(s);

	if (!p)
		return 0;
	/* on from the hook that it was in: what drops it now is something else */
	if (p->nf.hook != HOOK_NONE)
		clear_nf(&p->nf);
	/* what is in TCP's queue may be an acknowledgement that nobody reads */
	if (s->point == POINT_ICMP_RCV || s->point == POINT_ICMPV6_RCV ||
	    (s->point == POINT_SOCK_QUEUE && s->h.proto != PROTO_TCP))
		p->track.consumed = true;
	tell(ctx, p, s->point, s->identity, NULL);
	return 0;
}

static __noinline int is_read(void *ctx, struct seen *s)
{
	struct packet *p = follow(s);

	if (!p)
		return 0;
	p->track.consumed = true;
	tell(ctx, p, s->point, s->identity, NULL);
	return 0;
}

static __always_inline int at_point(void *ctx, const struct sk_buff *skb, enum point point,
				    const __u32 flags)
{
	struct seen s;

	look(&s, skb, point, flags, true);
	return passes_by(ctx, &s);
}

static __always_inline int at_end(void *ctx, struct seen *s, const struct drop *drop,
				  const struct sk_buff *skb)
{
	struct packet *p = follow(s);
	struct happened what = { .point = s->point };

	if (!p)
		return 0;
	if (drop) {
		what.location = drop->location;
		what.reason = drop->reason;
		what.nf = &p->nf;
		if (p->nf.hook != HOOK_NONE)
			p->nf.verdict = VERDICT_DROP;
	} else if (what.point != POINT_MERGED) {
		what.point = p->track.consumed ? POINT_DELIVERED : POINT_FREED;
		/* a short datagram is read without a word: whoever frees it has read it */
		if (p->track.consumed && s->h.proto == PROTO_UDP && context() == CONTEXT_TASK)
			set_owner_current(&p->facts);
	}
	what.identity = s->identity;
	packet_end(ctx, p, &what);
	forget(p, s, is_last_user(skb));
	return 0;
}

#include "podnet_nf.h"
#include "podnet_points.h"

/* The engine runs this a few times in a second, and at last with 0. */
volatile __u64 sweep_after_ns = 500000000;

SEC("iter/bpf_map_elem")
int sweep_packets(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 now = bpf_ktime_get_ns(), *key = ctx->key, *first, skb;
	struct packet *p = ctx->value;

	if (!key || !p || (__s64)(now - p->facts.ts_ns) < (__s64)sweep_after_ns)
		return 0;
	skb = *key;
	p = find_packet(skb); /* what the iterator gives may not be sent */
	if (!p)
		return 0;
	if (!p->track.ended)
		packet_lost(p, true);
	/* its memory may be another packet's by now, whose clones look for that one */
	first = bpf_map_lookup_elem(&heads, &p->track.head);
	if (first && *first == skb)
		bpf_map_delete_elem(&heads, &p->track.head);
	bpf_map_delete_elem(&packets, &skb);
	return 0;
}

#endif
