// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Sockets, threads, and messages on blocking sockets. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "requests.h"

#define MAGIC 0x71657271

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t address(union address *a, const char *host, int port)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
		a->any.sa_family = AF_INET;
		a->v4.sin_port = htons((uint16_t)port);
		return sizeof(a->v4);
	}
	if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) != 1) {
		errno = EINVAL;
		die(host);
	}
	a->any.sa_family = AF_INET6;
	a->v6.sin6_port = htons((uint16_t)port);
	return sizeof(a->v6);
}

static int port_of(const union address *a)
{
	return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

int local_port(int fd)
{
	union address a;
	socklen_t len = sizeof(a);

	return getsockname(fd, &a.any, &len) ? 0 : port_of(&a);
}

int peer_port(int fd)
{
	union address a;
	socklen_t len = sizeof(a);

	return getpeername(fd, &a.any, &len) ? 0 : port_of(&a);
}

int listen_on(const char *host, int *port)
{
	union address a;
	socklen_t len = address(&a, host, *port);
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &a.any, len) || listen(fd, 1024))
		die("listen");
	*port = local_port(fd);
	return fd;
}

int connect_to(const char *host, int port)
{
	union address a;
	socklen_t len = address(&a, host, port);
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || connect(fd, &a.any, len))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* Signals are the main thread's, so that they end its accept(). */
void start_thread(void *(*f)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	errno = pthread_create(&thread, &attr, f, arg);
	if (errno)
		die("pthread_create");
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool read_message(int fd, struct message *m, uint64_t *first_ns, uint64_t *last_ns)
{
	char buf[16384];
	size_t have = 0, size = sizeof(*m);

	while (have < size) {
		size_t want = size - have < sizeof(buf) ? size - have : sizeof(buf);
		ssize_t n = recv(fd, buf, have < sizeof(*m) ? sizeof(*m) - have : want, 0);
		uint64_t now = now_ns();

		if (n == 0 && !have)
			return false;
		if (n < 0 && (errno == ECONNRESET || errno == EPIPE))
			return false;
		if (n <= 0)
			die("recv");
		if (!have && first_ns)
			*first_ns = now;
		if (last_ns)
			*last_ns = now;
		if (have < sizeof(*m))
			memcpy((char *)m + have, buf, (size_t)n);
		have += (size_t)n;
		if (have == sizeof(*m)) {
			if (m->magic != MAGIC) {
				errno = EBADMSG;
				die("recv");
			}
			size = m->size;
		}
	}
	return true;
}

static void send_all(int fd, const char *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = send(fd, buf + done, size - done, MSG_NOSIGNAL);

		if (n <= 0)
			die("send");
		done += (size_t)n;
	}
}

uint64_t send_message(int fd, const struct message *m, int parts, uint64_t gap_ns)
{
	char *buf = calloc(1, m->size);
	struct message head = *m;
	uint64_t start;
	size_t from = 0;

	if (!buf)
		die("calloc");
	head.magic = MAGIC;
	memcpy(buf, &head, sizeof(head));
	start = now_ns();
	for (int i = 1; i <= parts; i++) {
		size_t to = (size_t)m->size * (size_t)i / (size_t)parts;

		if (i > 1 && gap_ns)
			sleep_until(now_ns() + gap_ns);
		send_all(fd, buf + from, to - from);
		from = to;
	}
	free(buf);
	return start;
}
