/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* filter.h - filters on a socket event, decided before anything is sent. */
#ifndef BPFNET_FILTER_H
#define BPFNET_FILTER_H

#include "filter_set.h"

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
	FILTER_POD,
};

enum filter_kind *filter_kinds; /* keeps the names in BTF */

/*
 * A cgroup without a verdict is so new that its name is not known yet: such an event is sent, and decided on
 * when it arrives, after the word of the new cgroup.
 */
static __always_inline bool filter_passes_pod(const struct conn *c, __u32 bank)
{
	__u32 verdict = filter_pod_verdict(bank, FILTER_POD, c->cgroup), task;

	if (verdict >= POD_NONE) {
		task = filter_pod_verdict(bank, FILTER_POD, c->task_cgroup);
		if (task < POD_NONE)
			verdict = task;
	}
	return verdict <= POD_WANTED || verdict == POD_NONE_WANTED;
}

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
	return !FILTERED(FILTER_POD) || filter_passes_pod(c, bank);
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
