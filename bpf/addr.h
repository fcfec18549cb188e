/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* addr.h - reading the kernel's structs, and addresses as all of ours have them: IPv4 as v4-mapped. */
#ifndef BPFNET_ADDR_H
#define BPFNET_ADDR_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

/*
 * Kernel memory is read directly where the verifier trusts the pointer, else through a helper. A
 * member that is a pointer itself always goes through the helper: for each load of one the verifier
 * searches the kernel's BTF by name, which takes longer than all the rest of loading.
 */
#define GET(trusted, p, field) ((trusted) ? (p)->field : BPF_CORE_READ(p, field))

static __always_inline void set_mapped(struct in6_addr *a, __be32 v4)
{
	a->s6_addr64[0] = 0;
	a->s6_addr32[2] = bpf_htonl(0xffff);
	a->s6_addr32[3] = v4;
}

static __always_inline bool is_mapped(const struct in6_addr *a)
{
	return !a->s6_addr64[0] && a->s6_addr32[2] == bpf_htonl(0xffff);
}

#endif
