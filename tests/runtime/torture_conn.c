// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Connections begin, their ends meet, they end, and the next one begins in the same place.
 * An accepted socket belongs to the client with its peer's port: whichever of both is known
 * first waits in a table for the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "torture.h"

#define AT_ONCE 500 /* connections that wait for accept() when a run begins */

struct meeting {
	struct end *client;
	int fd; /* accepted; 0: none */
};

struct total by_kind[KINDS], by_family[FAMILIES];
atomic_int active;

static struct conn *slots;
static struct meeting (*meetings)[1 << 16];
static pthread_mutex_t meeting_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint_fast64_t started;
static atomic_int unmet;

static int port_of(const union addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

static void set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt %d %d: %s", level, name, strerror(errno));
}

static void socket_style(const struct end *e)
{
	if (e->conn->nodelay)
		set(e->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (e->conn->small_buffers) {
		set(e->fd, SOL_SOCKET, SO_RCVBUF, 128 << 10);
		set(e->fd, SOL_SOCKET, SO_SNDBUF, 128 << 10);
	}
	if (e->mode != M_BLOCK && fcntl(e->fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		die("O_NONBLOCK: %s", strerror(errno));
}

static void start_end(struct end *e)
{
	if (e->mode == M_BLOCK)
		block_start(e);
	else
		loop_give(e);
}

static void start_server(struct end *client, int fd)
{
	struct end *e = &client->conn->end[1];

	unmet--;
	e->fd = fd;
	e->connected = true;
	socket_style(e);
	start_end(e);
}

/* A socket was accepted: its client is known already, or will be in a moment. */
void conn_accept(int listener, int fd)
{
	union addr peer;
	socklen_t len = sizeof(peer);
	struct meeting *m;
	struct end *client;

	if (getpeername(fd, &peer.sa, &len) < 0) {
		close(fd); /* of a client that has failed */
		return;
	}
	m = &meetings[listener][port_of(&peer)];
	pthread_mutex_lock(&meeting_lock);
	client = m->client;
	m->client = NULL;
	m->fd = client ? 0 : fd;
	pthread_mutex_unlock(&meeting_lock);
	if (client)
		start_server(client, fd);
}

static void meet(struct end *e)
{
	union addr own;
	socklen_t len = sizeof(own);
	struct meeting *m;
	int fd;

	if (getsockname(e->fd, &own.sa, &len) < 0)
		die("getsockname: %s", strerror(errno));
	m = &meetings[e->conn->listener][port_of(&own)];
	pthread_mutex_lock(&meeting_lock);
	fd = m->fd;
	m->fd = 0;
	m->client = fd ? NULL : e;
	pthread_mutex_unlock(&meeting_lock);
	if (fd)
		start_server(e, fd);
}

/* A client that has failed waits for no server any more. */
static void part(struct end *e)
{
	struct meeting *m = meetings[e->conn->listener];

	pthread_mutex_lock(&meeting_lock);
	for (int port = 0; port < 1 << 16; port++) {
		if (m[port].client != e)
			continue;
		m[port].client = NULL;
		e->conn->alive--;
		unmet--;
	}
	pthread_mutex_unlock(&meeting_lock);
}

/* Opens a client; if that fails, the connection is over. */
bool end_connect(struct end *e, char *buf)
{
	union addr to;
	ssize_t done;

	net_address(e->conn->listener, &to);
	e->fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (e->fd < 0)
		die("socket: %s", strerror(errno));
	socket_style(e);
	if (e->conn->tfo)
		open_next(e);
	done = io_connect(e, buf);
	if (done < 0 && errno != EINPROGRESS) {
		conn_fail(e->conn, "connect: %s", strerror(errno));
		unmet--;
		e->conn->alive = 1; /* there is no server */
		end_over(e);
		return false;
	}
	e->connected = e->mode == M_BLOCK;
	e->tx += done > 0 ? done : 0;
	meet(e);
	return true;
}

/* The next connection of a slot, if there is to be one. */
static bool launch(struct conn *c)
{
	uint64_t id;

	if (stopping)
		return false;
	id = ++started;
	if (opt.total && id > opt.total)
		return false;
	plan_make(c, id);
	for (int side = 0; side < 2; side++)
		c->end[side].conn = c, c->end[side].side = side, c->end[side].fd = -1;
	c->alive = 2;
	c->progress = now_ms();
	unmet++;
	start_end(&c->end[0]);
	return true;
}

static void add_up(struct total *t, const struct conn *c)
{
	t->connections++;
	t->bytes += c->end[0].rx + c->end[1].rx;
	t->segments += c->end[0].rx_seg + c->end[1].rx_seg;
	t->resets += c->reset_sent;
}

/* Whoever drives an end calls it last of all: the connection may be another one then. */
void end_over(struct end *e)
{
	struct conn *c = e->conn;

	close(e->fd);
	if (c->failed && !e->side)
		part(e);
	if (atomic_fetch_sub(&c->alive, 1) > 1)
		return;
	add_up(&by_kind[c->kind], c);
	add_up(&by_family[c->family], c);
	if (!launch(c))
		active--;
}

/* Not more at once than the queues of listeners hold. */
void conns_start(void)
{
	slots = calloc(opt.concurrent, sizeof(*slots));
	meetings = calloc(LISTENERS, sizeof(*meetings));
	if (!slots || !meetings)
		die("no memory");
	active = opt.concurrent;
	for (int i = 0; i < opt.concurrent; i++) {
		while (unmet > AT_ONCE && !stopping)
			usleep(1000);
		if (!launch(&slots[i]))
			active--;
	}
}

/* Calls f for each that has made no progress for so many ms; how many. */
int conns_idle(uint64_t ms, void (*f)(struct conn *c))
{
	uint64_t t = now_ms();
	int n = 0;

	for (int i = 0; i < opt.concurrent; i++) {
		struct conn *c = &slots[i];

		if (!c->alive || c->failed || c->progress + ms >= t)
			continue;
		f(c);
		n++;
	}
	return n;
}
