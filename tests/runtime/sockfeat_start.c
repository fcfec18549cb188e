// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A thread waits for data in one way or another while a redirect takes the connection. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sockfeat.h"

#define MESSAGE 64
#define HALF    (MESSAGE / 2)

static int ep = -1;

static int wait_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, -1);
}

static int wait_epoll(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	if (ep < 0) {
		ep = epoll_create1(EPOLL_CLOEXEC);
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	}
	return epoll_wait(ep, &ev, 1, -1);
}

static int (*wait_readable)(int fd);

/* Answers messages until one that begins with 'e'; the result is what the last recv() for it said. */
static ssize_t answer(struct call *c)
{
	ssize_t n;

	for (;;) {
		if (wait_readable && wait_readable(c->fd) != 1)
			return -1;
		n = recv(c->fd, c->data, MESSAGE, c->flags);
		if (n <= 0 || *c->data == 'e')
			return n;
		get_bytes(c->fd, c->data, MESSAGE - n);
		put_bytes(c->fd, c->data, MESSAGE);
	}
}

/*
 * Turns with the thread that answers. With half each message comes in two parts: whenever the
 * redirect takes the connection, the thread is likely to have one of them.
 */
static void waiting(int flags, bool half)
{
	struct pair p = pair_new();
	struct call c = { .fd = p.server, .flags = flags };
	size_t first = half ? HALF : MESSAGE;
	char data[MESSAGE];

	call_start(&c, answer);
	for (int i = 0; i < turns; i++) {
		memset(data, 'q', sizeof(data));
		put_bytes(p.client, data, first);
		msleep(half ? 20 : 5);
		put_bytes(p.client, data, MESSAGE - first);
		get_bytes(p.client, data, MESSAGE);
	}
	memset(data, 'e', sizeof(data));
	if (half)
		put_bytes(p.client, data, first);
	settle();
	ready(&p);
	say("still waits=%d", !c.done);
	put_bytes(p.client, data, half ? MESSAGE - first : MESSAGE);
	settle();
	say_call("recv", &c);
	shutdown(p.client, SHUT_WR);
	settle();
	say_recv("then", p.server, 100, 0);
}

void run_start_recv(void)
{
	waiting(0, false);
}

void run_start_waitall(void)
{
	waiting(MSG_WAITALL, true);
}

void run_start_poll(void)
{
	wait_readable = wait_poll;
	waiting(0, false);
}

void run_start_epoll(void)
{
	wait_readable = wait_epoll;
	waiting(0, false);
}

static void on_signal(int sig)
{
	(void)sig;
}

/* Non-blocking when it is taken, blocking from then on. */
void run_set_blocking(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct pair p = warm_pair();
	struct call c = { 0 };

	sigaction(SIGUSR1, &act, NULL);
	set_blocking(p.server, true);
	call_recv(&c, p.server, 100, 0);
	settle();
	say_call("recv", &c);
	pthread_kill(c.thread, SIGUSR1);
	settle();
	say_call("recv after a signal", &c);
	put(p.client, "data");
	settle();
	say_call("recv with data", &c);
	if (c.done && c.result < 0)
		say_recv("recv again", p.server, 100, 0);
}
