/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* patch.h - instructions in the places of the marks that the headers in bpf/ leave in programs. */
#ifndef BPFNET_PATCH_H
#define BPFNET_PATCH_H

#include <stdbool.h>
#include <stddef.h>

struct bpf_prog_load_opts;
struct bpf_program;
struct code;

/* What is asked at a mark: each is a constant of 64 bits that a program loads into r0. */
enum patch_mark {
	PATCH_STAGE, /* bpf/probe.h, stage(): 0 sends the event */
	PATCH_PCAP_ETHER, /* bpf/pcap.h, pcap_passes_ether(): 0 leaves the packet out */
	PATCH_PCAP_IP, /* bpf/pcap.h, pcap_passes_ip(): likewise */
	PATCH_EXCHANGE, /* bpf/probe.h, compare_exchange(): patch_program() knows what stands there */
	PATCH_MARKS,
};

/* Finished code for each mark; NULL and empty code: nothing is left out there. */
struct patch_set {
	const struct code *code[PATCH_MARKS];
};

/* What the programs loaded from now on get; NULL: a set without code. Must stay until then. */
void patch_use(const struct patch_set *set);
/*
 * Puts it into a program that libbpf is about to load (from prog_prepare_load_fn, which sees the
 * relocated program, with the functions it calls behind it). 0, -ENOMEM, or -E2BIG if a jump over
 * it becomes too long.
 */
int patch_program(struct bpf_program *prog, struct bpf_prog_load_opts *opts);
/* Do the programs of this object file have the mark anywhere? */
bool patch_has_mark(const void *elf, size_t size, enum patch_mark which);

#endif
