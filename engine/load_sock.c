/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Where a load's processes are, and their sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/un.h>
#include "load_priv.h"

#define BACKLOG 4096

static int enter_cgroup(const char *dir, struct err *err)
{
	char path[4096];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, -errno, "load: %s: not a cgroup", dir);
	if (write(fd, "0", 1) != 1)
		rc = err_sys(err, -errno, "load: %s: can't be entered", dir);
	close(fd);
	return rc;
}

static int enter_netns(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return err_sys(err, -errno, "load: %s: no network namespace", path);
	if (setns(fd, CLONE_NEWNET))
		rc = err_sys(err, -errno, "load: %s: can't be entered", path);
	close(fd);
	return rc;
}

static int stay_on(int cpu, struct err *err)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu - 1, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return err_sys(err, -errno, "load: CPU %d", cpu);
	return 0;
}

int load_enter(const struct load_place *place, struct err *err)
{
	int rc = 0;

	if (place->cgroup)
		rc = enter_cgroup(place->cgroup, err);
	if (!rc && place->netns)
		rc = enter_netns(place->netns, err);
	if (!rc && place->cpu)
		rc = stay_on(place->cpu, err);
	return rc;
}

/* The server's address with port 0. A UNIX socket gets a name in no directory from the kernel. */
static int first_address(struct load_role *role, struct sockaddr_storage *at, socklen_t *len)
{
	const struct load_spec *spec = role->spec;
	struct sockaddr_in *v4 = (struct sockaddr_in *)at;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)at;
	const char *text = spec->address;
	int ok = 1;

	*at = (struct sockaddr_storage){ 0 };
	if (spec->family == LOAD_UNIX) {
		at->ss_family = AF_UNIX;
		*len = sizeof(sa_family_t);
	} else if (spec->family == LOAD_IPV4) {
		v4->sin_family = AF_INET;
		*len = sizeof(*v4);
		ok = inet_pton(AF_INET, text ? text : "127.0.0.1", &v4->sin_addr);
	} else {
		v6->sin6_family = AF_INET6;
		*len = sizeof(*v6);
		ok = inet_pton(AF_INET6, text ? text : "::1", &v6->sin6_addr);
	}
	return ok ? 0 : err_set(role->err, -EINVAL, "load: %s: expected an address", text);
}

static int set_nodelay(struct load_role *role, int fd)
{
	int one = 1;

	if (role->spec->nagle || role->spec->family == LOAD_UNIX)
		return 0;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return err_sys(role->err, -errno, "load: TCP_NODELAY");
	return 0;
}

int load_listen(struct load_role *role)
{
	struct load_shared *shared = role->shared;
	struct sockaddr_storage *at = &shared->at[role->index];
	socklen_t *len = &shared->at_len[role->index];
	int rc = first_address(role, at, len), fd;

	if (rc)
		return rc;
	fd = socket(at->ss_family,
		    SOCK_STREAM | SOCK_CLOEXEC | (role->spec->blocking ? 0 : SOCK_NONBLOCK), 0);
	if (fd < 0)
		return err_sys(role->err, -errno, "load: socket");
	role->listener = fd;
	rc = set_nodelay(role, fd); /* its connections inherit that */
	if (rc)
		return rc;
	if (bind(fd, (struct sockaddr *)at, *len) || listen(fd, BACKLOG))
		return err_sys(role->err, -errno, "load: listen");
	*len = sizeof(*at);
	if (getsockname(fd, (struct sockaddr *)at, len) || write(role->ready, "", 1) != 1)
		return err_sys(role->err, -errno, "load: listen");
	return 0;
}

int load_accept(struct load_role *role)
{
	int fd = accept4(role->listener, NULL, NULL,
			 SOCK_CLOEXEC | (role->spec->blocking ? 0 : SOCK_NONBLOCK));

	if (fd >= 0 || errno == EAGAIN || errno == ECONNABORTED)
		return fd >= 0 ? fd : -EAGAIN;
	return err_sys(role->err, -errno, "load: accept");
}

static int connect_by(struct load_role *role, int flags)
{
	const struct sockaddr_storage *at = &role->shared->at[role->index - 1];
	socklen_t len = role->shared->at_len[role->index - 1];
	int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		return err_sys(role->err, -errno, "load: socket");
	if (!set_nodelay(role, fd) &&
	    (!connect(fd, (const struct sockaddr *)at, len) || errno == EINPROGRESS))
		return fd;
	if (!role->err->code)
		err_sys(role->err, -errno, "load: connect");
	close(fd);
	return role->err->code;
}

int load_connect_start(struct load_role *role)
{
	return connect_by(role, SOCK_NONBLOCK);
}

int load_connect(struct load_role *role)
{
	int fd = connect_by(role, 0);

	if (fd >= 0 && !role->spec->blocking && fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK)) {
		close(fd);
		return err_sys(role->err, -errno, "load: fcntl");
	}
	return fd;
}

int load_watch(struct load_role *role, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = { .events = events, .data.ptr = data };

	if (epoll_ctl(role->epoll, EPOLL_CTL_ADD, fd, &ev))
		return err_sys(role->err, -errno, "load: epoll");
	return 0;
}

int load_wait(struct load_role *role, struct epoll_event *events)
{
	int n;

	do
		n = epoll_wait(role->epoll, events, LOAD_EVENTS, -1);
	while (n < 0 && errno == EINTR);
	return n >= 0 ? n : err_sys(role->err, -errno, "load: epoll");
}

ssize_t load_recv(struct load_role *role, int fd)
{
	ssize_t n;

	do
		n = recv(fd, role->in, role->room, 0);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		return -EAGAIN;
	return errno == ECONNRESET ? 0 : err_sys(role->err, -errno, "load: recv");
}

static int set_events(struct load_role *role, struct load_conn *conn)
{
	struct epoll_event ev = { .data.ptr = conn };

	ev.events = (conn->paused ? 0 : EPOLLIN) | (conn->blocked ? EPOLLOUT : 0);
	if (epoll_ctl(role->epoll, EPOLL_CTL_MOD, conn->fd, &ev))
		return err_sys(role->err, -errno, "load: epoll");
	return 0;
}

/* Nothing more is read that would have to be sent here. */
static int set_blocked(struct load_role *role, struct load_conn *conn, bool blocked)
{
	int rc;

	if (conn->blocked == blocked)
		return 0;
	conn->blocked = blocked;
	if (conn->source)
		conn->source->paused = blocked;
	rc = set_events(role, conn);
	if (!rc && conn->source && conn->source != conn)
		rc = set_events(role, conn->source);
	return rc;
}

/* What the next send() takes: the rest of one message, or all. */
static size_t due(const struct load_role *role, const struct load_conn *conn)
{
	uint64_t n = conn->unsent;

	if (conn->message) {
		n %= conn->message;
		n = n ? n : conn->message;
	}
	return n < role->room ? (size_t)n : role->room;
}

int load_flush(struct load_role *role, struct load_conn *conn)
{
	while (conn->unsent) {
		size_t want = due(role, conn);
		ssize_t n = send(conn->fd, role->out, want, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return err_sys(role->err, -errno, "load: send");
		conn->unsent -= n > 0 ? (uint64_t)n : 0;
		if (n < (ssize_t)want)
			return set_blocked(role, conn, true);
	}
	return set_blocked(role, conn, false);
}
