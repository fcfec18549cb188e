/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* filter_packet.h - filters on a packet, decided when it is seen for the first time. */
#ifndef BPFNET_FILTER_PACKET_H
#define BPFNET_FILTER_PACKET_H

#include "filter_set.h"
#include "headers.h"

enum filter_kind {
	FILTER_PID,
	FILTER_NETNS,
	FILTER_IFNAME,
	FILTER_IFINDEX,
	FILTER_MARK,
	FILTER_VLAN,
	FILTER_FAMILY,
	FILTER_PROTO,
	FILTER_SPORT,
	FILTER_DPORT,
	FILTER_PORT,
	FILTER_SADDR,
	FILTER_DADDR,
	FILTER_ADDR,
	FILTER_POD, /* by the namespace: lua/bpfnet/pod_filter.lua knows whose it is */
};

enum filter_kind *filter_kinds; /* keeps the names in BTF */

static __always_inline bool filter_passes_dev(const struct skb_info *i, __u64 active)
{
	struct net_device *dev = (void *)i->dev;
	__u32 bank = active >> FILTER_BANK_SHIFT;
	char name[16] = {};

	if (FILTERED(FILTER_IFINDEX) &&
	    (!dev || !filter_has_int(bank, FILTER_IFINDEX, BPF_CORE_READ(dev, ifindex))))
		return false;
	if (!FILTERED(FILTER_IFNAME))
		return true;
	if (!dev)
		return false;
	bpf_probe_read_kernel_str(name, sizeof(name), dev->name);
	return filter_has(bank, FILTER_IFNAME, name, sizeof(name));
}

static __always_inline bool filter_passes_net(const struct headers *h, __u64 active)
{
	__u32 bank = active >> FILTER_BANK_SHIFT;

	if (FILTERED(FILTER_SADDR) && !filter_has_net(bank, FILTER_SADDR, &h->saddr))
		return false;
	if (FILTERED(FILTER_DADDR) && !filter_has_net(bank, FILTER_DADDR, &h->daddr))
		return false;
	if (FILTERED(FILTER_ADDR) && !filter_has_net(bank, FILTER_ADDR, &h->saddr) &&
	    !filter_has_net(bank, FILTER_ADDR, &h->daddr))
		return false;
	return true;
}

static __always_inline bool filter_passes_ports(const struct headers *h, __u64 active)
{
	__u32 bank = active >> FILTER_BANK_SHIFT;

	if (FILTERED(FILTER_FAMILY) && !filter_has_int(bank, FILTER_FAMILY, h->family))
		return false;
	if (FILTERED(FILTER_PROTO) && !filter_has_int(bank, FILTER_PROTO, h->proto))
		return false;
	if (FILTERED(FILTER_SPORT) && !filter_has_int(bank, FILTER_SPORT, h->sport))
		return false;
	if (FILTERED(FILTER_DPORT) && !filter_has_int(bank, FILTER_DPORT, h->dport))
		return false;
	if (FILTERED(FILTER_PORT) && !filter_has_int(bank, FILTER_PORT, h->sport) &&
	    !filter_has_int(bank, FILTER_PORT, h->dport))
		return false;
	return true;
}

/* A namespace that is no pod's, or not known yet, has the verdict of number 0, which none has. */
static __always_inline bool filter_passes_pod(__u32 bank, __u32 netns)
{
	__u32 verdict = filter_pod_verdict(bank, FILTER_POD, netns);

	if (verdict == POD_UNDECIDED)
		verdict = filter_pod_verdict(bank, FILTER_POD, 0);
	return verdict == POD_WANTED;
}

/* netns, pid: of the packet's device and socket, 0 if not known. */
static __noinline bool filter_passes(const struct skb_info *i, const struct headers *h, __u32 netns,
				     __u32 pid)
{
	__u64 active = filter_active;
	__u32 bank = active >> FILTER_BANK_SHIFT;

	if (!(__u32)active)
		return true;
	if (FILTERED(FILTER_NETNS) && !filter_has_int(bank, FILTER_NETNS, netns))
		return false;
	if (FILTERED(FILTER_POD) && !filter_passes_pod(bank, netns))
		return false;
	if (FILTERED(FILTER_PID) && !filter_has_int(bank, FILTER_PID, pid))
		return false;
	if (FILTERED(FILTER_MARK) && !filter_has_int(bank, FILTER_MARK, i->mark))
		return false;
	if (FILTERED(FILTER_VLAN) &&
	    (!i->vlan || !filter_has_int(bank, FILTER_VLAN, i->vlan & 0xfff)))
		return false;
	return filter_passes_ports(h, active) && filter_passes_net(h, active) &&
	       filter_passes_dev(i, active);
}

#endif
