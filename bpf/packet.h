/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * packet.h - one packet followed through the host, from point to point.
 *
 * A packet is known by the address of its struct sk_buff, which one CPU at a time works on. The
 * memory is used again within microseconds, and not every end can be seen (TCP frees without a
 * tracepoint what it has taken in), so each time the headers have to say that it is the packet that
 * it was: packet_is(). A clone has another address but the same data: `heads` leads from there to
 * the packet that it was made of.
 *
 * The file that includes this one says what is kept of a packet, with packet_first(), packet_lost().
 */
#ifndef BPFNET_PACKET_H
#define BPFNET_PACKET_H

#include "filter_packet.h"
#include "points.h"

/* How it is known which packet this is. */
enum identity {
	IDENTITY_FIRST, /* not seen before */
	IDENTITY_SAME,
	IDENTITY_MOVED, /* the same struct, with its data copied elsewhere */
	IDENTITY_CLONE, /* another struct with the same data */
	IDENTITY_COPY, /* another struct with a copy of it */
	IDENTITY_SEGMENT, /* a part, made by GSO */
	IDENTITY_FRAGMENT, /* a part, made by IP */
	IDENTITY_ENCAPSULATED, /* within another packet from here on */
	IDENTITY_DECAPSULATED,
} __attribute__((packed));

/* Entry points: a packet comes there once for each device, unless it is routed in a circle. */
enum entry { ENTRY_NONE, ENTRY_LOCAL_OUT, ENTRY_QUEUE, ENTRY_RX, ENTRY_RECEIVE, ENTRIES };

/* Of a point, in the flags of its row and cookie; the lower bits are SKB_* and POINT_*. */
enum {
	SEEN_L3_AT_DATA = SKB_L3_AT_DATA << 8,
	SEEN_DEV_DST = SKB_DEV_DST << 8,
	SEEN_DEV_NONE = SKB_DEV_NONE << 8,
	SEEN_FOLLOW = 1 << 12, /* of no interest for a packet that is not followed yet */
	SEEN_SENDER = 1 << 13, /* in a task's context: the task that sends */
	SEEN_READER = 1 << 14, /* always in the context of the task that reads */
	SEEN_ENTRY = 1 << 16, /* times the number in enum entry; 3 bits */
	SEEN_END = 1 << 20, /* the struct is freed after this */
	SEEN_EXTRA_SK = 1 << 21, /* the extra argument is the socket that gets the packet */
};
#define SEEN_AT_ENTRY(entry) (SEEN_ENTRY * (entry))

struct track {
	__u64 head;
	__u64 print; /* headers_print() */
	__u64 first_ns;
	__u64 dev, sk; /* that the facts are about: they need not be read again */
	__u32 entered[8]; /* by enum entry: low half of the device's address */
	__u8 entered_ttl[8];
	__u16 l3;
	__u16 ip_len; /* as the header at l3 says */
	enum proto proto;
	bool ended; /* freed, but clones may still come from its data */
	bool consumed; /* read by a process, or taken by the kernel itself */
	bool made; /* just now, of another: its headers have not been seen */
	enum identity tell; /* how it was made, for the next point that is wanted; 0: told */
	__u8 zero[7];
};

/* A point that is passed: everything about this moment. */
struct seen {
	struct skb_seen;
	__u64 ts_ns;
	__u64 print;
	__u32 point;
	__u32 flags; /* SEEN_* */
	__u64 identity; /* enum identity */
};

struct packet; /* begins with a struct track */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* address of a packet's data */
	__type(value, __u64); /* address of the struct sk_buff that it was first seen with */
} heads SEC(".maps");

static __always_inline bool is_tunnel(enum proto proto)
{
	return proto == PROTO_UDP || proto == PROTO_GRE || proto == PROTO_IPIP ||
	       proto == PROTO_IPV6 || proto == PROTO_ESP || proto == PROTO_AH;
}

static __always_inline __u32 entry_of(__u32 flags)
{
	return flags / SEEN_ENTRY & 7;
}

/* At a device's entrance for the second time: another packet that looks the same. */
static __always_inline bool enters_again(const struct track *t, const struct seen *s)
{
	__u32 e = entry_of(s->flags);

	return e && t->entered_ttl[e] && t->entered[e] == (__u32)s->i.dev &&
	       s->h.ttl >= t->entered_ttl[e];
}

/* What has come in by a device has no socket when it is sent on: this is a new packet. */
static __always_inline bool is_sent_anew(const struct track *t, struct seen *s)
{
	bool came_in = t->entered_ttl[ENTRY_RX] || t->entered_ttl[ENTRY_RECEIVE];

	return s->flags & SEEN_SENDER && came_in && skb_sock(&s->i);
}

/* A packet ends where the one within it ends; with ESP, behind it. */
static __always_inline bool is_within(__u32 outer_end, __u32 inner_end, enum proto proto)
{
	return outer_end == inner_end || (proto == PROTO_ESP && outer_end > inner_end);
}

static __always_inline bool tunnels(const struct track *t, const struct seen *s)
{
	__u32 before = t->l3 + t->ip_len, now = s->i.l3 + s->h.ip_len;

	if (s->i.l3 < t->l3)
		return is_tunnel(s->h.proto) && is_within(now, before, s->h.proto);
	return s->i.l3 > t->l3 && is_tunnel(t->proto) && is_within(before, now, t->proto);
}

/*
 * Is this the packet that was seen at the same address before? Its headers are the same, or others
 * were put around them, or taken away, as only a tunnel does.
 */
static __always_inline bool packet_is(const struct track *t, struct seen *s)
{
	__u64 identity = t->head == s->i.head ? IDENTITY_SAME : IDENTITY_MOVED;
	bool is = t->print == s->print && !enters_again(t, s) && !is_sent_anew(t, s);

	if (t->print != s->print && t->head == s->i.head) {
		is = tunnels(t, s);
		identity = s->i.l3 < t->l3 ? IDENTITY_ENCAPSULATED : IDENTITY_DECAPSULATED;
	}
	FORGET_RANGE(identity);
	s->identity = identity;
	return is;
}

static __always_inline void track_update(struct track *t, const struct seen *s)
{
	__u32 e = entry_of(s->flags);

	t->head = s->i.head;
	t->print = s->print;
	t->l3 = s->i.l3;
	t->ip_len = s->h.ip_len;
	t->proto = s->h.proto;
	/* entry 0 is for points that are none: written and never read */
	t->entered[e] = (__u32)s->i.dev;
	t->entered_ttl[e] = s->h.ttl ?: 1;
}

static __always_inline __u32 netns_of(struct skb_info *i)
{
	struct net_device *dev = (void *)i->dev;
	struct sock *sk = dev ? NULL : (void *)skb_sock(i);

	if (dev)
		return BPF_CORE_READ(dev, nd_net.net, ns.inum);
	return sk ? BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) : 0;
}

static __always_inline struct skb_shared_info *skb_shared(const struct sk_buff *skb)
{
	return (void *)(BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, end));
}

/* True if nobody else uses the packet's data: skb_release_data() will free it. */
static __always_inline bool is_last_user(const struct sk_buff *skb)
{
	struct skb_shared_info *shared = skb_shared(skb);

	/* the upper half counts users of the payload only */
	return (BPF_CORE_READ(shared, dataref.counter) & 0xffff) <= 1;
}

#endif
