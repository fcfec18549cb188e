/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* redirect_wake.h - tells who waits for a socket that there is something to read. */
#ifndef BPFNET_REDIRECT_WAKE_H
#define BPFNET_REDIRECT_WAKE_H

#include <stdint.h>

/*
 * Runs the iterator link iter_fd, which goes through the TCP sockets of the reader's network namespace,
 * in the one with that inode number. 0; -ENOENT: no process is in it any more; -errno.
 */
int redirect_wake_in(uint32_t netns, int iter_fd);

#endif
