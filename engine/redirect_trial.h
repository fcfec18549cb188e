/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* redirect_trial.h - tries on a connection of our own what the kernel does with a socket in a sockmap. */
#ifndef BPFNET_REDIRECT_TRIAL_H
#define BPFNET_REDIRECT_TRIAL_H

#include <stdbool.h>

/*
 * Does ioctl(FIONREAD) leave out what came by TCP (6.12.75 to 6.12.113, 6.18.14 to 7.1)? sockets_fd: a
 * SOCKHASH with an sk_msg program that passes; keys of 8 bytes. Where it can't be tried: true.
 */
bool redirect_fionread_is_wrong(int sockets_fd);

#endif
