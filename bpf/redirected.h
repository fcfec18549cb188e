/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirected.h - what the redirect has carried past TCP, for probes: the kernel's counters of a socket
 * do not know of it.
 *
 * Each redirect has a map `redirect_flows` (redirect.h), in this process or in another one. The engine
 * looks for them and puts them into the slots of `redirects` (engine/redirect_found.c).
 */
#ifndef BPFNET_REDIRECTED_H
#define BPFNET_REDIRECTED_H

#include "probe.h"

#define MAX_REDIRECTS 32

/* How struct flow of redirect.h begins; the engine sets the map's value to its whole size. */
struct redirected_flow {
	__u64 peer;
	__u64 sk;
	__u64 peer_sk;
	__u64 bytes; /* sent past TCP */
	__u64 msgs;
};

/* BPF_F_NO_PREALLOC is taken away where the redirect's maps have not got it either. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_REDIRECTS);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__uint(max_entries, 1);
			__uint(map_flags, BPF_F_NO_PREALLOC);
			__uint(key_size, sizeof(__u64));
			__uint(value_size, sizeof(struct redirected_flow));
		});
} redirects SEC(".maps");

/* Where no redirect can run (before 5.15) its code is left out: 5.10's verifier can't take it. */
const volatile bool cfg_redirects = false;

/* Slots up to here may be in use, so that a host without a redirect pays for one comparison. */
volatile __u32 redirects_used;

struct redirected {
	__u64 rx_bytes;
	__u64 tx_bytes;
	__u64 rx_msgs;
	__u64 tx_msgs;
};

enum { REDIRECTED_RX = 1, REDIRECTED_MSGS = 2 };

/*
 * One number of one redirect. What an end received is what its peer sent. A function of its own, which the
 * verifier checks once: the branches of 32 slots in one program are too many for 6.12.
 */
__noinline __u64 redirected_in(__u32 slot, __u64 cookie, __u32 what)
{
	const struct redirected_flow *flow;
	void *flows;
	__u64 key;

	if (!cfg_redirects)
		return 0;
	flows = bpf_map_lookup_elem(&redirects, &slot);
	if (!flows)
		return 0;
	flow = bpf_map_lookup_elem(flows, &cookie);
	if (flow && what & REDIRECTED_RX) {
		key = flow->peer;
		flow = bpf_map_lookup_elem(flows, &key);
	}
	if (!flow)
		return 0;
	return what & REDIRECTED_MSGS ? flow->msgs : flow->bytes;
}

/*
 * Adds up over all redirects, for a connection may have been in one after the other. cookie: the kernel's
 * own of the socket; 0: it has none.
 */
static __always_inline void redirected_of(struct redirected *sum, __u64 cookie)
{
	sum->rx_bytes = sum->tx_bytes = sum->rx_msgs = sum->tx_msgs = 0;
	if (!cfg_redirects)
		return;
	for (__u32 i = 0; i < MAX_REDIRECTS && i < redirects_used; i++) {
		sum->tx_bytes += redirected_in(i, cookie, 0);
		sum->tx_msgs += redirected_in(i, cookie, REDIRECTED_MSGS);
		sum->rx_bytes += redirected_in(i, cookie, REDIRECTED_RX);
		sum->rx_msgs += redirected_in(i, cookie, REDIRECTED_RX | REDIRECTED_MSGS);
	}
}

#endif
