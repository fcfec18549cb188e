// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One event per dropped UDP packet, with lists: of its way through the kernel, and of all kinds. */
#include "probe.h"

enum path_kind { PATH_KIND_FIRST, PATH_KIND_OTHER };

struct path_hop {
	ksym_t at;
	drop_reason_t reason;
	opt_u32 gap_ns;
	enum path_kind kind;
	errno_t error;
	__be16 port;
	tcp_flags_t flags;
	bool last;
	char dev[8];
	struct mac_addr mac;
	__u16 zero1;
	struct in_addr addr;
	__u32 nth;
};

struct path_event {
	__u64 ts_ns;
	__u8 nr_hops;
	__u8 zero2;
	__be16 dport;
	__u32 nr_addrs;
	struct path_hop hops[3];
	struct in6_addr addrs[2];
};

PROBE_EVENTS(struct path_event, "one event per dropped UDP packet");

struct sk_buff___path {
	unsigned char *head;
	__u16 transport_header;
} __attribute__((preserve_access_index));

/* More hops than there is room for are told with the fourth packet. */
__u8 packets;

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop, const struct sk_buff___path *skb, void *location, drop_reason_t reason)
{
	const unsigned char *head = BPF_CORE_READ(skb, head);
	struct path_event ev = {};

	bpf_probe_read_kernel(&ev.dport, sizeof(ev.dport),
			      head + BPF_CORE_READ(skb, transport_header) + 2);
	if (ev.dport != bpf_htons(4712))
		return 0;
	ev.ts_ns = bpf_ktime_get_ns();
	ev.nr_hops = packets++;
	ev.nr_addrs = 1;
	ev.addrs[0].s6_addr[15] = 1;
	for (int i = 0; i < 3; i++) {
		ev.hops[i].at = (__u64)location;
		ev.hops[i].reason = reason;
		ev.hops[i].gap_ns = i ? (__u32)i : (__u32)OPT_NONE;
		ev.hops[i].kind = i ? PATH_KIND_OTHER : PATH_KIND_FIRST;
		ev.hops[i].nth = (__u32)i;
	}
	return event_send(&ev, sizeof(ev), ev.ts_ns);
}
