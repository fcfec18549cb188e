/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter_set.h - the values that a probe filters by.
 *
 * The engine writes the values into filter_set (exact values) and filter_nets (address ranges),
 * then sets filter_active, whose low bits say which kinds are filtered. Two banks make a change
 * atomic: new values go into the bank not in use, and one 8-byte store moves everyone over.
 *
 * What the kinds are says an enum filter_kind of the header that includes this one; the engine
 * finds a kind by its name in BTF: FILTER_PID is the filter `pid`.
 */
#ifndef BPFNET_FILTER_SET_H
#define BPFNET_FILTER_SET_H

#include "sock.h"

#define FILTER_BANK_SHIFT 32

struct filter_key {
	__u32 kind; /* enum filter_kind, and the bank in bit 16 */
	__u8 value[16];
};

struct filter_net {
	__u32 prefixlen; /* 32 for kind, and the network's own */
	__u32 kind;
	struct in6_addr addr; /* IPv4 as ::ffff:a.b.c.d */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct filter_key);
	__type(value, __u8);
} filter_set SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct filter_net);
	__type(value, __u8);
} filter_nets SEC(".maps");

volatile __u64 filter_active = 0;

static __always_inline bool filter_has(__u32 bank, __u32 kind, const void *value, __u32 size)
{
	struct filter_key key = { .kind = kind | bank };

	__builtin_memcpy(key.value, value, size);
	return bpf_map_lookup_elem(&filter_set, &key);
}

static __always_inline bool filter_has_int(__u32 bank, __u32 kind, __u64 value)
{
	return filter_has(bank, kind, &value, sizeof(value));
}

/*
 * Whose container a cgroup or namespace is has been decided in user space (lua/bpfnet/pod_filter.lua), where
 * names are known; here is the verdict.
 */
enum pod_verdict {
	POD_UNDECIDED,
	POD_WANTED,
	POD_UNWANTED,
	POD_NONE, /* no container's: the cgroup of the task decides; unwanted if that is none's, too */
	POD_NONE_WANTED, /* likewise, but wanted then */
};

enum pod_verdict *pod_verdicts; /* keeps the numbers in BTF */

static __always_inline __u32 filter_pod_verdict(__u32 bank, __u32 kind, __u64 key)
{
	struct filter_key k = { .kind = kind | bank };
	__u8 *verdict;

	__builtin_memcpy(k.value, &key, sizeof(key));
	verdict = bpf_map_lookup_elem(&filter_set, &k);
	return verdict ? *verdict : POD_UNDECIDED;
}

static __always_inline bool filter_has_net(__u32 bank, __u32 kind, const struct in6_addr *addr)
{
	struct filter_net key = { .prefixlen = 32 + 128, .kind = kind | bank, .addr = *addr };

	return bpf_map_lookup_elem(&filter_nets, &key);
}

#define FILTERED(kind) (active & (1ULL << (kind)))

#endif
