/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* load_priv.h - what the processes of one load share, and the parts that they are made of. */
#ifndef BPFNET_LOAD_PRIV_H
#define BPFNET_LOAD_PRIV_H

#include <sys/epoll.h>
#include <sys/socket.h>
#include "load.h"
#include "util.h"

#define LOAD_ROLES   (LOAD_MAX_PROXIES + 2)
#define LOAD_BUCKETS 1600 /* of HIST_NS, for 1 ns to some minutes */
#define LOAD_EVENTS  128

/* Memory of all processes. */
struct load_shared {
	pid_t pids[LOAD_ROLES]; /* server, proxies, client */
	struct err errs[LOAD_ROLES];
	struct sockaddr_storage at[LOAD_ROLES]; /* where each listens */
	socklen_t at_len[LOAD_ROLES];
	uint64_t ops, bytes, start_ns, end_ns, cpu_ns, max_ns; /* by the client */
	int64_t memory_bytes, slab_bytes;
	uint64_t counts[LOAD_BUCKETS];
	uint64_t sunk __attribute__((aligned(128))); /* bytes of a stream that arrived */
};

/* What one process knows. */
struct load_role {
	const struct load_spec *spec;
	struct load_shared *shared;
	struct err *err;
	int index; /* in shared's arrays */
	int ready; /* a byte into it says that the next one may start */
	int epoll, listener;
	char *in, *out; /* received into; sent from */
	size_t room; /* of each */
	uint64_t warm_ns,
		stop_ns; /* the client's: when counting starts; ends, once it has started */
	bool warm; /* the client's: it has started */
	uint64_t cpu_ns; /* of all at that time */
};

/* One end of a connection, and what still has to be sent on it. */
struct load_conn {
	struct load_conn *source; /* is not read while this one is blocked: itself, another, NULL */
	uint64_t unsent; /* bytes, of whole messages but for the part of the first that is gone */
	uint32_t message; /* bytes that one send() takes at most; 0: all */
	uint32_t got; /* bytes of the message that is being received */
	int fd;
	bool blocked; /* waits until it can be written to */
	bool paused; /* is not read */
};

/* The processes. 0 or -errno with role->err. Servers and proxies run until they are killed. */
int load_serve(struct load_role *role);
int load_serve_blocking(struct load_role *role);
int load_sink(struct load_role *role);
int load_relay(struct load_role *role);
int load_ask(struct load_role *role);
int load_ask_blocking(struct load_role *role);
int load_pour(struct load_role *role);
int load_churn(struct load_role *role);

/* Moves this process to its place. 0 or -errno with err. */
int load_enter(const struct load_place *place, struct err *err);
/* Opens role->listener, says where, and that the next process may start. */
int load_listen(struct load_role *role);
/* Takes one connection, non-blocking unless all are to block. -EAGAIN (without err) if there is none. */
int load_accept(struct load_role *role);
/* Connects to the process before this one, and waits for that. */
int load_connect(struct load_role *role);
/* Starts to connect to it; the socket gets writable then. */
int load_connect_start(struct load_role *role);
/* A descriptor into the epoll set, with what comes back with its events. */
int load_watch(struct load_role *role, int fd, uint32_t events, void *data);
/* Sends what is due; if not all can be sent, sees to it that an event comes when more can. */
int load_flush(struct load_role *role, struct load_conn *conn);
/* recv() into role->in: bytes, 0 at the end (also by a reset), -EAGAIN, or -errno with err. */
ssize_t load_recv(struct load_role *role, int fd);
/* epoll_wait() without a limit in time. Number of events or -errno with err. */
int load_wait(struct load_role *role, struct epoll_event *events);

/* The client's clock: to be called when all is connected. */
void load_clock_start(struct load_role *role);
/* The time is `now`; true when the load is over. */
bool load_clock(struct load_role *role, uint64_t now);
/* Counts an operation that ended at `now`, if it is time to count. */
void load_count(struct load_role *role, uint64_t began, uint64_t now, uint64_t bytes);
/* Bytes that /proc/meminfo has under this name, with its colon. */
int64_t load_meminfo(const char *name);

#endif
