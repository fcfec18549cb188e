// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a reader sees: how much it gets, how long it waits, what interrupts it. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "sockfeat.h"

static atomic_int signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

void run_peek(void)
{
	struct pair p = warm_pair();

	put(p.client, "hello");
	settle();
	put(p.client, "world");
	settle();
	say_recv("peek 3", p.server, 3, MSG_PEEK);
	say_recv("peek 8, over the boundary", p.server, 8, MSG_PEEK);
	say_recv("peek 100", p.server, 100, MSG_PEEK);
	say_recv("recv 7", p.server, 7, 0);
	say_recv("peek 100", p.server, 100, MSG_PEEK);
	say_recv("recv 100", p.server, 100, 0);
	say_recv("peek 1", p.server, 1, MSG_PEEK | MSG_DONTWAIT);
}

void run_waitall(void)
{
	struct call c = { 0 };
	struct pair p = warm_pair();

	call_recv(&c, p.server, 10, MSG_WAITALL);
	settle();
	put(p.client, "half");
	settle();
	say_call("with 4 of 10 bytes", &c);
	put(p.client, " + half");
	if (blocking) {
		say_call("with 11", &c);
		say_recv_wait("then", p.server, 100, 0);
		return;
	}
	say_recv_wait("recv 10 later", p.server, 10, MSG_WAITALL);
	say_recv("then", p.server, 100, MSG_WAITALL);
}

void run_waitall_eof(void)
{
	struct call c = { 0 };
	struct pair p = warm_pair();

	call_recv(&c, p.server, 10, MSG_WAITALL);
	settle();
	put(p.client, "half");
	settle();
	shutdown(p.client, SHUT_WR);
	settle();
	say_call("4 of 10 bytes and the end", &c);
	say_recv_wait("then", p.server, 10, MSG_WAITALL);
}

void run_rcvlowat(void)
{
	struct pair p = pair_with(true, SOL_SOCKET, SO_RCVLOWAT, 10);

	put(p.client, "1234");
	settle();
	say_polled("poll with 4 of 10", p.server, POLLIN);
	say_recv("recv", p.server, 100, 0);
	put(p.client, "567890");
	settle();
	say_recv("recv with 6 more", p.server, 100, MSG_DONTWAIT);
	if (blocking) /* the first may still wait, and be first */
		return;
	put(p.client, "abcdefghij");
	settle();
	say_polled("poll with 10 at once", p.server, POLLIN);
	say_recv("recv", p.server, 100, 0);
}

void run_dontwait(void)
{
	static char data[65536];
	struct pair p = warm_pair();
	ssize_t n;

	say_recv("recv without data", p.server, 5, MSG_DONTWAIT);
	put(p.client, "hello");
	settle();
	say_recv("recv with data", p.server, 100, MSG_DONTWAIT);
	do {
		n = send(p.client, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n > 0);
	say_result("send until it is full", n, errno);
}

/* A signal while recv() waits; then data. */
static void interrupted(int flags)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = flags };
	struct pair p = warm_pair();
	struct call c = { 0 };
	bool over;

	sigaction(SIGUSR1, &act, NULL);
	call_recv(&c, p.server, 100, 0);
	settle();
	say("handled=%d", signals);
	pthread_kill(c.thread, SIGUSR1);
	for (int ms = 2000; ms > 0 && !signals; ms--)
		msleep(1);
	settle();
	say("handled=%d", signals);
	say_call("recv after the signal", &c);
	over = c.done;
	put(p.client, "data");
	if (over)
		say_recv_wait("recv again", p.server, 100, 0);
	else
		say_call("recv with data", &c);
}

void run_signal_restart(void)
{
	interrupted(SA_RESTART);
}

void run_signal_eintr(void)
{
	interrupted(0);
}

/* A reset while recv() waits. */
void run_rst_blocked(void)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	struct pair p = warm_pair();
	struct call c = { 0 };

	call_recv(&c, p.server, 100, 0);
	settle();
	setsockopt(p.client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(p.client);
	settle();
	say_call("recv after the reset", &c);
	say_recv("recv again", p.server, 100, 0);
}

void run_rcvtimeo(void)
{
	struct timeval t = { .tv_usec = 300000 };
	struct pair p = warm_pair();
	struct call c = { 0 };

	setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	call_recv(&c, p.server, 100, 0);
	settle();
	call_ends(&c, 5);
	say_call("recv without data", &c);
	note("time_ms", c.seconds * 1000);
	say("in time=%d", c.seconds > 0.29 && c.seconds < (in_guest ? 2 : 0.6));
	put(p.client, "data");
	say_recv_wait("recv with data", p.server, 100, 0);
}

void run_zero_length(void)
{
	struct pair p = warm_pair();

	say_recv("recv 0 without data", p.server, 0, MSG_DONTWAIT);
	put(p.client, "data");
	settle();
	say_recv("recv 0 with data", p.server, 0, 0);
	say_recv("peek 0 with data", p.server, 0, MSG_PEEK);
	say_send("send 0", p.client, "", 0);
	settle();
	say_recv("recv", p.server, 100, 0);
	say_recv("then", p.server, 100, MSG_DONTWAIT);
}

/* TCP throws bytes away if there is no buffer. */
void run_trunc(void)
{
	struct pair p = warm_pair();
	ssize_t n;

	put(p.client, "waste");
	settle();
	put(p.client, "data");
	settle();
	n = recv(p.server, NULL, 3, MSG_TRUNC);
	say_result("recv of 3 to nowhere", n, errno);
	n = recv(p.server, NULL, 4, MSG_TRUNC);
	say_result("recv of 4 to nowhere", n, errno);
	say_recv("then", p.server, 100, MSG_DONTWAIT);
}

static void say_unread(int fd)
{
	int n = -1;

	ioctl(fd, FIONREAD, &n);
	say("FIONREAD=%d", n);
}

void run_fionread(void)
{
	struct pair p = warm_pair();

	say_unread(p.server);
	put(p.client, "hello");
	settle();
	say_unread(p.server);
	put(p.client, "a world");
	settle();
	say_unread(p.server);
	say_recv("recv", p.server, 4, 0);
	say_unread(p.server);
	say_recv("recv", p.server, 100, 0);
	say_unread(p.server);
}

/* As servers do it: as much as FIONREAD says, until there is no more. */
void run_fionread_full(void)
{
	static char data[65536];
	struct pair p = warm_pair();
	size_t sent = 0, got = 0;
	int zero = 0, n;
	ssize_t len;

	while ((len = send(p.client, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		sent += len;
	while (got < sent && polled(p.server, POLLIN, 3000)) {
		if (ioctl(p.server, FIONREAD, &n) == 0 && !n)
			zero++;
		len = recv(p.server, data, n && n < (int)sizeof(data) ? n : 1000, MSG_DONTWAIT);
		got += len > 0 ? len : 0;
	}
	say("all arrived=%d", got == sent);
	say("FIONREAD=0 although poll says IN: %s", zero ? "yes" : "never");
	note("zero", zero);
}

void run_peek_off(void)
{
	struct pair p = pair_new();
	int off = 0;

	if (setsockopt(p.server, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0)
		skip("no SO_PEEK_OFF for TCP: %s", strerrorname_np(errno));
	p = pair_with(true, SOL_SOCKET, SO_PEEK_OFF, 0);
	put(p.client, "hello");
	settle();
	put(p.client, "world");
	settle();
	say_recv("peek 4", p.server, 4, MSG_PEEK);
	say_recv("peek 4", p.server, 4, MSG_PEEK);
	say_recv("recv 5", p.server, 5, 0);
	say_recv("peek 4", p.server, 4, MSG_PEEK);
	say_recv("recv 100", p.server, 100, 0);
}
