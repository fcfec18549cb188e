/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The client of churn: connects, asks so often, closes, and again. */
#include <errno.h>
#include <stdlib.h>
#include "load_priv.h"

struct churner {
	int fd;
	int left; /* answers that it still wants */
	uint32_t got; /* bytes of the next one */
	bool connected;
	bool closing; /* has said so, and waits for the server to do the same */
	uint64_t began;
};

/* Edge-triggered for both: one call for the life of the connection. */
static int open_one(struct load_role *role, struct churner *c, uint64_t now)
{
	*c = (struct churner){ .left = role->spec->exchanges, .began = now };
	c->fd = load_connect_start(role);
	if (c->fd < 0)
		return c->fd;
	return load_watch(role, c->fd, EPOLLIN | EPOLLOUT | EPOLLET, c);
}

/* Closes it and opens the next. 1 if the load is over, 0 if not, -errno. */
static int next_one(struct load_role *role, struct churner *c)
{
	const struct load_spec *spec = role->spec;
	uint64_t now;
	bool over;

	close(c->fd);
	now = now_ns();
	over = load_clock(role, now);
	load_count(role, c->began, now,
		   (uint64_t)spec->exchanges * ((uint64_t)spec->request + spec->response));
	return over ? 1 : open_one(role, c, now);
}

static int send_request(struct load_role *role, struct churner *c)
{
	uint32_t size = role->spec->request;
	ssize_t n = send(c->fd, role->out, size, MSG_NOSIGNAL);

	if (n < 0)
		return err_sys(role->err, -errno, "load: send");
	if (n < (ssize_t)size)
		return err_set(role->err, -EMSGSIZE,
			       "load: a request of %u bytes is too large for churn", size);
	return 0;
}

static int check_connected(struct load_role *role, struct churner *c)
{
	socklen_t len = sizeof(int);
	int code = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &len))
		code = errno;
	return code ? err_sys(role->err, -code, "load: connect") : 0;
}

/* Without a request: to wait for the server's end keeps it from being outrun. */
static int start_close(struct load_role *role, struct churner *c)
{
	c->closing = true;
	return shutdown(c->fd, SHUT_WR) ? err_sys(role->err, -errno, "load: shutdown") : 0;
}

/* It is connected, or bytes are there. 1 if the load is over, 0 if not, -errno. */
static int go_on(struct load_role *role, struct churner *c)
{
	ssize_t n;
	int rc;

	if (!c->connected) {
		c->connected = true;
		rc = check_connected(role, c);
		if (rc)
			return rc;
		return c->left ? send_request(role, c) : start_close(role, c);
	}
	while ((n = load_recv(role, c->fd)) > 0) {
		c->got += (uint32_t)n;
		if (c->got < role->spec->response)
			continue;
		c->got = 0;
		return --c->left ? send_request(role, c) : next_one(role, c);
	}
	if (n == 0 && c->closing)
		return next_one(role, c);
	if (n == 0)
		return err_set(role->err, -ECONNRESET, "load: the server closed a connection");
	return n == -EAGAIN ? 0 : (int)n;
}

static int run_churners(struct load_role *role, struct churner *all)
{
	struct epoll_event events[LOAD_EVENTS];
	int rc = 0, n;

	for (int i = 0; i < role->spec->connections && !rc; i++)
		rc = open_one(role, &all[i], now_ns());
	while (!rc) {
		n = load_wait(role, events);
		if (n < 0)
			return n;
		for (int i = 0; i < n && !rc; i++)
			rc = go_on(role, events[i].data.ptr);
	}
	return rc < 0 ? rc : 0;
}

int load_churn(struct load_role *role)
{
	struct churner *all = calloc((size_t)role->spec->connections, sizeof(*all));
	int rc;

	if (!all)
		return err_set(role->err, -ENOMEM, "load: out of memory");
	load_clock_start(role);
	rc = run_churners(role, all);
	free(all);
	return rc;
}
