// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* TCP: an exchange of which every segment is known; a stream. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "packets.h"

#define MIB (1 << 20)

static char buffer[65536];

static void send_all(int fd, size_t n)
{
	while (n) {
		ssize_t done =
			send(fd, buffer, n < sizeof(buffer) ? n : sizeof(buffer), MSG_NOSIGNAL);

		if (done < 0)
			die("send: %s", strerror(errno));
		n -= done;
	}
}

/* Up to n bytes, less at the end of the stream or when ms have passed without any. */
static size_t recv_all(int fd, size_t n, int ms)
{
	size_t sum = 0;

	while (sum < n && wait_readable(fd, ms)) {
		size_t most = n - sum < sizeof(buffer) ? n - sum : sizeof(buffer);
		ssize_t done = recv(fd, buffer, most, 0);

		if (done <= 0)
			break;
		sum += done;
	}
	return sum;
}

static int take(int lfd)
{
	socklen_t len = sizeof(server->peer);
	int fd = accept4(lfd, &server->peer.sa, &len, SOCK_CLOEXEC);

	if (fd < 0)
		die("the server's accept: %s", strerror(errno));
	server->packets++;
	return fd;
}

static int listening(const struct plan *p)
{
	int fd = server_socket(p, SOCK_STREAM);

	if (listen(fd, 128) < 0)
		die("the server's listen: %s", strerror(errno));
	server_ready();
	return fd;
}

/* Sends a FIN and waits until it has been acknowledged: nothing is under way any more. */
static void finish(int fd, int ms)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	shutdown(fd, SHUT_WR);
	for (; ms > 0; ms--) {
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
		    info.tcpi_state == TCP_CLOSE)
			break;
		usleep(1000);
	}
	close(fd);
}

/* A request, a response, and the client's FIN before its own. */
static void serve_tcp(const struct plan *p)
{
	int lfd = listening(p);

	for (int i = 0; i < p->n; i++) {
		int fd = take(lfd);

		server->bytes += recv_all(fd, p->req, p->wait);
		send_all(fd, p->res);
		recv_all(fd, 1, p->wait);
		finish(fd, p->wait);
		__atomic_add_fetch(&server->ended, 1, __ATOMIC_RELEASE);
	}
}

/* Until the server has seen the end of n connections: the next one begins after that. */
static void wait_ended(const struct plan *p, int n)
{
	for (int ms = p->at ? p->wait : 0; ms > 0; ms--) {
		if (__atomic_load_n(&server->ended, __ATOMIC_ACQUIRE) >= n)
			break;
		usleep(1000);
	}
}

/* Facts that differ from exchange to exchange are of the last one, printed before it ends. */
static bool exchange(const struct plan *p, int nth)
{
	int fd = new_socket(p, SOCK_STREAM);
	bool answered = connects(fd, p);

	if (answered) {
		send_all(fd, p->req);
		answered = recv_all(fd, p->res, p->wait) == (size_t)p->res;
	}
	if (nth == p->n || !answered)
		print_client(p, fd);
	close(fd);
	if (answered)
		wait_ended(p, nth);
	return answered;
}

bool run_tcp(const struct plan *p)
{
	bool answered = true;

	server_start(p, serve_tcp);
	enter_namespace(p->from);
	printf("mode=tcp\nreq=%d\nres=%d\n", p->req, p->res);
	for (int i = 1; answered && i <= p->n; i++)
		answered = exchange(p, i);
	server_end(answered ? p->wait : 0);
	print_server(p);
	printf("answered=%d\n", answered);
	return answered;
}

static void serve_bulk(const struct plan *p)
{
	int fd = take(listening(p));

	server->bytes = recv_all(fd, (size_t)p->mib * MIB + 1, p->wait);
	finish(fd, p->wait);
}

bool run_bulk(const struct plan *p)
{
	int fd;
	bool answered;

	server_start(p, serve_bulk);
	enter_namespace(p->from);
	fd = new_socket(p, SOCK_STREAM);
	answered = connects(fd, p);
	if (answered) {
		send_all(fd, (size_t)p->mib * MIB);
		shutdown(fd, SHUT_WR);
		recv_all(fd, 1, p->wait);
	}
	server_end(answered ? p->wait : 0);
	printf("mode=bulk\nmib=%d\n", p->mib);
	print_client(p, fd);
	print_server(p);
	printf("answered=%d\n", answered);
	close(fd);
	return answered;
}
