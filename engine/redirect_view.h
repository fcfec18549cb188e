/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* redirect_view.h - redirects of other processes: what they do, and ending them. */
#ifndef BPFNET_REDIRECT_VIEW_H
#define BPFNET_REDIRECT_VIEW_H

#include <stdbool.h>
#include "redirect.h"
#include "redirect_pin.h"

#define REDIRECT_SWEEP "sweep" /* the pin of the program */

struct redirect_view {
	struct redirect_info info;
	bool alive; /* its process is */
	bool goes_on; /* redirects what it has taken even if its process is not */
	bool pinned;
	int info_fd;
	int fds[NR_PARTS];
};

/* One that is pinned at root/name. 0 or -errno. */
int redirect_view_open(struct redirect_view *view, const char *root, const char *name);
void redirect_view_close(struct redirect_view *view);
/*
 * Calls fn for each redirect of this host: those that are pinned, then those that are not. 0; -EPERM: the
 * latter can't be found without CAP_SYS_ADMIN.
 */
int redirect_views(void (*fn)(void *arg, const struct redirect_view *view), void *arg,
		   struct err *err);
/* Reads only: nothing is swept, so what is gone without a notice may count as live. */
void redirect_view_stats(const struct redirect_view *view, struct redirect_stats *stats);
/* As redirect_each() and redirect_each_refused(). */
void redirect_view_each(const struct redirect_view *view,
			void (*fn)(void *arg, uint64_t cookie, const struct redirect_flow *flow),
			void *arg);
void redirect_view_each_refused(const struct redirect_view *view,
				void (*fn)(void *arg, uint64_t cookie,
					   const struct redirect_refusal *r),
				void *arg);

struct redirect_ended {
	char name[REDIRECT_NAME];
	uint32_t pid;
	uint32_t left; /* connections that could not be let go */
	bool was_dead;
};

/*
 * Ends the one that is pinned by that name: tells its process to, and waits at most timeout_ns. If that is
 * gone, does its work. 0; -ENOENT: there is none; -ETIMEDOUT: its process goes on; -errno.
 */
int redirect_end(const char *name, uint64_t timeout_ns, struct redirect_ended *ended,
		 struct err *err);
/*
 * Ends all that are pinned and whose process is gone, at most timeout_ns each; calls fn for every one.
 * 0 or -errno.
 */
int redirect_clean(uint64_t timeout_ns, void (*fn)(void *arg, const struct redirect_ended *ended),
		   void *arg, struct err *err);

#endif
