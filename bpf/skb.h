/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * skb.h - a packet in the kernel: what struct sk_buff says of it. Its headers: headers.h.
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
	bool at_tag; /* if there is a VLAN tag in the bytes, l3 is where it begins */
	__u8 zero[2];
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
/* A number of its own: nothing may be subtracted from a pointer into the stack (5.10). */
#define SKB_COPY_OFF(field)                                                                        \
	({                                                                                         \
		__u64 _off = SKB_AT(field) - SKB_COPY_AT;                                          \
		asm volatile("" : "+r"(_off));                                                     \
		_off;                                                                              \
	})
/* The compiler drops nothing of this, but the verifier does: offsets are constants when it looks. */
#define SKB_GET(trusted, skb, copy, field)                                                         \
	((trusted)         ? (skb)->field :                                                        \
	 SKB_COPIED(field) ? *(typeof((skb)->field) *)((copy)->bytes + SKB_COPY_OFF(field)) :      \
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
	i->at_tag = how & SKB_L3_AT_DATA;
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

/* Bytes at `off` from head; false if they are not in the linear part. */
static __always_inline bool skb_bytes(const struct skb_info *i, __u32 off, void *to, const __u32 n)
{
	return off + n <= i->linear_end && !bpf_probe_read_kernel(to, n, (void *)(i->head + off));
}

#endif
