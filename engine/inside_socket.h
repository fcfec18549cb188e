/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * inside_socket.h - the socket of a process that `bpfnet repl --attach` connects to.
 *
 * /run/bpfnet/PID.sock for root, $XDG_RUNTIME_DIR/bpfnet/PID.sock for others: in a directory that only the owner can enter.
 */
#ifndef BPFNET_INSIDE_SOCKET_H
#define BPFNET_INSIDE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "err.h"

/*
 * Listens, once in a process; returns the descriptor or -errno. Removes what dead processes left in the directory. The
 * socket's file goes with inside_unlisten(), and with exit().
 */
int inside_listen(struct err *err);
void inside_unlisten(int *fd);
/* Accepts; -1 if there is nobody, or somebody who may not: *uid tells who that was. */
int inside_accept(int fd, pid_t *pid, uid_t *uid);
/* Connects to a process; the descriptor, or -errno. */
int inside_connect(pid_t pid, struct err *err);

#endif
