/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A proxy: for each connection one to the next process, and what comes on one goes out on the other. */
#include <errno.h>
#include <stdlib.h>
#include "load_priv.h"

struct pair {
	struct load_conn sides[2];
	struct pair *next; /* among those that are closed */
};

/* Conns come back with events; the first side starts the pair, the second knows the first. */
static struct pair *pair_of(struct load_conn *conn)
{
	return (struct pair *)(conn < conn->source ? conn : conn->source);
}

static int watch_pair(struct load_role *role, struct pair *pair)
{
	int rc = 0;

	for (int i = 0; i < 2 && !rc; i++) {
		pair->sides[i].source = &pair->sides[!i];
		rc = load_watch(role, pair->sides[i].fd, EPOLLIN, &pair->sides[i]);
	}
	return rc;
}

static int take_pair(struct load_role *role)
{
	int fd = load_accept(role), rc;
	struct pair *pair;

	if (fd < 0)
		return fd;
	pair = calloc(1, sizeof(*pair));
	if (!pair) {
		close(fd);
		return err_set(role->err, -ENOMEM, "load: out of memory");
	}
	pair->sides[0].fd = fd;
	pair->sides[1].fd = load_connect(role);
	rc = pair->sides[1].fd < 0 ? pair->sides[1].fd : watch_pair(role, pair);
	if (rc)
		free(pair);
	return rc;
}

static int take_all(struct load_role *role)
{
	int rc;

	do
		rc = take_pair(role);
	while (!rc);
	return rc == -EAGAIN ? 0 : rc;
}

/* The other side may have an event in the same round: it is freed after that. */
static void close_pair(struct pair *pair, struct pair **closed)
{
	close_fd(&pair->sides[0].fd);
	close_fd(&pair->sides[1].fd);
	pair->next = *closed;
	*closed = pair;
}

static int pass_on(struct load_role *role, struct load_conn *from, struct pair **closed)
{
	struct load_conn *to = from->source;
	ssize_t n = load_recv(role, from->fd);

	if (n == 0)
		close_pair(pair_of(from), closed);
	if (n <= 0)
		return n == -EAGAIN ? 0 : (int)n;
	to->unsent += (uint64_t)n;
	return load_flush(role, to);
}

static int handle(struct load_role *role, const struct epoll_event *event, struct pair **closed)
{
	struct load_conn *conn = event->data.ptr;
	int rc = 0;

	if (!conn)
		return take_all(role);
	if (conn->fd >= 0 && event->events & EPOLLOUT)
		rc = load_flush(role, conn);
	if (!rc && conn->fd >= 0 && !conn->paused && event->events & ~(uint32_t)EPOLLOUT)
		rc = pass_on(role, conn, closed);
	return rc;
}

static void free_pairs(struct pair *pair)
{
	while (pair) {
		struct pair *next = pair->next;

		free(pair);
		pair = next;
	}
}

int load_relay(struct load_role *role)
{
	struct epoll_event events[LOAD_EVENTS];
	int rc = load_listen(role), n;

	rc = rc ? rc : load_watch(role, role->listener, EPOLLIN, NULL);
	while (!rc) {
		struct pair *closed = NULL;

		n = load_wait(role, events);
		if (n < 0)
			return n;
		for (int i = 0; i < n && !rc; i++)
			rc = handle(role, &events[i], &closed);
		free_pairs(closed);
	}
	return rc;
}
