/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * headers.h - what a packet's headers say. They are read through a helper, and only what lies in the
 * linear part is looked at.
 */
#ifndef BPFNET_HEADERS_H
#define BPFNET_HEADERS_H

#include "skb.h"

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

#define IPV6_EXTENSIONS 4

enum {
	NEXTHDR_HOP = 0,
	NEXTHDR_ROUTING = 43,
	NEXTHDR_FRAGMENT = 44,
	NEXTHDR_AUTH = 51,
	NEXTHDR_DEST = 60
};

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

static __always_inline bool is_tag(__u64 protocol)
{
	return protocol == ETH_P_8021Q || protocol == ETH_P_8021AD;
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
	/* the IP header has been found before: its protocol stands right in front of it */
	if (is_tag(protocol) && !i->at_tag && skb_bytes(i, l3 - 4, tag, sizeof(tag))) {
		i->vlan = i->vlan ?: 0x8000 | (bpf_ntohs(*(__be16 *)tag) & 0xfff);
		protocol = bpf_ntohs(*(__be16 *)(tag + 2));
		FORGET_RANGE(protocol);
	}
	for (int n = 0; n < 2; n++) {
		if (!is_tag(protocol))
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
