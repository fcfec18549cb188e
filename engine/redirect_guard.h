/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_guard.h - a child process that lets all connections go if this process is killed.
 *
 * A socket in a sockmap needs somebody who looks after it: data that went by TCP behind redirected data may
 * wait for a reader that was not told of it (bpf/README.md). A killed process can't, so its child does.
 */
#ifndef BPFNET_REDIRECT_GUARD_H
#define BPFNET_REDIRECT_GUARD_H

struct redirect;

/* Once all is attached. Without a child (a warning says why) the redirect works, but for that. */
void redirect_guard_start(struct redirect *r);
/* Connections have been let go: the child ends, and is waited for. */
void redirect_guard_end(struct redirect *r);

#endif
