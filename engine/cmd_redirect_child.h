/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cmd_redirect_child.h - one `bpfnet redirect` as a child of this process, for `bpfnet redirect bench`. */
#ifndef BPFNET_CMD_REDIRECT_CHILD_H
#define BPFNET_CMD_REDIRECT_CHILD_H

#include "err.h"

/* From now on SIGINT, SIGTERM and SIGHUP end what waits, with EINTR; redirect_child_check() says it. */
void redirect_child_catch_signals(void);
/* Starts it for a cgroup and waits until it is on. 0 or -errno with what it said; it is gone then. */
int redirect_child_start(const char *cgroup, struct err *err);
/* 0 while it runs and no signal came; else -ECHILD or -EINTR with err. */
int redirect_child_check(struct err *err);
/* Ends it, if there is one, and waits until it has let all go. */
void redirect_child_stop(void);

#endif
