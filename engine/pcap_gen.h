/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* pcap_gen.h - where a packet filter's code keeps what, for pcap_code.c and pcap_read.c. */
#ifndef BPFNET_PCAP_GEN_H
#define BPFNET_PCAP_GEN_H

#include "code.h"
#include "pcap_classic.h"

#define PCAP_SLOTS 16 /* variables that classic BPF has */

/* Registers; a call leaves these as they are. */
#define PCAP_ROOM BPF_REG_6 /* struct pcap_room of bpf/pcap.h */
#define PCAP_A    BPF_REG_7 /* both of 32 bits, the upper half is 0 */
#define PCAP_X    BPF_REG_8

/* struct pcap_room */
#define PCAP_DATA    0
#define PCAP_CAPLEN  8
#define PCAP_WIRELEN 12
#define PCAP_WINDOW  16
#define PCAP_LOADED  88 /* what a call has read */

struct pcap_gen {
	const struct pcap_program *prog;
	struct code *code;
	int fail; /* label: the packet does not match */
	int slots[PCAP_SLOTS]; /* offset of each variable in the room; 0: not used */
	/* `size` bytes of the packet from `first` on are read at the start; they go to `at` of the room. */
	uint32_t first, size; /* size 0: none */
	int at;
};

/* Chooses the part of the packet to read at the start, up to `end` of the room, and reads it. */
void pcap_read_window(struct pcap_gen *gen, enum pcap_link link, int end);
/* dst = `size` bytes of the packet from k on, or goto fail */
void pcap_read_at(struct pcap_gen *gen, int dst, uint32_t k, uint32_t size);
/* A = `size` bytes of the packet from X + k on, or goto fail */
void pcap_read_behind_x(struct pcap_gen *gen, uint32_t k, uint32_t size);

#endif
