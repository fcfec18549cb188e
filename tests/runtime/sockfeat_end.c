// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* How connections end, with data in them, and begin again. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "sockfeat.h"

#define CLOSES       5
#define REUSES       200
#define REUSE_TURNS  12
#define READ_AT_ONCE 65536

void run_shut_wr(void)
{
	struct pair p = warm_pair();

	put(p.client, "hello");
	shutdown(p.client, SHUT_WR);
	settle();
	say_send("send after it", p.client, "x", 0);
	say_polled("poll", p.server, POLLIN | POLLOUT | POLLRDHUP);
	say_recv("recv", p.server, 100, 0);
	say_recv("recv", p.server, 100, 0);
	put(p.server, "answer");
	settle();
	say_recv("the other way", p.client, 100, 0);
	close(p.server);
	settle();
	say_polled("poll", p.client, POLLIN | POLLOUT | POLLRDHUP);
	say_recv("recv", p.client, 100, 0);
}

void run_shut_rd(void)
{
	struct pair p = warm_pair();

	put(p.client, "before");
	settle();
	shutdown(p.server, SHUT_RD);
	say_polled("poll", p.server, POLLIN | POLLRDHUP);
	say_recv("recv", p.server, 100, 0);
	say_recv("recv", p.server, 100, 0);
	say_send("send", p.client, "after", 0);
	settle();
	say_recv("recv", p.server, 100, 0);
	say_recv("recv", p.server, 100, 0);
	put(p.server, "answer");
	settle();
	say_recv("the other way", p.client, 100, 0);
}

void run_shut_rdwr(void)
{
	struct pair p = warm_pair();

	put(p.client, "to");
	put(p.server, "from");
	settle();
	shutdown(p.server, SHUT_RDWR);
	settle();
	say_polled("poll", p.server, POLLIN | POLLOUT | POLLRDHUP);
	say_polled("poll", p.client, POLLIN | POLLOUT | POLLRDHUP);
	say_recv("server", p.server, 100, 0);
	say_recv("server", p.server, 100, 0);
	say_send("server sends", p.server, "x", 0);
	say_recv("client", p.client, 100, 0);
	say_recv("client", p.client, 100, 0);
}

/* TCP tells the writer that it was not read: a reset. */
void run_close_unread(void)
{
	struct pair p = warm_pair();

	put(p.client, "unread");
	put(p.server, "answer");
	settle();
	close(p.server);
	settle();
	say_polled("poll", p.client, POLLIN | POLLOUT | POLLRDHUP);
	say_recv("recv", p.client, 100, 0);
	say_recv("recv", p.client, 100, 0);
	say_send("send", p.client, "x", 0);
}

/* Reads to the end; says whether all came. */
static void read_end(int fd, size_t sent)
{
	static char data[READ_AT_ONCE];
	ssize_t n = -1;
	size_t got = 0;
	bool same = true;

	while (polled(fd, POLLIN, 3000)) {
		n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			break;
		same = same && pattern_is(data, got, n);
		got += n;
	}
	say("%s; the same=%d", got == sent ? "all arrived" : "not all arrived", same);
	say_result("at the end", n, errno);
}

void run_close_written(void)
{
	char data[1000];

	pattern_fill(data, 0, sizeof(data));
	for (int i = 0; i < CLOSES; i++) {
		struct pair p = i ? pair_new() : warm_pair();

		for (int t = 0; i && t < turns; t++) {
			turn(&p, 64);
			msleep(5);
		}
		put_bytes(p.client, data, sizeof(data));
		close(p.client);
		read_end(p.server, sizeof(data));
		close(p.server);
		close(p.listener);
	}
}

/* Closed when no more went in. */
void run_close_full(void)
{
	static char data[65536];
	struct pair p = warm_pair();
	size_t sent = 0;

	for (;;) {
		ssize_t n;

		pattern_fill(data, sent, sizeof(data));
		n = send(p.client, data, sizeof(data), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			break;
		sent += n;
	}
	note("written", sent);
	close(p.client);
	read_end(p.server, sent);
}

static void close_reset(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		die("SO_LINGER: %s", strerror(errno));
	close(fd);
}

void run_linger_rst(void)
{
	struct pair p = warm_pair();

	put(p.client, "queued");
	settle();
	close_reset(p.client);
	settle();
	say_polled("poll", p.server, POLLIN | POLLOUT | POLLRDHUP);
	say_recv("recv", p.server, 100, 0);
	say_recv("recv", p.server, 100, 0);
	say_recv("recv", p.server, 100, 0);
}

static void say_error(int fd)
{
	int error = -1;
	socklen_t len = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	say("SO_ERROR=%s", error ? strerrorname_np(error) : "0");
}

void run_so_error(void)
{
	struct pair p = warm_pair();

	say_error(p.server);
	close_reset(p.client);
	settle();
	say_polled("poll", p.server, POLLIN | POLLOUT | POLLRDHUP);
	say_error(p.server);
	say_error(p.server);
	say_recv("recv", p.server, 100, 0);
	say_send("send", p.server, "x", 0);
}

static atomic_int pipe_signals;

static void on_pipe(int sig)
{
	(void)sig;
	pipe_signals++;
}

void run_sigpipe(void)
{
	struct sigaction act = { .sa_handler = on_pipe };
	struct pair p = warm_pair();
	ssize_t n;

	sigaction(SIGPIPE, &act, NULL);
	close(p.server);
	settle();
	for (int i = 0; i < 3; i++) {
		n = send(p.client, "x", 1, 0);
		say_result("send", n, errno);
		say("SIGPIPE=%d", pipe_signals);
		settle();
	}
}

/* A socket that disconnects and connects again. */
void run_reconnect(void)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_in to;
	struct pair p = warm_pair();
	struct pair again;
	socklen_t len = sizeof(to);
	int n;

	getsockname(p.listener, (struct sockaddr *)&to, &len);
	put(p.client, "queued");
	settle();
	n = connect(p.client, &none, sizeof(none));
	say_result("disconnect", n, errno);
	settle();
	say_polled("poll", p.server, POLLIN | POLLOUT | POLLRDHUP);
	say_recv("recv", p.server, 100, 0);
	say_recv("recv", p.server, 100, 0);
	say_send("send without connection", p.client, "x", 0);
	set_blocking(p.client, true);
	again = pair_of(p.client, p.listener, &to);
	say_exchange("connected again", &again);
	for (int i = 0; i < turns; i++) {
		turn(&again, 64);
		msleep(5);
	}
	say_exchange("later", &again);
}

/* The same addresses and ports again at once. */
void run_tuple_reuse(void)
{
	struct sockaddr_in to, from = { 0 };
	int lfd = listen_on(tcp_socket(), &to), done = 0;
	socklen_t len = sizeof(from);

	for (int i = 0; i < REUSES; i++) {
		int fd = tcp_socket();
		struct pair p;

		option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		/* another program may have got that port in between; then there is a new one */
		if (i && bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 &&
		    errno != EADDRINUSE)
			die("bind: %s", strerror(errno));
		p = pair_of(fd, lfd, &to);
		getsockname(fd, (struct sockaddr *)&from, &len);
		for (int t = 0; t < REUSE_TURNS; t++)
			turn(&p, 64 + i);
		/* What is queued must not appear in the next one. */
		put(p.client, "left over");
		close_reset(p.client);
		close(p.server);
		done++;
	}
	say("%d times", done);
}

/* Nobody has accepted it when the listener closes. */
void run_unaccepted(void)
{
	struct sockaddr_in to;
	int lfd = listen_on(tcp_socket(), &to), fd = tcp_socket();

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect: %s", strerror(errno));
	set_blocking(fd, blocking);
	say_send("send", fd, "early", 0);
	close(lfd);
	settle();
	say_polled("poll", fd, POLLIN | POLLOUT | POLLRDHUP);
	say_recv("recv", fd, 100, 0);
	say_recv("recv", fd, 100, 0);
}
