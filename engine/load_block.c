/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Turns on blocking sockets: one connection, each end waits in recv(). */
#include <errno.h>
#include "load_priv.h"

/* All of a message. 1, 0 at the end, -errno. */
static int recv_whole(struct load_role *role, int fd, uint32_t size)
{
	for (uint32_t got = 0; got < size;) {
		ssize_t n = load_recv(role, fd);

		if (n <= 0)
			return (int)n;
		got += (uint32_t)n;
	}
	return 1;
}

static int send_whole(struct load_role *role, int fd, uint32_t size)
{
	for (uint32_t sent = 0; sent < size;) {
		ssize_t n = send(fd, role->out, size - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return err_sys(role->err, -errno, "load: send");
		sent += n > 0 ? (uint32_t)n : 0;
	}
	return 0;
}

int load_serve_blocking(struct load_role *role)
{
	int rc = load_listen(role), fd;

	fd = rc ? rc : load_accept(role);
	if (fd < 0)
		return fd;
	while ((rc = recv_whole(role, fd, role->spec->request)) > 0) {
		rc = send_whole(role, fd, role->spec->response);
		if (rc)
			break;
	}
	return rc;
}

int load_ask_blocking(struct load_role *role)
{
	const struct load_spec *spec = role->spec;
	int fd = load_connect(role), rc;
	uint64_t began, now;

	if (fd < 0)
		return fd;
	load_clock_start(role);
	began = now_ns();
	for (;;) {
		rc = send_whole(role, fd, spec->request);
		rc = rc ? rc : recv_whole(role, fd, spec->response);
		if (rc == 0)
			return err_set(role->err, -ECONNRESET, "load: the server ended");
		if (rc < 0)
			return rc;
		now = now_ns();
		if (load_clock(role, now))
			return 0;
		load_count(role, began, now, (uint64_t)spec->request + spec->response);
		began = now;
	}
}
