// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Who is told, and how often: epoll in all its ways, SIGIO; connections that are idle below. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sockfeat.h"

static int epoll_new(int fd, unsigned int events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll: %s", strerror(errno));
	return ep;
}

/* The events that are told now: "IN", or 0. */
static void say_events(const char *what, int ep)
{
	struct epoll_event ev = { 0 };
	int n = epoll_wait(ep, &ev, 1, 0);

	if (n < 0)
		say_result(what, n, errno);
	else
		say("%s=%d%s%s%s%s%s", what, n, ev.events & EPOLLIN ? " IN" : "",
		    ev.events & EPOLLOUT ? " OUT" : "", ev.events & EPOLLRDHUP ? " RDHUP" : "",
		    ev.events & EPOLLHUP ? " HUP" : "", ev.events & EPOLLERR ? " ERR" : "");
}

void run_epoll_lt(void)
{
	struct pair p = warm_pair();
	int ep = epoll_new(p.server, EPOLLIN);

	say_events("nothing sent", ep);
	put(p.client, "one");
	settle();
	say_events("sent", ep);
	say_events("again", ep);
	put(p.client, "two");
	settle();
	say_events("sent more", ep);
	say_recv("recv", p.server, 4, 0);
	say_events("read a part", ep);
	say_recv("recv", p.server, 100, 0);
	say_events("read all", ep);
}

void run_epoll_et(void)
{
	struct pair p = warm_pair();
	int ep = epoll_new(p.server, EPOLLIN | EPOLLET);

	say_events("nothing sent", ep);
	for (int i = 0; i < 3; i++) {
		put(p.client, "some");
		settle();
		say_events("sent", ep);
		say_events("again", ep);
	}
	say_recv("recv", p.server, 100, 0);
	say_events("read all", ep);
	put(p.client, "more");
	settle();
	say_events("sent more", ep);
	say_events("again", ep);
}

/* Reading a part brings no new edge, new data does. */
void run_epoll_et_part(void)
{
	struct pair p = warm_pair();
	int ep = epoll_new(p.server, EPOLLIN | EPOLLET);

	put(p.client, "a longer text");
	settle();
	say_events("sent", ep);
	say_recv("recv", p.server, 4, 0);
	settle();
	say_events("read a part", ep);
	put(p.client, "!");
	settle();
	say_events("sent more", ep);
	say_recv("recv", p.server, 100, 0);
}

void run_epoll_oneshot(void)
{
	struct pair p = warm_pair();
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	int ep = epoll_new(p.server, ev.events);

	put(p.client, "one");
	settle();
	say_events("sent", ep);
	put(p.client, "two");
	settle();
	say_events("sent more", ep);
	epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &ev);
	say_events("armed", ep);
	say_recv("recv", p.server, 100, 0);
	epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &ev);
	say_events("armed with nothing", ep);
	put(p.client, "three");
	settle();
	say_events("sent", ep);
}

static ssize_t wait_events(struct call *c)
{
	struct epoll_event ev;

	return epoll_wait(c->fd, &ev, 1, in_guest ? 3000 : 700);
}

/* Two wait for one socket; a message wakes one of them. */
void run_epoll_exclusive(void)
{
	struct pair p = warm_pair();
	struct call c[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		c[i].fd = epoll_new(p.server, EPOLLIN | EPOLLEXCLUSIVE);
		call_start(&c[i], wait_events);
	}
	settle();
	put(p.client, "one");
	settle();
	say_recv("recv", p.server, 100, 0);
	for (int i = 0; i < 2; i++)
		call_ends(&c[i], STEP_SECONDS);
	say("woken=%zd", c[0].result + c[1].result);
}

void run_epoll_out(void)
{
	static char data[65536];
	struct pair p = warm_pair();
	int ep = epoll_new(p.client, EPOLLOUT | EPOLLET);
	ssize_t sent = 0, n;

	say_events("at first", ep);
	say_events("again", ep);
	while ((n = send(p.client, data, sizeof(data), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
		sent += n;
	say_result("send", n, errno);
	settle();
	say_events("full", ep);
	for (; sent > 0; sent -= n < sent ? n : sent) {
		n = sent < (ssize_t)sizeof(data) ? sent : (ssize_t)sizeof(data);
		get_bytes(p.server, data, n);
	}
	settle();
	say_events("read all", ep);
	say_events("again", ep);
}

void run_epoll_rdhup(void)
{
	struct pair p = warm_pair();
	int ep = epoll_new(p.server, EPOLLIN | EPOLLRDHUP | EPOLLET);

	put(p.client, "last");
	settle();
	say_events("sent", ep);
	shutdown(p.client, SHUT_WR);
	settle();
	say_events("shut down", ep);
	say_recv("recv", p.server, 100, 0);
	say_recv("recv", p.server, 100, 0);
	shutdown(p.server, SHUT_WR);
	settle();
	say_events("both shut down", ep);
}

static atomic_int io_signals;

static void on_io(int sig)
{
	(void)sig;
	io_signals++;
}

void run_sigio(void)
{
	struct sigaction act = { .sa_handler = on_io, .sa_flags = SA_RESTART };
	struct pair p = warm_pair();

	sigaction(SIGIO, &act, NULL);
	fcntl(p.server, F_SETOWN, getpid());
	fcntl(p.server, F_SETFL, fcntl(p.server, F_GETFL) | O_ASYNC);
	say("SIGIO before=%d", io_signals != 0);
	put(p.client, "data");
	settle();
	say("SIGIO with data=%d", io_signals != 0);
	io_signals = 0;
	put(p.client, "more");
	settle();
	say("SIGIO with more=%d", io_signals != 0);
	say_recv("recv", p.server, 100, 0);
	io_signals = 0;
	shutdown(p.client, SHUT_WR);
	settle();
	say("SIGIO at the end=%d", io_signals != 0);
}

/* Turns for 3.5 seconds: what goes past TCP leaves it idle, which must not look like a dead peer. */
static void busy(const struct pair *p)
{
	double until = now() + 3.5;

	while (now() < until) {
		turn(p, 64);
		msleep(20);
	}
	say_exchange("after 3.5 s of turns", p);
	msleep(3500);
	say_exchange("after 3.5 s of silence", p);
}

void run_keepalive(void)
{
	struct pair p = warm_pair();

	for (int i = 0; i < 2; i++) {
		int fd = i ? p.server : p.client;

		option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
		option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
		option(fd, IPPROTO_TCP, TCP_KEEPCNT, 2);
		option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	busy(&p);
}

void run_user_timeout(void)
{
	struct pair p = warm_pair();

	option(p.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
	option(p.server, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
	busy(&p);
}
