// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Attempts to connect that fail, and what a socket can do besides. */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "traffic.h"

void expect_error(int fd, const union addr *to, int error)
{
	if (connect(fd, &to->sa, addr_len(to)) == 0)
		die("connect has succeeded, not failed: %s", strerror(error));
	if (errno != error)
		die("connect: %s, not %s", strerror(errno), strerror(error));
}

static void expect_so_error(int fd, int error)
{
	int got = 0;
	socklen_t len = sizeof(got);

	wait_poll(fd, POLLOUT);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &got, &len) < 0 || got != error)
		die("SO_ERROR is %s, not %s", strerror(got), strerror(error));
}

/* Every second socket is bound to a port before; the others leave it to the kernel. */
static int client_socket(const char *ip, int flags, bool bound)
{
	union addr own;
	int fd;

	addr_set(&own, ip, 0);
	fd = tcp_socket(own.sa.sa_family, flags);
	if (bound && bind(fd, &own.sa, addr_len(&own)) < 0)
		die("bind: %s", strerror(errno));
	return fd;
}

static void refused(const char *ip)
{
	union addr to;
	int keep = bound_socket(ip, &to);

	for (int i = 0; i < count; i++) {
		int fd = client_socket(ip, 0, i % 2);

		expect_error(fd, &to, ECONNREFUSED);
		failed_connect(fd, ip, &to, ECONNREFUSED);
		close(fd);
	}
	close(keep);
}

void run_refused4(void)
{
	refused("127.0.0.1");
}

void run_refused6(void)
{
	refused("::1");
}

static void refused_later(void (*fetch)(int fd, const union addr *to))
{
	union addr to;
	int keep = bound_socket("127.0.0.1", &to);

	for (int i = 0; i < count; i++) {
		int fd = client_socket("127.0.0.1", SOCK_NONBLOCK, i % 2);

		connect_starts(fd, &to);
		fetch(fd, &to);
		failed_connect(fd, "127.0.0.1", &to, ECONNREFUSED);
		close(fd);
	}
	close(keep);
}

static void fetch_so_error(int fd, const union addr *to)
{
	(void)to;
	expect_so_error(fd, ECONNREFUSED);
}

/* The second call only fetches the error of the first one: nothing is sent again. */
static void fetch_connect(int fd, const union addr *to)
{
	wait_poll(fd, POLLOUT);
	expect_error(fd, to, ECONNREFUSED);
}

void run_refused_nb(void)
{
	refused_later(fetch_so_error);
}

void run_refused_again(void)
{
	refused_later(fetch_connect);
}

static const struct plan echo_plan = {
	.listen = "127.0.0.1",
	.connect = { "127.0.0.1" },
	.request = 100,
	.answer = 100,
	.order = CLIENT_FIRST,
};

void run_retry(void)
{
	pid_t server = start_plan(&echo_plan);
	union addr bad, good;
	int keep = bound_socket("127.0.0.1", &bad);

	server_address(&good, "127.0.0.1");
	for (int i = 0; i < count; i++) {
		int fd = client_socket("127.0.0.1", 0, false);

		expect_error(fd, &bad, ECONNREFUSED);
		failed_connect(fd, "127.0.0.1", &bad, ECONNREFUSED);
		if (connect(fd, &good.sa, addr_len(&good)) < 0)
			die("connect, the second time: %s", strerror(errno));
		client_talk(&echo_plan, fd, 0);
	}
	close(keep);
	finish_child(server);
}

static void no_route(const char *ip)
{
	union addr to;

	addr_set(&to, ip, 80);
	for (int i = 0; i < count; i++) {
		int fd = tcp_socket(to.sa.sa_family, 0);

		expect_error(fd, &to, ENETUNREACH);
		failed_connect(fd, NULL, &to, ENETUNREACH);
		close(fd);
	}
}

void run_noroute4(void)
{
	no_route(NOROUTE4);
}

void run_noroute6(void)
{
	no_route(NOROUTE6);
}

/* A socket with that port, which others may have, too; own NULL: with any, and it is told in got. */
int shared_port(const union addr *own, union addr *got)
{
	int fd = tcp_socket(AF_INET, 0);
	socklen_t len = sizeof(*got);

	option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!own)
		addr_set(got, "127.0.0.1", 0);
	if (bind(fd, own ? &own->sa : &got->sa, sizeof(got->v4)) < 0)
		die("bind: %s", strerror(errno));
	if (!own)
		getsockname(fd, &got->sa, &len);
	return fd;
}

/* Two sockets with the same port; the second one wants the connection of the first. */
void run_addrinuse(void)
{
	pid_t server = start_plan(&echo_plan);
	union addr own, to;

	server_address(&to, "127.0.0.1");
	for (int i = 0; i < count; i++) {
		int first = shared_port(NULL, &own), second = shared_port(&own, NULL);

		if (connect(first, &to.sa, sizeof(to.v4)) < 0)
			die("connect: %s", strerror(errno));
		if (connect(second, &to.sa, sizeof(to.v4)) == 0)
			die("two connections with the same ports");
		if (errno != EADDRNOTAVAIL && errno != EADDRINUSE)
			die("connect: %s", strerror(errno));
		failed_connect(second, "127.0.0.1", &to, errno);
		close(second);
		client_talk(&echo_plan, first, 0);
	}
	finish_child(server);
}

/* Each attempt takes its time, so there are not many of them. */
static void later(const char *own, const char *ip, int error, int most)
{
	int times = count < most ? count : most;
	union addr to;

	addr_set(&to, ip, DISCARD_PORT);
	for (int i = 0; i < times; i++) {
		int fd = client_socket(own, 0, i % 2);

		/* one SYN more, then it is over: 2 or 3 seconds, as the kernel counts */
		if (error == ETIMEDOUT)
			option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
		expect_error(fd, &to, error);
		failed_connect(fd, own, &to, error);
		close(fd);
	}
}

void run_hostunreach(void)
{
	later(OWN4, ABSENT4, EHOSTUNREACH, 10);
}

void run_hostunreach6(void)
{
	later(OWN6, ABSENT6, EHOSTUNREACH, 10);
}

void run_timeout(void)
{
	later(OWN4, SILENT4, ETIMEDOUT, 1);
}

void run_timeout6(void)
{
	later(OWN6, SILENT6, ETIMEDOUT, 1);
}

/* The socket is closed while nobody has answered its SYN. */
void run_abandoned(void)
{
	union addr to;

	addr_set(&to, SILENT4, DISCARD_PORT);
	for (int i = 0; i < count; i++) {
		int fd = client_socket(OWN4, SOCK_NONBLOCK, i % 2);
		struct fact *f;

		connect_starts(fd, &to);
		f = failed_connect(fd, OWN4, &to, ECANCELED);
		msleep(5);
		close(fd);
		f->closed_by = CLOSED_LOCAL;
		f->closer = getpid();
	}
}
