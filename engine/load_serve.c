/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The servers: one that answers each request, and one that takes a stream. */
#include <errno.h>
#include <stdlib.h>
#include "load_priv.h"

static void close_conn(struct load_conn *conn)
{
	close(conn->fd);
	free(conn);
}

static int take_conn(struct load_role *role)
{
	int fd = load_accept(role);
	struct load_conn *conn;

	if (fd < 0)
		return fd;
	conn = calloc(1, sizeof(*conn));
	if (!conn) {
		close(fd);
		return err_set(role->err, -ENOMEM, "load: out of memory");
	}
	conn->fd = fd;
	conn->source = conn;
	conn->message = role->spec->batch ? 0 : role->spec->response;
	return load_watch(role, fd, EPOLLIN, conn);
}

static int take_all(struct load_role *role)
{
	int rc;

	do
		rc = take_conn(role);
	while (!rc);
	return rc == -EAGAIN ? 0 : rc;
}

/* Requests, whole or in parts; an answer for each that is whole. */
static int answer(struct load_role *role, struct load_conn *conn)
{
	ssize_t n = load_recv(role, conn->fd);
	uint64_t got;

	if (n == 0)
		close_conn(conn);
	if (n <= 0)
		return n == -EAGAIN ? 0 : (int)n;
	got = conn->got + (uint64_t)n;
	conn->got = (uint32_t)(got % role->spec->request);
	conn->unsent += got / role->spec->request * role->spec->response;
	return load_flush(role, conn);
}

static int drain(struct load_role *role, struct load_conn *conn)
{
	uint64_t *sunk = &role->shared->sunk;
	ssize_t n = load_recv(role, conn->fd);

	if (n == 0)
		close_conn(conn);
	if (n <= 0)
		return n == -EAGAIN ? 0 : (int)n;
	__atomic_store_n(sunk, *sunk + (uint64_t)n, __ATOMIC_RELAXED); /* nobody else writes it */
	return 0;
}

static int run_server(struct load_role *role, int (*input)(struct load_role *, struct load_conn *))
{
	struct epoll_event events[LOAD_EVENTS];
	int rc = load_listen(role), n;

	rc = rc ? rc : load_watch(role, role->listener, EPOLLIN, NULL);
	while (!rc) {
		n = load_wait(role, events);
		if (n < 0)
			return n;
		for (int i = 0; i < n && !rc; i++) {
			struct load_conn *conn = events[i].data.ptr;

			if (!conn)
				rc = take_all(role);
			else if (conn->blocked)
				rc = load_flush(role, conn);
			else
				rc = input(role, conn);
		}
	}
	return rc;
}

int load_serve(struct load_role *role)
{
	return run_server(role, answer);
}

/* Blocks in recv() where it is to block; it has one connection then. */
static int sink_blocking(struct load_role *role)
{
	struct load_conn conn = { 0 };
	int rc = load_listen(role);

	conn.fd = rc ? rc : load_accept(role);
	if (conn.fd < 0)
		return conn.fd;
	for (;;) {
		ssize_t n = load_recv(role, conn.fd);

		if (n <= 0)
			return (int)n;
		role->shared->sunk += (uint64_t)n;
	}
}

int load_sink(struct load_role *role)
{
	return role->spec->blocking ? sink_blocking(role) : run_server(role, drain);
}
