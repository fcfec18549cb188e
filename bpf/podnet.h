/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * podnet.h - a packet's way through this host's network stack: the points, and what is known of a
 * packet at each. podnet.bpf.c sends an event per point, podnet_path.bpf.c one per packet, and
 * podnet_span.bpf.c one for two points and the time between.
 *
 * Each of these defines, before including podnet_run.h,
 *	struct packet, beginning with struct track
 *	packet_first(), packet_at(), packet_lost()
 */
#ifndef BPFNET_PODNET_H
#define BPFNET_PODNET_H

#include "packet.h"
#include "pcap.h"

enum point {
	POINT_UNKNOWN,
	/* device in */
	POINT_NETIF_RX,
	POINT_NAPI_GRO_RECEIVE,
	POINT_NETIF_RECEIVE_SKB,
	/* packet sockets */
	POINT_PACKET_RCV,
	POINT_TPACKET_RCV,
	/* bridge */
	POINT_BR_HANDLE_FRAME,
	POINT_BR_NF_PRE_ROUTING,
	POINT_BR_NF_PRE_ROUTING_FINISH,
	POINT_BR_HANDLE_FRAME_FINISH,
	POINT_BR_PASS_FRAME_UP,
	POINT_BR_NETIF_RECEIVE_SKB,
	POINT_BR_FORWARD,
	POINT_DELIVER_CLONE,
	POINT___BR_FORWARD,
	POINT_BR_NF_FORWARD,
	POINT_BR_NF_FORWARD_FINISH,
	POINT_BR_FORWARD_FINISH,
	POINT_BR_NF_POST_ROUTING,
	POINT_BR_NF_DEV_QUEUE_XMIT,
	/* IP */
	POINT_IP_RCV,
	POINT_IP_RCV_FINISH,
	POINT_IP_LOCAL_DELIVER,
	POINT_IP_FORWARD,
	POINT_IP_LOCAL_OUT,
	POINT_IP_OUTPUT,
	POINT_IP_FINISH_OUTPUT,
	POINT_IPV6_RCV,
	POINT_IP6_RCV_FINISH,
	POINT_IP6_INPUT,
	POINT_IP6_FORWARD,
	POINT_IP6_LOCAL_OUT,
	POINT_IP6_OUTPUT,
	POINT_IP6_FINISH_OUTPUT,
	/* netfilter */
	POINT_NF_HOOK_SLOW,
	POINT_IPT_DO_TABLE,
	POINT_NFT_DO_CHAIN,
	/* device out */
	POINT_NET_DEV_QUEUE,
	POINT_QDISC_ENQUEUE,
	POINT_QDISC_DEQUEUE,
	POINT_NET_DEV_START_XMIT,
	/* transport */
	POINT_TCP_V4_RCV,
	POINT_TCP_V6_RCV,
	POINT_TCP_RCV_ESTABLISHED,
	POINT_UDP_RCV,
	POINT_UDPV6_RCV,
	POINT_ICMP_RCV,
	POINT_ICMPV6_RCV,
	/* socket */
	POINT_SOCK_QUEUE,
	POINT_SOCK_READ,
	/* ends */
	POINT_DELIVERED,
	POINT_FREED,
	POINT_DROPPED,
	POINT_MERGED,
	/* never sent: an end is told as freed or delivered; a part as itself at its first point */
	POINT___KFREE_SKB,
	POINT_SKB_CLONE,
	POINT_SKB_COPY,
	POINT_SKB_SEGMENT,
	POINT_IP_FRAG_NEXT,
	POINT_IP_DO_FRAGMENT,
} __attribute__((packed));

/* Numbers as in include/uapi/linux/netfilter.h; bridges and ARP use the same places. */
enum hook {
	HOOK_PREROUTING,
	HOOK_INPUT,
	HOOK_FORWARD,
	HOOK_OUTPUT,
	HOOK_POSTROUTING,
	HOOK_INGRESS,
	HOOK_NONE = 255,
} __attribute__((packed));

enum pf {
	PF_NONE = 0,
	PF_INET = 1,
	PF_IPV4 = 2,
	PF_ARP = 3,
	PF_NETDEV = 5,
	PF_BRIDGE = 7,
	PF_IPV6 = 10,
} __attribute__((packed));

enum verdict {
	VERDICT_DROP,
	VERDICT_ACCEPT,
	VERDICT_STOLEN,
	VERDICT_QUEUE,
	VERDICT_REPEAT,
	VERDICT_NONE = 255,
} __attribute__((packed));

/* What is known of a packet, whatever the mode. */
struct facts {
	__u64 ts_ns DOC("time of the event, CLOCK_MONOTONIC");
	__u64 trace DOC("the packet's number: the same at all points, for clones and parts too");
	__u64 skb DOC("address of the struct sk_buff");
	__u64 cookie DOC("cookie of the socket that sends it, or later gets it; 0: none known");
	__u64 cgroup DOC("cgroup v2 id of that socket");
	__u64 netns_cookie DOC("the namespace's cookie, which is never used again; 0: unknown");
	struct headers;
	__u32 len DOC("bytes of the packet at this point, with the headers that it has here");
	__u32 mark DOC("skb->mark");
	__u32 netns DOC("inode of the network namespace");
	__u32 ifindex DOC("number of the network device");
	__u32 cpu DOC("where the event happened");
	__u32 pid DOC("process that sends it, or on the receiver's socket gets it; 0: not known");
	__be16 ether_type DOC("protocol of the frame");
	__u16 vlan DOC("VLAN id, 0: none");
	struct mac_addr smac DOC("source address of the Ethernet frame");
	struct mac_addr dmac DOC("destination address of the Ethernet frame");
	char ifname[16] DOC("name of the network device");
	char comm[16] DOC("name of that process");
};

/* Where netfilter is, or what it has said. */
struct nf {
	opt_u64 spent_ns DOC("time in this hook, table or chain");
	char table[16] DOC("iptables' or nftables' table");
	char chain[24] DOC("nftables' base chain");
	enum hook hook DOC("prerouting, input, forward, output, postrouting or ingress");
	enum pf pf DOC("ipv4, ipv6, bridge, arp, inet or netdev: whose hook it is");
	enum verdict verdict DOC("accept, drop, stolen, queue or repeat");
	__u8 zero_nf[5];
};

/*
 * Not by copying a constant: clang 14 loses the stores that stand before such a copy (its BPF
 * backend takes the constant's loads out of the order of memory accesses).
 */
static __always_inline void clear_nf(struct nf *nf)
{
	__builtin_memset(nf, 0, sizeof(*nf));
	nf->spent_ns = OPT_NONE;
	nf->hook = HOOK_NONE;
	nf->verdict = VERDICT_NONE;
}

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 4096);
	__uint(key_size, 4);
	__uint(value_size, 8 * 32);
} stacks SEC(".maps");

const volatile __u64 cfg_points[2] = { ~0ULL, ~0ULL }; /* bits: the points that are wanted */
const volatile bool cfg_stack = false; /* with the kernel's stack */

static __always_inline bool point_wanted(__u32 point)
{
	return cfg_points[point >> 6 & 1] >> (point & 63) & 1;
}

static __always_inline void set_device(struct facts *f, struct track *t, const struct seen *s)
{
	struct net_device *dev = (void *)s->i.dev;
	__u32 ifindex;

	/* none at a socket: what the packet came in by stays */
	if (!dev || t->dev == s->i.dev)
		return;
	t->dev = s->i.dev;
	ifindex = BPF_CORE_READ(dev, ifindex);
	f->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	f->netns_cookie = net_cookie(BPF_CORE_READ(dev, nd_net.net));
	f->ifindex = ifindex;
	bpf_probe_read_kernel_str(f->ifname, sizeof(f->ifname), dev->name);
}

static __always_inline void set_macs(struct facts *f, const struct seen *s)
{
	__u16 mac = s->i.mac, l3 = s->i.l3;
	__u8 b[12];

	__builtin_memset(&f->smac, 0, sizeof(f->smac));
	__builtin_memset(&f->dmac, 0, sizeof(f->dmac));
	/* an Ethernet header right before, perhaps with VLAN tags between */
	if (mac == 0xffff || l3 < mac + 14 || l3 > mac + 22 || (l3 - mac - 14) % 4)
		return;
	if (!skb_bytes(&s->i, mac, b, sizeof(b)))
		return;
	__builtin_memcpy(&f->dmac, b, 6);
	__builtin_memcpy(&f->smac, b + 6, 6);
}

static __always_inline void set_owner_current(struct facts *f)
{
	f->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(f->comm, sizeof(f->comm));
}

/* A request or what is left in TIME_WAIT is no whole struct sock: it has no cgroup of its own. */
static __always_inline __u64 cgroup_if_full(const struct sock *sk)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	return state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV ? 0 : sock_cgroup(sk);
}

/* Whose socket the packet is at. UDP and others have no table: who sends or reads is the owner. */
static __always_inline void set_owner(struct facts *f, struct track *t, struct seen *s)
{
	const struct sock *sk = (void *)skb_sock(&s->i);
	bool own_task = s->flags & SEEN_READER;
	struct sock_life *life;

	if (sk && (__u64)sk != t->sk) {
		t->sk = (__u64)sk;
		life = sock_life(sk);
		f->cookie = life ? life->cookie : BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
		f->cgroup = cgroup_if_full(sk);
		if (life && life->pid) {
			f->pid = life->pid;
			__builtin_memcpy(f->comm, life->comm, sizeof(f->comm));
			return;
		}
		if (s->flags & SEEN_SENDER && s->identity == IDENTITY_FIRST)
			own_task = context() == CONTEXT_TASK;
	}
	if (own_task)
		set_owner_current(f);
}

static __always_inline void set_facts(struct facts *f, struct track *t, struct seen *s)
{
	f->ts_ns = s->ts_ns;
	f->skb = s->i.skb;
	__builtin_memcpy(&f->saddr, &s->h, sizeof(s->h));
	f->len = s->i.len;
	f->mark = s->i.mark;
	f->cpu = bpf_get_smp_processor_id();
	f->ether_type = bpf_htons(s->i.protocol);
	f->vlan = s->i.vlan & 0xfff;
	set_device(f, t, s);
	set_macs(f, s);
	set_owner(f, t, s);
}

#endif
