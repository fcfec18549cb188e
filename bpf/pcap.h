/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pcap.h - does a packet match the probe's packet filter (option "pcap")?
 *
 * The engine puts instructions in the places of the constants (engine/patch.c), made from the
 * filter's text by libpcap and engine/pcap_code.c. They find a struct pcap_room in r6, may use r0 to
 * r8, and leave in r0: 1 if the packet matches, else 0. Without a filter all packets match.
 */
#ifndef BPFNET_PCAP_H
#define BPFNET_PCAP_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>

#define PCAP_ETHER_MARK "0x62706e6574706365" /* "bpnetpce" */
#define PCAP_IP_MARK    "0x62706e6574706369" /* "bpnetpci" */

/* All the stack that a filter takes: 96 bytes, in a frame of its own. */
struct pcap_room {
	__u64 data;
	__u32 caplen;
	__u32 wirelen;
	__u64 words[10]; /* bytes of the packet, and the filter's variables */
};

#define PCAP_FILTER(name, mark)                                                                    \
	static __noinline __u64 name(__u64 data, __u32 caplen, __u32 wirelen)                      \
	{                                                                                          \
		struct pcap_room room;                                                             \
		__u64 verdict;                                                                     \
                                                                                                   \
		room.data = data;                                                                  \
		room.caplen = caplen;                                                              \
		room.wirelen = wirelen;                                                            \
		asm volatile("r6 = %[room]\n"                                                      \
			     "r0 = " mark " ll\n"                                                  \
			     "%[verdict] = r0\n"                                                   \
			     : [verdict] "=r"(verdict)                                             \
			     : [room] "r"(&room)                                                   \
			     : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "memory");    \
		return verdict;                                                                    \
	}

PCAP_FILTER(pcap_filter_ether, PCAP_ETHER_MARK)
PCAP_FILTER(pcap_filter_ip, PCAP_IP_MARK)

/*
 * data: kernel address of the first byte of the Ethernet header; caplen: so many bytes may be read
 * there; wirelen: the length of the packet, what pcap calls `len`.
 */
static __always_inline bool pcap_passes_ether(const void *data, __u32 caplen, __u32 wirelen)
{
	return pcap_filter_ether((__u64)data, caplen, wirelen);
}

/* The same from the IP header on, for packets that have no Ethernet header (any more, or yet). */
static __always_inline bool pcap_passes_ip(const void *data, __u32 caplen, __u32 wirelen)
{
	return pcap_filter_ip((__u64)data, caplen, wirelen);
}

#endif
