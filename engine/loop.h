/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * loop.h - one thread's event loop: descriptors, timers, signals. Knows neither BPF nor Lua.
 *
 * Callbacks may add and remove anything, themselves too.
 */
#ifndef BPFNET_LOOP_H
#define BPFNET_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include "err.h"

struct loop;
struct loop_watch;
struct loop_timer;

enum loop_end {
	LOOP_STOPPED, /* loop_stop() */
	LOOP_TIMEOUT,
	LOOP_IDLE, /* nothing left to wait for */
	LOOP_INTERRUPTED, /* SIGINT, SIGTERM or SIGHUP */
};

int loop_new(struct loop **loop, struct err *err);
void loop_free(struct loop *loop);
/*
 * Runs until one of the ends; timeout_ns < 0: none. 0; -EBUSY: not from inside a callback; another -errno:
 * the kernel does not let us wait.
 */
int loop_run(struct loop *loop, int64_t timeout_ns, enum loop_end *end);
/* Ends loop_run() after the callback that runs now. */
void loop_stop(struct loop *loop);
/* Takes the wish to end back, or renews it; returns the old one. */
bool loop_set_stop(struct loop *loop, bool stop);
bool loop_is_running(const struct loop *loop);
/* The loop is not idle while somebody holds it. */
void loop_hold(struct loop *loop);
void loop_release(struct loop *loop);

/* events: EPOLLIN, ..., EPOLLET. NULL if the descriptor can't be waited for. */
struct loop_watch *loop_watch(struct loop *loop, int fd, uint32_t events,
			      void (*fn)(void *arg, uint32_t events), void *arg);
void loop_unwatch(struct loop_watch *watch); /* NULL is fine */

/* Made stopped. NULL if out of memory. */
struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg);
/* First after first_ns, then every every_ns (0: once). */
void loop_timer_set(struct loop_timer *timer, uint64_t first_ns, uint64_t every_ns);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* NULL is fine */

/* Called before the loop sleeps, and after; and one after the other at least every 50 ms while it never sleeps. */
void loop_set_sleep_hooks(struct loop *loop, void (*before)(void *arg), void (*after)(void *arg),
			  void *arg);

/*
 * Takes SIGINT, SIGTERM and SIGHUP: the first one ends loop_run() and calls fn(arg) in the handler
 * itself (only async-signal-safe things); the next one after half a second has its default effect.
 */
int loop_catch_signals(struct loop *loop, void (*fn)(void *arg), void *arg, struct err *err);
/* The signal that came, 0 if none. */
int loop_signal(const struct loop *loop);
/*
 * For a session, which a SIGINT does not end: the next ones are caught too, until the first of them has not been
 * taken back by loop_clear_signal(), which makes all as if none had come, and another one comes.
 */
void loop_keep_catching(struct loop *loop);
void loop_clear_signal(struct loop *loop);

#endif
