/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter.h - filters on a socket event, decided before anything is sent.
 *
 * The engine writes the values into filter_set (exact values) and filter_nets (address ranges),
 * then sets filter_active, whose low bits say which kinds are filtered. Two banks make a change
 * atomic: new values go into the bank not in use, and one 8-byte store moves everyone over.
 */
#ifndef BPFNET_FILTER_H
#define BPFNET_FILTER_H

#include "sock.h"

/* The engine finds a kind by its name in BTF: FILTER_PID is the filter `pid`. */
enum filter_kind {
	FILTER_PID,
	FILTER_TID,
	FILTER_UID,
	FILTER_NETNS,
	FILTER_CGROUP,
	FILTER_FAMILY,
	FILTER_SPORT,
	FILTER_DPORT,
	FILTER_PORT,
	FILTER_COMM,
	FILTER_SADDR,
	FILTER_DADDR,
	FILTER_ADDR,
};

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
enum filter_kind *filter_kinds; /* keeps the names in BTF */

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

static __always_inline bool filter_has_net(__u32 bank, __u32 kind, const struct in6_addr *addr)
{
	struct filter_net key = { .prefixlen = 32 + 128, .kind = kind | bank, .addr = *addr };

	return bpf_map_lookup_elem(&filter_nets, &key);
}

#define FILTERED(kind) (active & (1ULL << (kind)))

/* The part that looks at addresses and names; most filters never come here. */
static __noinline bool filter_passes_addr(const struct conn *c, __u64 active)
{
	__u32 bank = active >> FILTER_BANK_SHIFT;

	if (FILTERED(FILTER_COMM) && !filter_has(bank, FILTER_COMM, c->comm, sizeof(c->comm)))
		return false;
	if (FILTERED(FILTER_SADDR) && !filter_has_net(bank, FILTER_SADDR, &c->saddr))
		return false;
	if (FILTERED(FILTER_DADDR) && !filter_has_net(bank, FILTER_DADDR, &c->daddr))
		return false;
	if (FILTERED(FILTER_ADDR) && !filter_has_net(bank, FILTER_ADDR, &c->saddr) &&
	    !filter_has_net(bank, FILTER_ADDR, &c->daddr))
		return false;
	return true;
}

static __noinline bool filter_passes_int(const struct conn *c, __u64 active)
{
	__u32 bank = active >> FILTER_BANK_SHIFT;

	if (FILTERED(FILTER_PID) && !filter_has_int(bank, FILTER_PID, c->pid))
		return false;
	if (FILTERED(FILTER_TID) && !filter_has_int(bank, FILTER_TID, c->tid))
		return false;
	if (FILTERED(FILTER_UID) && !filter_has_int(bank, FILTER_UID, c->uid))
		return false;
	if (FILTERED(FILTER_NETNS) && !filter_has_int(bank, FILTER_NETNS, c->netns))
		return false;
	if (FILTERED(FILTER_CGROUP) && !filter_has_int(bank, FILTER_CGROUP, c->cgroup))
		return false;
	if (FILTERED(FILTER_FAMILY) && !filter_has_int(bank, FILTER_FAMILY, c->family))
		return false;
	if (FILTERED(FILTER_SPORT) && !filter_has_int(bank, FILTER_SPORT, c->sport))
		return false;
	if (FILTERED(FILTER_DPORT) && !filter_has_int(bank, FILTER_DPORT, c->dport))
		return false;
	if (FILTERED(FILTER_PORT) && !filter_has_int(bank, FILTER_PORT, c->sport) &&
	    !filter_has_int(bank, FILTER_PORT, c->dport))
		return false;
	return true;
}

#define FILTER_ADDR_KINDS                                                                          \
	(1ULL << FILTER_COMM | 1ULL << FILTER_SADDR | 1ULL << FILTER_DADDR | 1ULL << FILTER_ADDR)

/* True if the event is wanted; one that is not has been counted. */
static __always_inline bool filter_passes(const struct conn *c)
{
	__u64 active = filter_active;

	if (!active)
		return true;
	if (filter_passes_int(c, active) &&
	    (!(active & FILTER_ADDR_KINDS) || filter_passes_addr(c, active)))
		return true;
	COUNT(TALLY_FILTERED);
	return false;
}

#endif
