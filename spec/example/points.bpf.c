// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Points of all kinds, for spec/points_spec.lua: one event for each that a UDP datagram passes. */
#include "points.h"

enum point {
	POINT_NET_DEV_QUEUE = 1,
	POINT_NETIF_RECEIVE_SKB,
	POINT_IP_RCV,
	POINT_IP_OUTPUT,
	POINT_NF_HOOK_SLOW = 70, /* of the second word of cfg_points */
	POINT_IP_FINISH_OUTPUT,
	POINT_TCP_V4_RCV,
	POINT_BR_HANDLE_FRAME,
	POINT_UDP_RCV,
	POINT_NOWHERE,
	POINT_NO_TRACEPOINT,
	POINT_OPTIONAL_RCV,
};

struct points_event {
	__u64 ts_ns;
	__u64 skb;
	__u64 spent_ns DOC("from the function's begin to its end");
	__s32 ret;
	enum point point;
	__be16 dport DOC("of a UDP datagram; 0: of anything else");
	bool left DOC("seen at its end");
	bool wanted DOC("is in cfg_points");
	__u8 zero[4];
};

const volatile __u64 cfg_points[2] = { 0 };

PROBE_EVENTS(struct points_event, "one event per point that a UDP datagram passes");

/* sk_buff, as far as it is read */
struct sk_buff___points {
	unsigned char *head;
	__u16 transport_header;
	__u16 network_header;
} __attribute__((preserve_access_index));

#define ROW(name, target, group, id, arg, extra, ...)                                              \
	{                                                                                          \
		name, target, group, id, arg, extra, __VA_ARGS__                                   \
	}

const struct point_way point_ways[] POINT_WAYS = {
	{ "net_dev_queue", "", "device", POINT_NET_DEV_QUEUE },
	{ "netif_receive_skb", "", "device", POINT_NETIF_RECEIVE_SKB },
	{ "ip_rcv", "ip_rcv", "ip", POINT_IP_RCV, 0, POINT_NO_ARG },
	{ "ip_output", "no_such_function", "ip", POINT_IP_OUTPUT, 0, POINT_NO_ARG, .alt = 0 },
	{ "ip_output", "ip_output", "ip", POINT_IP_OUTPUT, 2, 1, .alt = 1 },
	{ "nf_hook_slow", "nf_hook_slow", "netfilter", POINT_NF_HOOK_SLOW, 0, 1,
	  .flags = POINT_RETURN },
	{ "ip_finish_output", "ip_finish_output", "ip", POINT_IP_FINISH_OUTPUT, 2, POINT_NO_ARG,
	  .flags = POINT_RETURN | POINT_ENTER },
	{ "tcp_v4_rcv", "tcp_v4_rcv", "socket", POINT_TCP_V4_RCV, 0, POINT_NO_ARG },
	{ "br_handle_frame", "br_handle_frame", "bridge", POINT_BR_HANDLE_FRAME, 0, POINT_NO_ARG,
	  .flags = POINT_DEREF, .module = "bridge" },
	{ "udp_rcv", "udp_rcv", "socket", POINT_UDP_RCV, 0, POINT_NO_ARG, .flags = POINT_RETURN },
	{ "nowhere", "no_such_function", "ip", POINT_NOWHERE, 0, POINT_NO_ARG },
	{ "no_tracepoint", "", "device", POINT_NO_TRACEPOINT },
	{ "optional_rcv", "ip_rcv_core", "ip", POINT_OPTIONAL_RCV, 0, POINT_NO_ARG,
	  .optional = true },
};

static __always_inline void read_dport(struct points_event *ev, const struct sk_buff___points *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	__u16 network = BPF_CORE_READ(skb, network_header);
	__u8 ip[24] = {};

	/* a header of 20 bytes, without options */
	bpf_probe_read_kernel(ip, sizeof(ip), head + network);
	ev->dport = ip[0] == 0x45 && ip[9] == 17 ? *(__be16 *)(ip + 22) : 0;
}

static __always_inline int send_point(enum point point, __u64 skb, __u64 spent_ns, __s64 ret,
				      bool left)
{
	struct points_event ev = { .ts_ns = bpf_ktime_get_ns() };

	ev.skb = skb;
	ev.spent_ns = spent_ns;
	ev.ret = (__s32)ret;
	ev.point = point;
	ev.left = left;
	ev.wanted = cfg_points[(point >> 6) & 1] >> (point & 63) & 1;
	read_dport(&ev, (void *)skb);
	return ev.dport ? event_send(&ev, sizeof(ev), ev.ts_ns) : 0;
}

static int point_seen(void *ctx, __u64 cookie, __u64 arg, __u64 extra)
{
	return send_point(POINT_ID(cookie), arg, 0, 0, false);
}

static int point_left(void *ctx, const struct point_call *call, __s64 ret)
{
	return send_point(POINT_ID(call->cookie), call->arg, bpf_ktime_get_ns() - call->ts_ns, ret,
			  true);
}

POINT_PROGRAMS

SEC("tp_btf/net_dev_queue")
int net_dev_queue__btf(__u64 *ctx)
{
	return send_point(POINT_NET_DEV_QUEUE, point_number(ctx[0]), 0, 0, false);
}

SEC("tp_btf/netif_receive_skb")
int netif_receive_skb__btf(__u64 *ctx)
{
	return send_point(POINT_NETIF_RECEIVE_SKB, point_number(ctx[0]), 0, 0, false);
}

SEC("tp_btf/no_such_tracepoint")
int no_tracepoint__btf(__u64 *ctx)
{
	return send_point(POINT_NO_TRACEPOINT, point_number(ctx[0]), 0, 0, false);
}
