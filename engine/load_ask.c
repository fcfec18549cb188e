/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The client of turns: keeps so many requests in flight on each of its connections. */
#include <errno.h>
#include <stdlib.h>
#include "load_priv.h"

#define SETTLE_US 700000 /* until what is freed late is free, and the connections count as idle */

struct asker {
	struct load_conn conn;
	int oldest; /* of began */
	int in_flight;
	uint64_t began[]; /* when each request in flight was due: a ring, for answers come in order */
};

struct askers {
	struct asker **all;
	int waiting; /* that have requests in flight */
	int64_t available, slab; /* memory before */
};

static int connect_all(struct load_role *role, struct askers *askers)
{
	const struct load_spec *spec = role->spec;

	for (int i = 0; i < spec->connections; i++) {
		struct asker *asker = askers->all[i];
		int rc;

		asker->conn.fd = load_connect(role);
		if (asker->conn.fd < 0)
			return asker->conn.fd;
		rc = load_watch(role, asker->conn.fd, EPOLLIN, asker);
		if (rc)
			return rc;
	}
	return 0;
}

/* All that the client will need itself is there, and touched, before memory is looked at. */
static int make_askers(struct load_role *role, struct askers *askers)
{
	const struct load_spec *spec = role->spec;
	size_t n = (size_t)spec->connections, ring = (size_t)spec->depth * sizeof(uint64_t);

	askers->all = calloc(n, sizeof(*askers->all));
	for (size_t i = 0; askers->all && i < n; i++) {
		askers->all[i] = malloc(sizeof(struct asker) + ring);
		if (!askers->all[i])
			return err_set(role->err, -ENOMEM, "load: out of memory");
		memset(askers->all[i], 0, sizeof(struct asker) + ring);
		askers->all[i]->conn.message = spec->batch ? 0 : spec->request;
	}
	if (!askers->all)
		return err_set(role->err, -ENOMEM, "load: out of memory");
	if (spec->memory) {
		askers->available = load_meminfo("MemAvailable:");
		askers->slab = load_meminfo("Slab:");
	}
	return 0;
}

static int ask_first(struct load_role *role, struct asker *asker)
{
	uint64_t now = now_ns();

	for (int i = 0; i < role->spec->depth; i++)
		asker->began[i] = now;
	asker->in_flight = role->spec->depth;
	asker->conn.unsent = (uint64_t)role->spec->depth * role->spec->request;
	return load_flush(role, &asker->conn);
}

/* One answer is whole; the next request takes its place. */
static bool answered(struct load_role *role, struct asker *asker, uint64_t now)
{
	const struct load_spec *spec = role->spec;
	bool over = load_clock(role, now);

	load_count(role, asker->began[asker->oldest], now,
		   (uint64_t)spec->request + spec->response);
	if (over) {
		asker->in_flight--;
		return true;
	}
	asker->began[asker->oldest] = now;
	if (++asker->oldest == spec->depth)
		asker->oldest = 0;
	asker->conn.unsent += spec->request;
	return false;
}

/* 1 if the load is over, 0 if not, -errno. */
static int take_answers(struct load_role *role, struct askers *askers, struct asker *asker)
{
	uint32_t size = role->spec->response;
	ssize_t n = load_recv(role, asker->conn.fd);
	bool over = false;
	uint64_t now, got;
	int rc;

	if (n == 0)
		return err_set(role->err, -ECONNRESET, "load: the server closed a connection");
	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	now = now_ns();
	for (got = asker->conn.got + (uint64_t)n; got >= size; got -= size)
		over = answered(role, asker, now);
	asker->conn.got = (uint32_t)got;
	askers->waiting -= asker->in_flight == 0;
	rc = asker->conn.blocked ? 0 : load_flush(role, &asker->conn);
	return rc ? rc : over;
}

static int handle(struct load_role *role, struct askers *askers, const struct epoll_event *event)
{
	struct asker *asker = event->data.ptr;
	int rc = 0;

	if (event->events & EPOLLOUT)
		rc = load_flush(role, &asker->conn);
	if (!rc && event->events & ~(uint32_t)EPOLLOUT)
		rc = take_answers(role, askers, asker);
	return rc;
}

/* Nobody has anything in flight any more: what is taken now is the connections' own. */
static void measure_memory(struct load_role *role, const struct askers *askers)
{
	usleep(SETTLE_US);
	role->shared->memory_bytes = askers->available - load_meminfo("MemAvailable:");
	role->shared->slab_bytes = load_meminfo("Slab:") - askers->slab;
}

static int run_askers(struct load_role *role, struct askers *askers)
{
	struct epoll_event events[LOAD_EVENTS];
	int rc = 0, n;

	askers->waiting = role->spec->connections;
	while (rc >= 0 && askers->waiting) {
		n = load_wait(role, events);
		if (n < 0)
			return n;
		for (int i = 0; i < n && rc >= 0; i++) {
			rc = handle(role, askers, &events[i]);
			if (rc > 0 && !role->spec->memory)
				return 0;
		}
	}
	if (rc >= 0 && role->spec->memory)
		measure_memory(role, askers);
	return rc < 0 ? rc : 0;
}

/* The process ends with this, and what it has allocated with it. */
int load_ask(struct load_role *role)
{
	struct askers askers = { 0 };
	int rc = make_askers(role, &askers);

	rc = rc ? rc : connect_all(role, &askers);
	load_clock_start(role);
	for (int i = 0; i < role->spec->connections && !rc; i++)
		rc = ask_first(role, askers.all[i]);
	rc = rc ? rc : run_askers(role, &askers);
	free(askers.all);
	return rc;
}
