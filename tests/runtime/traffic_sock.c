// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Sockets: every wait is bounded, everything unexpected ends the scenario. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "traffic.h"

static char buffer[65536];

void addr_set(union addr *a, const char *ip, int port)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, ip, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, ip, &a->v6.sin6_addr) == 1) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons(port);
	} else {
		die("no address: %s", ip);
	}
}

socklen_t addr_len(const union addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

int addr_port(const union addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

/* An IPv4 address inside an IPv6 one is printed as what it is. */
const char *addr_text(const union addr *a, char text[INET6_ADDRSTRLEN])
{
	const struct in6_addr *in6 = &a->v6.sin6_addr;

	if (a->sa.sa_family == AF_INET)
		return inet_ntop(AF_INET, &a->v4.sin_addr, text, INET6_ADDRSTRLEN);
	if (IN6_IS_ADDR_V4MAPPED(in6))
		return inet_ntop(AF_INET, &in6->s6_addr[12], text, INET6_ADDRSTRLEN);
	return inet_ntop(AF_INET6, in6, text, INET6_ADDRSTRLEN);
}

int tcp_socket(int family, int flags)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	return fd;
}

void option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt %d %d: %s", level, name, strerror(errno));
}

/* Bound, not listening: connecting to it is refused, and nobody else can take it. */
int bound_socket(const char *ip, union addr *a)
{
	socklen_t len = sizeof(*a);
	int fd;

	addr_set(a, ip, 0);
	fd = tcp_socket(a->sa.sa_family, 0);
	if (a->sa.sa_family == AF_INET6)
		option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (bind(fd, &a->sa, addr_len(a)) < 0 || getsockname(fd, &a->sa, &len) < 0)
		die("bind to %s: %s", ip, strerror(errno));
	return fd;
}

int listen_on(const char *ip, union addr *a)
{
	int fd = bound_socket(ip, a);

	if (listen(fd, 4096) < 0)
		die("listen: %s", strerror(errno));
	return fd;
}

int open_plain(const union addr *to)
{
	int fd = tcp_socket(to->sa.sa_family, 0);

	if (connect(fd, &to->sa, addr_len(to)) < 0)
		die("connect: %s", strerror(errno));
	return fd;
}

int take_plain(int lfd)
{
	int fd = accept(lfd, NULL, NULL);

	if (fd < 0)
		die("accept: %s", strerror(errno));
	return fd;
}

/* A non-blocking socket begins to connect. */
void connect_starts(int fd, const union addr *to)
{
	if (connect(fd, &to->sa, addr_len(to)) == 0)
		die("connect has succeeded at once");
	if (errno != EINPROGRESS)
		die("connect: %s", strerror(errno));
}

void wait_poll(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	double until = now() + WAIT_SECONDS;
	int n;

	while ((n = poll(&p, 1, WAIT_SECONDS * 1000)) < 0 && errno == EINTR && now() < until)
		;
	if (n <= 0)
		die("nothing happens on a socket within %d s", WAIT_SECONDS);
}

void send_bytes(int fd, size_t n)
{
	while (n) {
		ssize_t done =
			send(fd, buffer, n < sizeof(buffer) ? n : sizeof(buffer), MSG_NOSIGNAL);

		if (done < 0 && errno == EAGAIN)
			wait_poll(fd, POLLOUT);
		else if (done < 0 && errno != EINTR)
			die("send: %s", strerror(errno));
		else if (done > 0)
			n -= done;
	}
}

static ssize_t recv_some(int fd, size_t n)
{
	char in[65536];
	ssize_t done;

	do {
		wait_poll(fd, POLLIN);
		done = recv(fd, in, n < sizeof(in) ? n : sizeof(in), 0);
	} while (done < 0 && (errno == EAGAIN || errno == EINTR));
	return done;
}

void recv_bytes(int fd, size_t n)
{
	/* the peer may be waiting until everything is acknowledged */
	option(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	while (n) {
		ssize_t done = recv_some(fd, n);

		if (done <= 0)
			die("recv: %s", done ? strerror(errno) : "end of the stream too early");
		n -= done;
	}
}

void recv_eof(int fd)
{
	ssize_t done = recv_some(fd, 1);

	if (done)
		die("recv: %s, not the end", done < 0 ? strerror(errno) : "data");
}

/* Waits for the connection to break in this way. */
void recv_error(int fd, int error)
{
	ssize_t done = recv_some(fd, 1);

	if (done >= 0)
		die("recv: %s, not %s", done ? "data" : "the end", strerror(error));
	if (errno != error)
		die("recv: %s, not %s", strerror(errno), strerror(error));
}

void wait_acked(int fd)
{
	double until = now() + WAIT_SECONDS;
	int left;

	while (ioctl(fd, SIOCOUTQ, &left) == 0 && left) {
		if (now() > until)
			die("data not acknowledged within %d s", WAIT_SECONDS);
		msleep(1);
	}
}

/* Waits until n connections are in the queue of the listener. */
void wait_queued(int lfd, unsigned int n)
{
	double until = now() + WAIT_SECONDS;
	struct tcp_info info;
	socklen_t len;

	do {
		len = sizeof(info);
		if (getsockopt(lfd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
			die("TCP_INFO: %s", strerror(errno));
		if (info.tcpi_unacked == n)
			return;
		msleep(1);
	} while (now() < until);
	die("%u connections in the queue, not %u", info.tcpi_unacked, n);
}

void close_reset(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		die("SO_LINGER: %s", strerror(errno));
	close(fd);
}
