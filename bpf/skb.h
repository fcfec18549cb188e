/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * skb.h - a packet in the kernel: what struct sk_buff says of it, and its headers.
 *
 * Nothing here trusts that headers are where they seem to be: every read goes through a helper,
 * and only what lies in the linear part is looked at.
 */
#ifndef BPFNET_SKB_H
#define BPFNET_SKB_H

#include "sock.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net_device {
	char name[16];
	int ifindex;
	unsigned int mtu;
	unsigned short type;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
};

struct sk_buff {
	struct sk_buff *next;
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned int len, data_len;
	__u8 cloned : 1;
	__be16 vlan_proto;
	__u16 vlan_tci;
	__u32 mark;
	__be16 protocol;
	__u16 transport_header, network_header, mac_header;
	unsigned int tail, end;
	unsigned char *head, *data;
};

typedef struct {
	int counter;
} atomic_t;

struct skb_shared_info {
	struct sk_buff *frag_list;
	atomic_t dataref;
};

#pragma clang attribute pop
#pragma clang diagnostic pop

enum {
	ETH_P_IP = 0x0800,
	ETH_P_ARP = 0x0806,
	ETH_P_8021Q = 0x8100,
	ETH_P_IPV6 = 0x86dd,
	ETH_P_8021AD = 0x88a8
};
enum { ARPHRD_ETHER = 1, ARPHRD_LOOPBACK = 772 };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4 };

/* Its values are the running kernel's: only whether it exists is asked. */
enum skb_drop_reason { SKB_NOT_DROPPED_YET };

enum packet_family {
	PACKET_FAMILY_OTHER,
	PACKET_FAMILY_ARP,
	PACKET_FAMILY_IPV4 = AF_INET,
	PACKET_FAMILY_IPV6 = AF_INET6,
} __attribute__((packed));

/* IP protocol numbers; others are shown as they are. */
enum proto {
	PROTO_NONE = 0,
	PROTO_ICMP = 1,
	PROTO_IGMP = 2,
	PROTO_IPIP = 4,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_IPV6 = 41,
	PROTO_GRE = 47,
	PROTO_ESP = 50,
	PROTO_AH = 51,
	PROTO_ICMPV6 = 58,
	PROTO_SCTP = 132,
} __attribute__((packed));

/* What the headers say. */
struct headers {
	struct in6_addr saddr DOC("source address in the packet, as it is at this point");
	struct in6_addr daddr DOC("destination address in the packet");
	__u32 seq DOC("TCP sequence number");
	__u32 ack_seq DOC("TCP acknowledgement number");
	__u16 sport DOC("source port of TCP and UDP");
	__u16 dport DOC("destination port of TCP and UDP");
	__u16 icmp_id DOC("id of an ICMP echo");
	__u16 icmp_seq DOC("sequence number of an ICMP echo");
	__u16 ip_id DOC("IPv4 identification, or that of an IPv6 fragment");
	__u16 frag_off DOC("bytes that a fragment begins at, plus 1 if more follow; 0: no fragment");
	__u16 ip_len DOC("length that the IP header says; 0 for more than 65,535");
	enum packet_family family DOC("ipv4, ipv6, arp or other");
	enum proto proto DOC("tcp, udp, icmp, icmpv6, or the protocol's number");
	tcp_flags_t tcp_flags DOC("flags of TCP");
	__u8 icmp_type DOC("type of ICMP and ICMPv6");
	__u8 icmp_code DOC("code of ICMP and ICMPv6");
	__u8 ttl DOC("time to live, or hop limit");
	__u8 zero_hdr[4];
};

/*
 * Makes the verifier forget what it knows about a number, or it would go through all that follows
 * for each way to get there. Swaps bytes twice, which no kernel followed before 7.0.
 */
#define FORGET_RANGE(x) asm volatile("%0 = be64 %0\n%0 = be64 %0\n" : "+r"(x))

/* What is read of the struct sk_buff, once for each point. */
struct skb_info {
	__u64 skb;
	__u64 head;
	__u64 dev;
	__u64 sk;
	__u32 len;
	__u32 mark;
	__u32 linear_end; /* bytes from head that may be read */
	__u16 l3; /* where the IP header begins, from head */
	__u16 mac; /* the Ethernet header, 0xffff: none */
	__u16 protocol; /* of what is at l3, in host order */
	__u16 vlan; /* tag that the packet carries apart, with bit 15 set; 0: none */
	bool cloned; /* others have the same data */
	__u8 zero[3];
};

enum {
	SKB_L3_AT_DATA = 1, /* network_header is not set yet: the packet is just coming in */
	SKB_DEV_DST = 2, /* going out: the device is the route's */
	SKB_DEV_NONE = 4, /* the member dev is used for something else at this point */
};

static __always_inline __u64 skb_dst_dev(const struct sk_buff *skb)
{
	/* bit 0: not counted (SKB_DST_NOREF) */
	struct dst_entry *dst = (void *)(BPF_CORE_READ(skb, _skb_refdst) & ~1UL);

	return dst ? (__u64)BPF_CORE_READ(dst, dev) : 0;
}

/*
 * Where the verifier does not trust the pointer, all that lies together is copied by one call. Of
 * the kernels from 5.10 to 7.2 that is everything from len to data.
 */
#define SKB_COPY      112
#define SKB_AT(field) bpf_core_field_offset(struct sk_buff, field)
#define SKB_COPY_AT   (SKB_AT(len) & ~7ULL)

struct skb_copy {
	__u8 bytes[SKB_COPY] __attribute__((aligned(8)));
};

#define SKB_COPIED(field)                                                                          \
	(SKB_AT(field) >= SKB_COPY_AT &&                                                           \
	 SKB_AT(field) + bpf_core_field_size(struct sk_buff, field) <= SKB_COPY_AT + SKB_COPY)
/* The compiler drops nothing of this, but the verifier does: offsets are constants when it looks. */
#define SKB_GET(trusted, skb, copy, field)                                                         \
	((trusted) ? (skb)->field :                                                                \
	 SKB_COPIED(field) ?                                                                       \
		     *(typeof((skb)->field) *)((copy)->bytes + SKB_AT(field) - SKB_COPY_AT) :      \
		     BPF_CORE_READ(skb, field))

/* The device and the socket, which lie side by side. */
static __always_inline void skb_read_ends(struct skb_info *i, const struct sk_buff *skb)
{
	if (SKB_AT(sk) == SKB_AT(dev) + sizeof(i->dev)) {
		bpf_probe_read_kernel(&i->dev, sizeof(i->dev) + sizeof(i->sk),
				      (void *)skb + SKB_AT(dev));
		return;
	}
	i->dev = (__u64)BPF_CORE_READ(skb, dev);
	i->sk = (__u64)BPF_CORE_READ(skb, sk);
}

static __always_inline void skb_fill(struct skb_info *i, const struct sk_buff *skb, const int how,
				     const bool trusted, const struct skb_copy *copy)
{
	/* pointers to bytes are numbers to the verifier: nothing to search, see GET() */
	__u64 data = (__u64)SKB_GET(trusted, skb, copy, data);
	__u32 data_len = SKB_GET(trusted, skb, copy, data_len);
	__u16 tci = SKB_GET(trusted, skb, copy, vlan_tci);

	i->skb = (__u64)skb;
	i->head = (__u64)SKB_GET(trusted, skb, copy, head);
	skb_read_ends(i, skb);
	if (how & SKB_DEV_NONE)
		i->dev = 0;
	if (how & SKB_DEV_DST)
		i->dev = skb_dst_dev(skb) ?: i->dev;
	i->len = SKB_GET(trusted, skb, copy, len);
	i->mark = SKB_GET(trusted, skb, copy, mark);
	i->linear_end = data - i->head + i->len - data_len;
	i->mac = SKB_GET(trusted, skb, copy, mac_header);
	i->l3 = how & SKB_L3_AT_DATA ? data - i->head : SKB_GET(trusted, skb, copy, network_header);
	i->protocol = bpf_ntohs(SKB_GET(trusted, skb, copy, protocol));
	i->vlan = SKB_GET(trusted, skb, copy, vlan_proto) ? 0x8000 | (tci & 0xfff) : 0;
	i->cloned = trusted ? BPF_CORE_READ_BITFIELD(skb, cloned) :
			      BPF_CORE_READ_BITFIELD_PROBED(skb, cloned);
	__builtin_memset(i->zero, 0, sizeof(i->zero));
}

/* A function of its own: what is copied does not stay on the stack. */
static __noinline int skb_read_copy(struct skb_info *i, const struct sk_buff *skb, int how)
{
	struct skb_copy copy;

	bpf_probe_read_kernel(&copy, sizeof(copy), (void *)skb + SKB_COPY_AT);
	skb_fill(i, skb, how, false, &copy);
	return 0;
}

static __always_inline void skb_read(struct skb_info *i, const struct sk_buff *skb, const int how,
				     const bool trusted)
{
	if (trusted)
		skb_fill(i, skb, how, true, NULL);
	else
		skb_read_copy(i, skb, how);
}

/* The socket that the packet belongs to, as it was read. */
static __always_inline __u64 skb_sock(struct skb_info *i)
{
	__u64 sk = i->sk;

	FORGET_RANGE(sk);
	i->sk = sk;
	return sk;
}

#define IPV6_EXTENSIONS 4

enum {
	NEXTHDR_HOP = 0,
	NEXTHDR_ROUTING = 43,
	NEXTHDR_FRAGMENT = 44,
	NEXTHDR_AUTH = 51,
	NEXTHDR_DEST = 60
};

/* Bytes at `off` from head; false if they are not in the linear part. */
static __always_inline bool skb_bytes(const struct skb_info *i, __u32 off, void *to, const __u32 n)
{
	return off + n <= i->linear_end && !bpf_probe_read_kernel(to, n, (void *)(i->head + off));
}

/* What is looked at of a transport's header; of less than the first, nothing. */
enum { L4_LEAST = 8, L4_TCP = 16 };

/* Up to `most` bytes at `off` from head, which `to` has room for and must hold zeros; how many. */
static __always_inline __u64 skb_some(const struct skb_info *i, __u64 off, void *to,
				      const __u64 most)
{
	__u64 n = i->linear_end - off;

	if (off >= i->linear_end)
		return 0;
	if (n > most)
		n = most;
	if (bpf_probe_read_kernel(to, n, (void *)(i->head + off)))
		n = 0;
	FORGET_RANGE(n);
	return n;
}

static __always_inline void read_l4(struct headers *h, const __u8 *b, __u64 n)
{
	if (h->frag_off & ~7U) /* not the first part: there is no such header in it */
		return;
	if (n < (h->proto == PROTO_TCP ? L4_TCP : L4_LEAST))
		return;
	if (h->proto == PROTO_TCP) {
		h->seq = bpf_ntohl(*(__be32 *)(b + 4));
		h->ack_seq = bpf_ntohl(*(__be32 *)(b + 8));
		h->tcp_flags = b[13];
	}
	if (h->proto == PROTO_TCP || h->proto == PROTO_UDP || h->proto == PROTO_SCTP) {
		h->sport = bpf_ntohs(*(__be16 *)b);
		h->dport = bpf_ntohs(*(__be16 *)(b + 2));
	} else if (h->proto == PROTO_ICMP || h->proto == PROTO_ICMPV6) {
		h->icmp_type = b[0];
		h->icmp_code = b[1];
		/* echo and its reply: RFC 792, RFC 4443 */
		if (h->proto == PROTO_ICMP ? b[0] == 8 || b[0] == 0 : b[0] == 128 || b[0] == 129) {
			h->icmp_id = bpf_ntohs(*(__be16 *)(b + 4));
			h->icmp_seq = bpf_ntohs(*(__be16 *)(b + 6));
		}
	}
}

/* With the transport's header by one call, unless there are options between. */
static __always_inline void read_ipv4(struct headers *h, const struct skb_info *i, __u64 off)
{
	__u8 b[20 + L4_TCP] __attribute__((aligned(8))) = {};
	__u64 n = skb_some(i, off, b, sizeof(b)), length;
	__u16 frag;

	if (n < 20 || b[0] >> 4 != 4)
		return;
	frag = bpf_ntohs(*(__be16 *)(b + 6));
	h->family = PACKET_FAMILY_IPV4;
	h->ip_len = bpf_ntohs(*(__be16 *)(b + 2));
	h->ip_id = bpf_ntohs(*(__be16 *)(b + 4));
	h->frag_off = (frag & 0x1fff) << 3 | !!(frag & 0x2000);
	h->ttl = b[8];
	h->proto = b[9];
	set_mapped(&h->saddr, *(__be32 *)(b + 12));
	set_mapped(&h->daddr, *(__be32 *)(b + 16));
	length = (b[0] & 15) * 4;
	n -= 20;
	if (length != 20)
		n = skb_some(i, off + length, b + 20, L4_TCP);
	FORGET_RANGE(n);
	read_l4(h, b + 20, n);
}

static __always_inline bool is_extension(__u64 next)
{
	return next == NEXTHDR_HOP || next == NEXTHDR_ROUTING || next == NEXTHDR_FRAGMENT ||
	       next == NEXTHDR_AUTH || next == NEXTHDR_DEST;
}

/* RFC 8200; RFC 4302 for AH, which counts in units of 4 bytes */
static __always_inline __u32 extension_length(__u64 next, __u32 length)
{
	if (next == NEXTHDR_FRAGMENT)
		return 8;
	return next == NEXTHDR_AUTH ? (length + 2) * 4 : (length + 1) * 8;
}

/* Follows extension headers to the transport's. */
static __always_inline void read_ipv6(struct headers *h, const struct skb_info *i, __u64 off)
{
	__u8 b[40], x[8], l4[L4_TCP] __attribute__((aligned(8))) = {};
	__u64 next;

	if (!skb_bytes(i, off, b, sizeof(b)) || b[0] >> 4 != 6)
		return;
	h->family = PACKET_FAMILY_IPV6;
	h->ip_len = bpf_ntohs(*(__be16 *)(b + 4)) + 40;
	h->ttl = b[7];
	__builtin_memcpy(&h->saddr, b + 8, 16);
	__builtin_memcpy(&h->daddr, b + 24, 16);
	next = b[6];
	off += 40;
	for (int n = 0; n < IPV6_EXTENSIONS && is_extension(next); n++) {
		if (!skb_bytes(i, off, x, sizeof(x)))
			break;
		if (next == NEXTHDR_FRAGMENT) {
			/* bits 1 and 2 are reserved; the id's low half is what counts up */
			h->frag_off = bpf_ntohs(*(__be16 *)(x + 2)) & 0xfff9;
			h->ip_id = bpf_ntohs(*(__be16 *)(x + 6));
		}
		off += extension_length(next, x[1]);
		next = x[0];
		FORGET_RANGE(off);
		FORGET_RANGE(next);
	}
	h->proto = next;
	read_l4(h, l4, skb_some(i, off, l4, L4_TCP));
}

/* An ARP packet's operation goes into icmp_type's place: both say what a message is. */
static __always_inline void read_arp(struct headers *h, const struct skb_info *i, __u32 off)
{
	__u8 b[28];
	__be32 addr;

	if (!skb_bytes(i, off, b, sizeof(b)))
		return;
	h->family = PACKET_FAMILY_ARP;
	h->icmp_type = b[7];
	__builtin_memcpy(&addr, b + 14, sizeof(addr));
	set_mapped(&h->saddr, addr);
	set_mapped(&h->daddr, *(__be32 *)(b + 24));
}

/* A packet as it was read: what skb_read() and skb_headers() fill. */
struct skb_seen {
	struct skb_info i;
	struct headers h;
};

/*
 * The same for memory: whatever way it was filled, it holds just numbers from here on. On the way
 * from function to function there would be thousands of combinations to verify.
 */
static __always_inline void forget_contents(void *p, const __u32 size)
{
	bpf_probe_read_kernel(p, size, p);
}

/* Reads the headers; a packet that can't be understood is PACKET_FAMILY_OTHER. l3 moves behind VLAN tags. */
static __noinline int skb_headers(struct skb_seen *seen)
{
	struct skb_info *i = &seen->i;
	struct headers *h = &seen->h;
	__u64 protocol = i->protocol, l3 = i->l3;
	__u8 tag[4] = {};

	__builtin_memset(h, 0, sizeof(*h));
	/* going out, it is set only after the first points: the header itself says what it is */
	if (!protocol && skb_bytes(i, l3, tag, 1))
		protocol = tag[0] >> 4 == 4 ? ETH_P_IP : tag[0] >> 4 == 6 ? ETH_P_IPV6 : 0;
	FORGET_RANGE(protocol);
	for (int n = 0; n < 2; n++) {
		if (protocol != ETH_P_8021Q && protocol != ETH_P_8021AD)
			break;
		if (!skb_bytes(i, l3, tag, sizeof(tag)))
			break;
		if (!i->vlan)
			i->vlan = 0x8000 | (bpf_ntohs(*(__be16 *)tag) & 0xfff);
		protocol = bpf_ntohs(*(__be16 *)(tag + 2));
		l3 += 4;
		FORGET_RANGE(l3);
		FORGET_RANGE(protocol);
	}
	i->protocol = protocol;
	i->l3 = l3;
	if (protocol == ETH_P_IP)
		read_ipv4(h, i, l3);
	else if (protocol == ETH_P_IPV6)
		read_ipv6(h, i, l3);
	else if (protocol == ETH_P_ARP)
		read_arp(h, i, l3);
	forget_contents(seen, sizeof(*seen));
	return 0;
}

/*
 * What stays the same in a packet's headers on its way through this host: neither NAT nor
 * forwarding changes it. Two packets in a row rarely share it; see packet_is() for when they may.
 */
static __always_inline __u64 headers_print(const struct headers *h)
{
	__u32 l4 = (__u32)h->icmp_seq << 16 | (__u32)h->icmp_type << 8;

	/* GRO adds flags to those of the first segment, but none of these */
	if (h->proto == PROTO_TCP)
		l4 = h->seq ^ h->ack_seq * 0x9e3779b1 ^ (h->tcp_flags & (TCP_SYN | TCP_RST)) << 24;
	else if (h->proto == PROTO_UDP)
		l4 = h->ip_len;
	else if (h->family == PACKET_FAMILY_ARP)
		l4 = h->daddr.s6_addr32[3] ^ h->saddr.s6_addr32[3] * 0x9e3779b1 ^ h->icmp_type;
	return (__u64)h->ip_id << 48 | (__u64)h->proto << 40 |
	       (__u64)(h->frag_off >> 3 ^ h->family) << 32 | l4;
}

#endif
