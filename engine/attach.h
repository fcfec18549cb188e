/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* attach.h - attaches one loaded program where its section name says. */
#ifndef BPFNET_ATTACH_H
#define BPFNET_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

/* The kinds of hooks that attach_program() knows. */
bool attach_knows(const char *sec);
/* Why this kernel has no hooks of that kind at all; NULL: it may have. */
const char *attach_refusal(const char *sec);
/* A descriptor that is closed to detach, or -errno. sec: "tp_btf/NAME", "kprobe/NAME", ... */
int attach_program(int prog_fd, const char *sec);
/* How often a kprobe's or kretprobe's link did not run its program, for the kernel had no place for the call
 * or was in a probe already; 0 for all else, and before 6.7, where the kernel does not tell. */
uint64_t attach_missed(int fd);

struct attach_kprobe {
	const char *function; /* used where the address is 0 */
	uint64_t address;
	bool at_return;
	bool has_cookie; /* needs caps_attach_cookie() */
	uint64_t cookie; /* what bpf_get_attach_cookie() gives */
};

/*
 * One of many programs at functions. 0 and two descriptors that are closed to detach, of which link
 * is -1 without a cookie; or -errno.
 */
int attach_kprobe(int prog_fd, const struct attach_kprobe *at, int *event, int *link);

#endif
