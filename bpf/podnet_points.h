/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* podnet_points.h - where the points are: a table of functions, and programs for tracepoints. */
#ifndef BPFNET_PODNET_POINTS_H
#define BPFNET_PODNET_POINTS_H

#define ROW(name_, number, group_, target_, arg_, extra_, flags_, ...)                             \
	{                                                                                          \
		.point = name_, .target = target_, .group = group_, .id = number, .arg = arg_,     \
		.extra = extra_, .flags = flags_, __VA_ARGS__                                      \
	}
#define FN(name, number, group, target, arg, flags, ...)                                           \
	ROW(name, number, group, target, arg, POINT_NO_ARG, flags, __VA_ARGS__)
#define TP(name, number, group) ROW(name, number, group, "", 0, POINT_NO_ARG, 0)

#define OUT SEEN_DEV_DST

static const struct point_way point_ways[] POINT_WAYS __attribute__((used)) = {
	TP("netif_rx", POINT_NETIF_RX, "device"),
	TP("napi_gro_receive", POINT_NAPI_GRO_RECEIVE, "device"),
	TP("netif_receive_skb", POINT_NETIF_RECEIVE_SKB, "device"),
	FN("packet_rcv", POINT_PACKET_RCV, "packet", "packet_rcv", 0, SEEN_FOLLOW),
	FN("tpacket_rcv", POINT_TPACKET_RCV, "packet", "tpacket_rcv", 0, SEEN_FOLLOW),
	FN("br_handle_frame", POINT_BR_HANDLE_FRAME, "bridge", "br_handle_frame", 0, POINT_DEREF,
	   .module = "bridge"),
	FN("br_nf_pre_routing", POINT_BR_NF_PRE_ROUTING, "bridge", "br_nf_pre_routing", 1, 0,
	   .module = "br_netfilter"),
	FN("br_nf_pre_routing_finish", POINT_BR_NF_PRE_ROUTING_FINISH, "bridge",
	   "br_nf_pre_routing_finish", 2, 0, .module = "br_netfilter"),
	FN("br_nf_pre_routing_finish", POINT_BR_NF_PRE_ROUTING_FINISH, "bridge",
	   "br_nf_pre_routing_finish_ipv6", 2, 0, .module = "br_netfilter"),
	FN("br_handle_frame_finish", POINT_BR_HANDLE_FRAME_FINISH, "bridge",
	   "br_handle_frame_finish", 2, 0, .module = "bridge"),
	FN("br_pass_frame_up", POINT_BR_PASS_FRAME_UP, "bridge", "br_pass_frame_up", 0, 0,
	   .module = "bridge"),
	FN("br_netif_receive_skb", POINT_BR_NETIF_RECEIVE_SKB, "bridge", "br_netif_receive_skb", 2,
	   0, .optional = POINT_OPTIONAL, .module = "bridge"),
	FN("br_forward", POINT_BR_FORWARD, "bridge", "br_forward", 1, 0, .module = "bridge"),
	FN("deliver_clone", POINT_DELIVER_CLONE, "bridge", "deliver_clone", 1, 0,
	   .module = "bridge"),
	FN("deliver_clone", POINT_DELIVER_CLONE, "bridge", "maybe_deliver", 2, 0, .alt = 1,
	   .module = "bridge"),
	FN("__br_forward", POINT___BR_FORWARD, "bridge", "__br_forward", 1, 0, .module = "bridge"),
	FN("br_nf_forward", POINT_BR_NF_FORWARD, "bridge", "br_nf_forward", 1, 0,
	   .module = "br_netfilter"),
	FN("br_nf_forward", POINT_BR_NF_FORWARD, "bridge", "br_nf_forward_ip", 1, 0, .alt = 1,
	   .module = "br_netfilter"),
	FN("br_nf_forward", POINT_BR_NF_FORWARD, "bridge", "br_nf_forward_arp", 1, 0, .alt = 1,
	   .module = "br_netfilter"),
	FN("br_nf_forward_finish", POINT_BR_NF_FORWARD_FINISH, "bridge", "br_nf_forward_finish", 2,
	   0, .module = "br_netfilter"),
	FN("br_forward_finish", POINT_BR_FORWARD_FINISH, "bridge", "br_forward_finish", 2, 0,
	   .module = "bridge"),
	FN("br_nf_post_routing", POINT_BR_NF_POST_ROUTING, "bridge", "br_nf_post_routing", 1, 0,
	   .module = "br_netfilter"),
	FN("br_nf_dev_queue_xmit", POINT_BR_NF_DEV_QUEUE_XMIT, "bridge", "br_nf_dev_queue_xmit", 2,
	   0, .module = "br_netfilter"),
	FN("ip_rcv", POINT_IP_RCV, "ip", "ip_rcv", 0, 0),
	/* newer compilers put most of it into ip_rcv() and ip6_rcv(): few packets would be seen */
	FN("ip_rcv_finish", POINT_IP_RCV_FINISH, "ip", "ip_rcv_finish", 2, 0,
	   .before = KERNEL_VERSION(6, 0, 0)),
	FN("ip_local_deliver", POINT_IP_LOCAL_DELIVER, "ip", "ip_local_deliver", 0, 0),
	FN("ip_forward", POINT_IP_FORWARD, "ip", "ip_forward", 0, 0),
	FN("ip_local_out", POINT_IP_LOCAL_OUT, "ip", "__ip_local_out", 2,
	   OUT | SEEN_SENDER | SEEN_AT_ENTRY(ENTRY_LOCAL_OUT)),
	FN("ip_output", POINT_IP_OUTPUT, "ip", "ip_output", 2, OUT | SEEN_SENDER),
	FN("ip_finish_output", POINT_IP_FINISH_OUTPUT, "ip", "ip_finish_output", 2, OUT),
	FN("ipv6_rcv", POINT_IPV6_RCV, "ip", "ipv6_rcv", 0, 0),
	FN("ip6_rcv_finish", POINT_IP6_RCV_FINISH, "ip", "ip6_rcv_finish", 2, 0,
	   .before = KERNEL_VERSION(5, 0, 0)),
	FN("ip6_input", POINT_IP6_INPUT, "ip", "ip6_input", 0, 0),
	FN("ip6_forward", POINT_IP6_FORWARD, "ip", "ip6_forward", 0, 0),
	FN("ip6_local_out", POINT_IP6_LOCAL_OUT, "ip", "ip6_local_out", 2,
	   OUT | SEEN_SENDER | SEEN_AT_ENTRY(ENTRY_LOCAL_OUT)),
	FN("ip6_output", POINT_IP6_OUTPUT, "ip", "ip6_output", 2, OUT | SEEN_SENDER),
	FN("ip6_finish_output", POINT_IP6_FINISH_OUTPUT, "ip", "ip6_finish_output", 2, OUT),
	ROW("nf_hook_slow", POINT_NF_HOOK_SLOW, "netfilter", "nf_hook_slow", 0, 1,
	    POINT_RETURN | POINT_ENTER | SEEN_FOLLOW),
	ROW("ipt_do_table", POINT_IPT_DO_TABLE, "netfilter", "ipt_do_table", 0, 2,
	    POINT_RETURN | POINT_ENTER | SEEN_FOLLOW, .before = KERNEL_VERSION(5, 16, 0),
	    .module = "ip_tables"),
	ROW("ipt_do_table", POINT_IPT_DO_TABLE, "netfilter", "ip6t_do_table", 0, 2,
	    POINT_RETURN | POINT_ENTER | SEEN_FOLLOW, .before = KERNEL_VERSION(5, 16, 0),
	    .module = "ip6_tables"),
	ROW("ipt_do_table", POINT_IPT_DO_TABLE, "netfilter", "ipt_do_table", 1, 0,
	    POINT_RETURN | POINT_ENTER | SEEN_FOLLOW, .since = KERNEL_VERSION(5, 16, 0),
	    .module = "ip_tables"),
	ROW("ipt_do_table", POINT_IPT_DO_TABLE, "netfilter", "ip6t_do_table", 1, 0,
	    POINT_RETURN | POINT_ENTER | SEEN_FOLLOW, .since = KERNEL_VERSION(5, 16, 0),
	    .module = "ip6_tables"),
	/* the first member of struct nft_pktinfo is the packet */
	ROW("nft_do_chain", POINT_NFT_DO_CHAIN, "netfilter", "nft_do_chain", 0, 1,
	    POINT_RETURN | POINT_ENTER | POINT_DEREF | SEEN_FOLLOW, .module = "nf_tables"),
	TP("net_dev_queue", POINT_NET_DEV_QUEUE, "device"),
	TP("qdisc_enqueue", POINT_QDISC_ENQUEUE, "qdisc"),
	TP("qdisc_dequeue", POINT_QDISC_DEQUEUE, "qdisc"),
	TP("net_dev_start_xmit", POINT_NET_DEV_START_XMIT, "device"),
	FN("tcp_v4_rcv", POINT_TCP_V4_RCV, "transport", "tcp_v4_rcv", 0, 0),
	FN("tcp_v6_rcv", POINT_TCP_V6_RCV, "transport", "tcp_v6_rcv", 0, 0),
	TP("tcp_rcv_established", POINT_TCP_RCV_ESTABLISHED, "transport"),
	FN("udp_rcv", POINT_UDP_RCV, "transport", "udp_rcv", 0, 0),
	FN("udpv6_rcv", POINT_UDPV6_RCV, "transport", "udpv6_rcv", 0, 0),
	FN("icmp_rcv", POINT_ICMP_RCV, "transport", "icmp_rcv", 0, 0),
	FN("icmpv6_rcv", POINT_ICMPV6_RCV, "transport", "icmpv6_rcv", 0, 0),
	ROW("sock_queue", POINT_SOCK_QUEUE, "socket", "tcp_data_queue", 1, 0,
	    SEEN_DEV_NONE | SEEN_EXTRA_SK),
	ROW("sock_queue", POINT_SOCK_QUEUE, "socket", "__udp_enqueue_schedule_skb", 1, 0,
	    SEEN_DEV_NONE | SEEN_EXTRA_SK),
	ROW("sock_queue", POINT_SOCK_QUEUE, "socket", "__sock_queue_rcv_skb", 1, 0,
	    SEEN_DEV_NONE | SEEN_EXTRA_SK),
	TP("sock_read", POINT_SOCK_READ, "socket"),
	FN("delivered", POINT_DELIVERED, "end", "=free", 0, 0),
	FN("freed", POINT_FREED, "end", "=free", 0, 0),
	FN("dropped", POINT_DROPPED, "end", "=drop", 0, 0),
	FN("merged", POINT_MERGED, "end", "kfree_skb_partial", 0,
	   SEEN_DEV_NONE | SEEN_FOLLOW | SEEN_END),
	/* ends of TCP's packets, for which there is no tracepoint */
	FN("__kfree_skb", POINT___KFREE_SKB, "end", "__kfree_skb", 0,
	   SEEN_DEV_NONE | SEEN_FOLLOW | SEEN_END),
	FN("__kfree_skb", POINT___KFREE_SKB, "end", "skb_attempt_defer_free", 0,
	   SEEN_DEV_NONE | SEEN_FOLLOW | SEEN_END),
	FN("skb_clone", POINT_SKB_CLONE, "end", "skb_clone", 0, POINT_RETURN | SEEN_FOLLOW,
	   .optional = POINT_ALWAYS),
	FN("skb_copy", POINT_SKB_COPY, "end", "skb_copy", 0, POINT_RETURN | SEEN_FOLLOW,
	   .optional = POINT_ALWAYS),
	FN("ip_frag_next", POINT_IP_FRAG_NEXT, "end", "ip_frag_next", 0, POINT_RETURN | SEEN_FOLLOW,
	   .optional = POINT_ALWAYS),
	FN("ip_frag_next", POINT_IP_FRAG_NEXT, "end", "ip6_frag_next", 0,
	   POINT_RETURN | SEEN_FOLLOW, .optional = POINT_ALWAYS),
	FN("ip_do_fragment", POINT_IP_DO_FRAGMENT, "end", "ip_do_fragment", 2, SEEN_FOLLOW,
	   .optional = POINT_ALWAYS),
	FN("ip_do_fragment", POINT_IP_DO_FRAGMENT, "end", "ip6_fragment", 2, SEEN_FOLLOW,
	   .optional = POINT_ALWAYS),
	FN("skb_segment", POINT_SKB_SEGMENT, "end", "skb_segment", 0, POINT_RETURN | SEEN_FOLLOW,
	   .optional = POINT_ALWAYS),
};

/* Not inlined: a point's stack and that of all it calls have to fit into 512 bytes. */
static __noinline int is_freed(void *ctx, struct seen *s)
{
	return at_end(ctx, s, NULL, (void *)s->i.skb);
}

/* Points of functions: any number share one of the programs that POINT_PROGRAMS makes. */
static int point_seen(void *ctx, __u64 cookie, __u64 arg, __u64 extra)
{
	const struct sk_buff *skb = (void *)arg;
	__u32 point = POINT_ID(cookie), flags = POINT_FLAGS(cookie);
	struct seen s;

	if (point == POINT_IP_DO_FRAGMENT)
		return parts_made(arg, (__u64)BPF_CORE_READ(skb_shared(skb), frag_list), point);
	look(&s, skb, point, flags, false);
	if (point == POINT_NF_HOOK_SLOW)
		return enters_hook(&s, (void *)extra);
	if (flags & POINT_RETURN)
		return enters_chain(&s, extra);
	if (flags & SEEN_EXTRA_SK)
		s.i.sk = extra;
	if (flags & SEEN_END)
		return is_freed(ctx, &s);
	return passes_by(ctx, &s);
}

static int point_left(void *ctx, const struct point_call *call, __s64 ret)
{
	__u32 point = POINT_ID(call->cookie);

	if (point >= POINT_SKB_CLONE)
		return parts_made(call->arg, ret, point);
	return leaves_hook(ctx, call, point, ret);
}

POINT_PROGRAMS

#define AT_DATA SEEN_L3_AT_DATA

SEC("tp_btf/netif_rx")
int netif_rx__tp_btf(__u64 *ctx)
{
	return at_point(ctx, (void *)ctx[0], POINT_NETIF_RX, AT_DATA | SEEN_AT_ENTRY(ENTRY_RX));
}

SEC("tp_btf/napi_gro_receive_entry")
int napi_gro_receive__tp_btf(__u64 *ctx)
{
	return at_point(ctx, (void *)ctx[0], POINT_NAPI_GRO_RECEIVE,
			AT_DATA | SEEN_AT_ENTRY(ENTRY_RX));
}

SEC("tp_btf/netif_receive_skb")
int netif_receive_skb__tp_btf(__u64 *ctx)
{
	return at_point(ctx, (void *)ctx[0], POINT_NETIF_RECEIVE_SKB,
			AT_DATA | SEEN_AT_ENTRY(ENTRY_RECEIVE));
}

SEC("tp_btf/net_dev_queue")
int net_dev_queue__tp_btf(__u64 *ctx)
{
	return at_point(ctx, (void *)ctx[0], POINT_NET_DEV_QUEUE,
			SEEN_SENDER | SEEN_AT_ENTRY(ENTRY_QUEUE));
}

SEC("tp_btf/net_dev_start_xmit")
int net_dev_start_xmit__tp_btf(__u64 *ctx)
{
	return at_point(ctx, (void *)ctx[0], POINT_NET_DEV_START_XMIT, 0);
}

/* since 5.15 */
OPTIONAL SEC("tp_btf/qdisc_enqueue") int qdisc_enqueue__tp_btf(__u64 *ctx)
{
	return at_point(ctx, (void *)ctx[2], POINT_QDISC_ENQUEUE, 0);
}

SEC("tp_btf/qdisc_dequeue")
int qdisc_dequeue__tp_btf(__u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[3];

	return skb ? at_point(ctx, skb, POINT_QDISC_DEQUEUE, 0) : 0;
}

/* The tracepoint tcp_probe stands at the beginning of tcp_rcv_established(). */
SEC("tp_btf/tcp_probe")
int tcp_rcv_established__tp_btf(__u64 *ctx)
{
	struct seen s;

	look(&s, (void *)ctx[1], POINT_TCP_RCV_ESTABLISHED, SEEN_DEV_NONE, true);
	s.i.sk = ctx[0];
	return passes_by(ctx, &s);
}

SEC("tp_btf/skb_copy_datagram_iovec")
int sock_read__tp_btf(__u64 *ctx)
{
	struct seen s;

	look(&s, (void *)ctx[0], POINT_SOCK_READ, SEEN_DEV_NONE | SEEN_READER | SEEN_FOLLOW, true);
	return is_read(ctx, &s);
}

SEC("tp_btf/consume_skb")
int free__tp_btf(__u64 *ctx)
{
	struct seen s;

	look(&s, (void *)ctx[0], POINT_FREED, SEEN_DEV_NONE | SEEN_FOLLOW | SEEN_END, true);
	return at_end(ctx, &s, NULL, (void *)ctx[0]);
}

SEC("tp_btf/kfree_skb")
int drop__tp_btf(__u64 *ctx)
{
	struct drop drop = { .location = ctx[1] };
	struct seen s;

	if (bpf_core_type_exists(enum skb_drop_reason)) /* with the tracepoint's argument: 5.17 */
		drop.reason = ctx[2];
	look(&s, (void *)ctx[0], POINT_DROPPED, SEEN_END, true);
	return at_end(ctx, &s, &drop, (void *)ctx[0]);
}

#endif