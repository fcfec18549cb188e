/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect.h - carries local TCP of some cgroups past the TCP/IP stack: bpf/redirect.bpf.c, and the
 * part of it that the kernel can't do alone, putting sockets into the map and taking them out.
 */
#ifndef BPFNET_REDIRECT_H
#define BPFNET_REDIRECT_H

#include <stdbool.h>
#include <stdint.h>
#include "err.h"
#include "redirect_abi.h"

struct loop;
struct redirect;

struct port_range {
	uint16_t first;
	uint16_t last;
};

/* Limits that decide which way a connection goes; 0: the usual. */
struct redirect_policy {
	uint32_t turns; /* watched before it is taken */
	uint64_t turn_bytes; /* both ways; a larger turn is none */
	uint64_t stream_bytes; /* sent without an answer: it is let go */
	uint32_t stream_msgs;
	uint64_t queue_bytes; /* that wait in a socket's queue; more goes by TCP */
	uint32_t queue_msgs;
	bool streams; /* does not let streams go */
	bool blocking; /* takes blocking sockets too */
};

struct redirect_opts {
	const char *const *cgroups; /* paths of directories, as cgroup_path() gives them */
	int nr_cgroups;
	const struct port_range *ports; /* of either end; none: all */
	int nr_ports;
	const struct port_range *excluded;
	int nr_excluded;
	const int *pids; /* whose sockets both ends must be; none: anybody's */
	int nr_pids;
	const int *excluded_pids; /* whose neither may be */
	int nr_excluded_pids;
	bool any_kernel; /* also one that is known to be bad */
	struct redirect_policy policy;
};

/* What became of a connection; flow: the end that it is told of, NULL if it was never taken. */
typedef void (*redirect_fn)(void *arg, const struct redirect_notice *notice,
			    const struct redirect_flow *flow);

/* 0 or -errno; nothing is left behind then. */
int redirect_start(struct redirect **redirect, struct loop *loop, const struct redirect_opts *opts,
		   struct err *err);
void redirect_on_notice(struct redirect *redirect, redirect_fn fn, void *arg);
/*
 * Takes no more connections, lets all go, and waits for that at most timeout_ns. Returns how many could
 * not be let go yet: they go by TCP, in the map, until they are closed.
 */
int redirect_stop(struct redirect *redirect, uint64_t timeout_ns);
/* Stops, without waiting if that has not been done yet. */
void redirect_free(struct redirect *redirect);

struct redirect_stats {
	uint64_t taken; /* connections, each as often as it was taken */
	uint64_t refused;
	uint64_t let_go;
	uint64_t live; /* redirected now */
	uint64_t leaving; /* still in the map, but not to stay */
	uint64_t lost_notices;
	struct redirect_amounts sent; /* by all ends that were ever taken, while they were */
};

void redirect_stats(struct redirect *redirect, struct redirect_stats *stats);
/* Calls fn for every end that is known; the order is the map's. 0 or -errno. */
int redirect_each(const struct redirect *redirect,
		  void (*fn)(void *arg, uint64_t cookie, const struct redirect_flow *flow),
		  void *arg);
/* The same for connections that could be taken but for one reason; only the newest are kept. */
int redirect_each_refused(const struct redirect *redirect,
			  void (*fn)(void *arg, uint64_t cookie, const struct redirect_refusal *r),
			  void *arg);
/* "stream"; "" for none. */
const char *redirect_why(uint32_t why);
/* What happens to messages of a flow: "redirect", "tcp". */
const char *redirect_way(const struct redirect_flow *flow);

#endif
