/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What test_pcap.c puts packet filters into: the packet is in a variable, its address only a number. */
#include "pcap.h"

struct test_packet {
	__u32 caplen;
	__u32 wirelen;
	__u8 bytes[2048];
} packet;

volatile __u64 where;

SEC("raw_tp")
int ether(void *ctx)
{
	where = (__u64)packet.bytes;
	return pcap_passes_ether((const void *)where, packet.caplen, packet.wirelen);
}

SEC("raw_tp")
int ip(void *ctx)
{
	where = (__u64)packet.bytes;
	return pcap_passes_ip((const void *)where, packet.caplen, packet.wirelen);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
