/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* points_letgo.h - closes descriptors whose closing takes long. */
#ifndef BPFNET_POINTS_LETGO_H
#define BPFNET_POINTS_LETGO_H

#define LETGO_MAX 2048

struct letgo {
	int fds[LETGO_MAX + 1];
	int n;
};

/* Takes a descriptor to be closed, and makes it -1; one that is -1 is nothing. */
void letgo_add(struct letgo *letgo, int *fd);
/*
 * Closes them. At each event and trampoline the kernel waits some 30 ms until nobody can be in it,
 * one after the other; many are left to a child process, which ends by itself.
 */
void letgo(struct letgo *letgo);

#endif
