/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* redirect_owner.h - which process has a socket, found in /proc by the socket's inode. */
#ifndef BPFNET_REDIRECT_OWNER_H
#define BPFNET_REDIRECT_OWNER_H

#include <stdbool.h>
#include <stdint.h>

/* True if one of the processes has a descriptor of that socket. */
bool socket_is_of(uint64_t ino, const int *pids, int n);
/*
 * Makes the kernel tell the socket's process anew that there is something to read, if there is: whoever
 * waits in poll() or epoll_wait() looks again. 0; -ENOENT: no process has it; -errno.
 */
int socket_poke(uint64_t ino);

#endif
