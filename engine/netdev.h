/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* netdev.h - network devices of this host, in whatever namespace. */
#ifndef BPFNET_NETDEV_H
#define BPFNET_NETDEV_H

#include <stdbool.h>

/*
 * Is there a device of this name in any network namespace that a process is in, or that has a name
 * under /run/netns? True also if namespaces can't be looked at.
 */
bool netdev_exists(const char *name);

#endif
