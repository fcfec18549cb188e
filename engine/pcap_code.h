/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pcap_code.h - packet filters in the syntax of libpcap as instructions for the marks of bpf/pcap.h.
 *
 * They agree with what libpcap's own interpreter says of the same bytes. The part of the packet that
 * most of a filter's loads are about is read in one piece, each other load is a call.
 */
#ifndef BPFNET_PCAP_CODE_H
#define BPFNET_PCAP_CODE_H

#include "code.h"
#include "err.h"
#include "patch.h"

/* A filter ready for both marks. All zero: none, all packets match. */
struct pcap_filter {
	char *text;
	struct code ether;
	struct code ip;
};

/*
 * Writes the code for PATCH_PCAP_ETHER or PATCH_PCAP_IP, finished. A filter that asks for something
 * that only Ethernet frames have makes code for PATCH_PCAP_IP that matches nothing. 0; -EINVAL for a
 * filter that is wrong, or that asks for what the bytes of a packet don't tell; -E2BIG; -ENOMEM.
 */
int pcap_code(const char *text, enum patch_mark which, struct code *code, struct err *err);
/* Likewise, for both. On an error it is all zero. */
int pcap_filter_init(struct pcap_filter *filter, const char *text, struct err *err);
void pcap_filter_free(struct pcap_filter *filter);

#endif
