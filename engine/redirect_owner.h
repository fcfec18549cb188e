/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* redirect_owner.h - which process has a socket, found in /proc by the socket's inode. */
#ifndef BPFNET_REDIRECT_OWNER_H
#define BPFNET_REDIRECT_OWNER_H

#include <stdbool.h>
#include <stdint.h>

/* True if one of the processes has a descriptor of that socket. */
bool socket_is_of(uint64_t ino, const int *pids, int n);
#endif
