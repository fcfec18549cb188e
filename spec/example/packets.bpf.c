// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One event per packet that is handed to a device, as an example of bpf/pcap.h; see pcap_spec. */
#include "pcap.h"
#include "probe.h"

struct sk_buff {
	unsigned char *head;
	unsigned char *data;
	unsigned int len, data_len;
	__u16 network_header;
} __attribute__((preserve_access_index));

struct packets_event {
	__u64 ts_ns;
	__u32 len DOC("bytes, with the Ethernet header");
	bool by_ether DOC("the filter matches the frame");
	bool by_ip DOC("the filter matches what is behind the Ethernet header");
	__u16 zero;
};

PROBE_EVENTS(struct packets_event, "one event per packet that a device is to send");

SEC("tp_btf/net_dev_queue")
int BPF_PROG(queue, const struct sk_buff *skb)
{
	struct packets_event ev = { .ts_ns = bpf_ktime_get_ns() };
	const unsigned char *data = BPF_CORE_READ(skb, data), *ip;
	__u32 linear = BPF_CORE_READ(skb, len) - BPF_CORE_READ(skb, data_len), behind;

	ev.len = BPF_CORE_READ(skb, len);
	ip = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	behind = ip - data;
	ev.by_ether = pcap_passes_ether(data, linear, ev.len);
	ev.by_ip = behind <= linear && pcap_passes_ip(ip, linear - behind, ev.len - behind);
	return ev.by_ether || ev.by_ip ? event_send(&ev, sizeof(ev), ev.ts_ns) : 0;
}
