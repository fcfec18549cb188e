/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pcap_classic.h - packet filters in the syntax of libpcap (pcap-filter(7)), as the classic BPF
 * instructions that libpcap makes of them.
 *
 * Hosts are given by their addresses: names are not looked up, so nothing here waits for a network.
 * Ports and protocols may be named as /etc/services and /etc/protocols have them.
 */
#ifndef BPFNET_PCAP_CLASSIC_H
#define BPFNET_PCAP_CLASSIC_H

#include <stdint.h>
#include "err.h"

/* Within these libpcap is done in a second. */
#define PCAP_MAX_TEXT 2048 /* bytes of a filter */
#define PCAP_MAX_CODE 8000 /* instructions that it takes before they are optimized */

/* What the first byte belongs to. */
enum pcap_link { PCAP_LINK_ETHER, PCAP_LINK_IP };

/* struct bpf_insn of libpcap; the kernel's headers have another one of that name. */
struct pcap_insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

struct pcap_program {
	struct pcap_insn *insns;
	int n;
};

/*
 * 0; -EINVAL for a filter that libpcap refuses, with its reason, as for one that can't match any
 * packet; -E2BIG; -ENOMEM.
 */
int pcap_classic(const char *text, enum pcap_link link, struct pcap_program *prog, struct err *err);
void pcap_classic_free(struct pcap_program *prog);
/* err = `pcap: "TEXT": MESSAGE`, in one line. Returns code. */
int pcap_error(const char *text, struct err *err, int code, const char *message);

#endif
