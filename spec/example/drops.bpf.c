// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One event per dropped UDP packet: the types of fields for addresses and stacks of the kernel. */
#include "probe.h"

struct drops_event {
	__u64 ts_ns DOC("time of the drop");
	ksym_t location DOC("where in the kernel");
	drop_reason_t reason DOC("why");
	kstack_t stack DOC("how it came there");
	__be16 dport DOC("port that the packet was for");
	__u16 zero1;
	__u32 zero2;
};

PROBE_EVENTS(struct drops_event, "one event per dropped UDP packet");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 32 * sizeof(__u64));
} stacks SEC(".maps");

struct sk_buff___drops {
	unsigned char *head;
	__u16 network_header;
	__u16 transport_header;
} __attribute__((preserve_access_index));

/* Offsets into the packet: its header's protocol in IPv4, the port in UDP. */
#define PROTOCOL 9
#define DPORT    2

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop, const struct sk_buff___drops *skb, void *location, drop_reason_t reason)
{
	const unsigned char *head = BPF_CORE_READ(skb, head);
	struct drops_event ev = {};
	__u8 protocol = 0;

	bpf_probe_read_kernel(&protocol, sizeof(protocol),
			      head + BPF_CORE_READ(skb, network_header) + PROTOCOL);
	if (protocol != 17)
		return 0;
	bpf_probe_read_kernel(&ev.dport, sizeof(ev.dport),
			      head + BPF_CORE_READ(skb, transport_header) + DPORT);
	ev.ts_ns = bpf_ktime_get_ns();
	ev.location = (__u64)location;
	ev.reason = reason;
	ev.stack = (kstack_t)bpf_get_stackid(ctx, &stacks, 0);
	return event_send(&ev, sizeof(ev), ev.ts_ns);
}
