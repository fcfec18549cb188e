/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * reasons.h - names of the reasons for which this kernel drops packets, from its BTF.
 *
 * SKB_DROP_REASON_NETFILTER_DROP is "netfilter_drop". Numbers differ from kernel to kernel, and
 * before 5.17 there are none. In the upper half of a number stands the subsystem whose reason it is
 * (6.4); reasons of mac80211 and Open vSwitch have names where these are part of the kernel itself.
 */
#ifndef BPFNET_REASONS_H
#define BPFNET_REASONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct enum_name;

/* Reads the names when first called. 0, also if the kernel has none; -ENOMEM. */
int reasons_read(void);
/* The names, ascending by number, and how many there are. They stay as they are for good. */
const struct enum_name *reasons_names(int *n);
/*
 * Name of a reason, or "openvswitch:7" for one of a subsystem that has no name, in buf, which has at
 * least 48 bytes. NULL if it has neither.
 */
const char *reason_text(uint32_t reason, char *buf);
/* The other way round. False if there is no such reason. */
bool reason_number(const char *text, uint32_t *reason);

#endif
