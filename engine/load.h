/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * load.h - makes TCP load on this machine and says how fast it went.
 *
 * Server, proxies and client are processes of their own, each put where it belongs (cgroup, network
 * namespace, CPU) before it opens a socket. They do what efficient servers do: non-blocking sockets,
 * epoll, one recv() and one send() for a message. Knows neither BPF nor Lua.
 */
#ifndef BPFNET_LOAD_H
#define BPFNET_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include "err.h"

enum load_kind {
	LOAD_TURNS, /* request and response, over and over */
	LOAD_STREAM, /* messages one way, as fast as they are taken */
	LOAD_CHURN, /* connect, some requests, close */
	LOAD_KINDS
};

enum load_family { LOAD_IPV4, LOAD_IPV6, LOAD_UNIX, LOAD_FAMILIES };

#define LOAD_MAX_PROXIES     2
#define LOAD_MAX_CONNECTIONS 100000
#define LOAD_MAX_MESSAGE     (16U << 20)

/* Where a process runs. All zero: where the caller does. */
struct load_place {
	const char *cgroup; /* directory in a cgroup v2 tree */
	const char *netns; /* file of a network namespace, as in /run/netns */
	int cpu; /* from 1 on; 0: any */
};

struct load_spec {
	enum load_kind kind;
	enum load_family family;
	const char *address; /* the server's, numeric; NULL: loopback */
	struct load_place client, server; /* proxies are where the server is */
	int proxies; /* that pass on what client and server say; not with streams */
	int connections; /* at once, at least 1 */
	int depth; /* turns: requests in flight on each, at least 1 */
	int exchanges; /* churn: requests on each, from 0 on */
	uint32_t request, response; /* bytes, at least 1; a stream's messages are requests */
	bool batch; /* turns: what is due is sent by one call, not one for each message */
	bool blocking; /* blocking sockets; one connection, depth 1 */
	bool nagle; /* TCP_NODELAY stays off */
	bool memory; /* turns: say what the connections take once they are idle */
	double warmup, seconds; /* not counted, counted */
};

struct load_result {
	uint64_t ops; /* responses, a stream's messages, closed connections */
	uint64_t bytes; /* of payload that arrived, both directions */
	double seconds; /* that were counted */
	double rate; /* ops per second */
	double cpu_seconds; /* of all processes, user and system */
	double p50_ns, p90_ns, p99_ns, max_ns; /* of an operation, within 2.2%; 0 for streams */
	int64_t memory_bytes, slab_bytes; /* if asked for: less MemAvailable, more Slab */
};

/* Sensible values in everything: turns of 64 bytes, 1 connection, depth 1, 0.3 s and 1 s. */
void load_defaults(struct load_spec *spec);
/*
 * Runs it and waits for its end. 0 or -errno with err: -EINVAL if the spec makes no sense, else what
 * went wrong in one of the processes. None of them is left.
 */
int load_run(const struct load_spec *spec, struct load_result *result, struct err *err);

#endif
