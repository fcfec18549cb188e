// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The proxy in one thread, as event loops do it: non-blocking sockets, and a timer for what is to be sent
 * later. A request is passed on when it is all there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "requests.h"

#define LARGEST (1 << 20)

struct end {
	int fd; /* -1: none */
	bool up;
	int nth; /* of the message that is there, or comes */
	uint32_t have;
	uint64_t first_ns;
	struct message m;
	struct end *other; /* whom this goes to */
	uint64_t due_ns; /* when it is to be sent, 0: it is not */
	struct end *next; /* in the list of those that are due, or of the free ones */
	uint64_t read_ns, forward_ns; /* of a downstream end's request */
};

static const struct options *opt;
static struct end listener, timer, *due, *free_ups;
static int epfd;

static void watch(struct end *e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = e };

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, e->fd, &ev))
		die("epoll_ctl");
}

static struct end *new_end(int fd, bool up)
{
	struct end *e = calloc(1, sizeof(*e));
	int on = 1;

	if (!e)
		die("calloc");
	e->fd = fd;
	e->up = up;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		die("fcntl");
	watch(e);
	return e;
}

static struct end *upstream_for(struct end *down)
{
	struct end *up = opt->shared ? free_ups : down->other;

	if (up && opt->shared)
		free_ups = up->next;
	if (!up)
		up = new_end(connect_to(opt->host, opt->port), true);
	up->nth++;
	up->other = down;
	return down->other = up;
}

/* All at once: this proxy's messages fit into a socket. */
static uint64_t pass_on(const struct end *from, int to)
{
	uint64_t start;

	fcntl(to, F_SETFL, 0);
	start = send_message(to, &from->m, 1, 0);
	fcntl(to, F_SETFL, O_NONBLOCK);
	return start;
}

static void send_due(struct end *e)
{
	struct end *down = e->other;
	uint64_t back;

	e->due_ns = 0;
	e->have = 0;
	if (!e->up) {
		struct end *up = upstream_for(e);

		e->read_ns = e->first_ns;
		e->nth++;
		e->forward_ns = pass_on(e, up->fd);
		return;
	}
	back = pass_on(e, down->fd);
	truth("proxy id=%u tid=%d sport=%d dport=%d nth=%d read_ns=%lu forward_ns=%lu answer_ns=%lu"
	      " back_ns=%lu up_sport=%d up_nth=%d\n",
	      e->m.id, gettid(), local_port(down->fd), peer_port(down->fd), down->nth,
	      down->read_ns, down->forward_ns, e->first_ns, back, local_port(e->fd), e->nth);
	if (opt->shared) {
		e->next = free_ups;
		free_ups = e;
		down->other = NULL;
	} else if (opt->fresh) {
		close(e->fd);
		free(e);
		down->other = NULL;
	}
}

/* The list is short, and in the order of time. */
static void send_at(struct end *e, uint64_t at_ns)
{
	struct end **at = &due;

	e->due_ns = at_ns;
	while (*at && (*at)->due_ns <= at_ns)
		at = &(*at)->next;
	e->next = *at;
	*at = e;
}

static void close_down(struct end *e)
{
	if (!opt->shared && e->other) {
		close(e->other->fd);
		free(e->other);
	}
	close(e->fd);
	free(e);
}

static void on_readable(struct end *e)
{
	static char buf[LARGEST];
	ssize_t n = recv(e->fd, buf, sizeof(buf), 0);
	uint64_t now = now_ns(), wait = e->up ? opt->back_ns : opt->delay_ns;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 && e->up)
		die("upstream ended");
	if (n <= 0) {
		close_down(e);
		return;
	}
	if (!e->have)
		e->first_ns = now;
	if (e->have < sizeof(e->m)) {
		size_t room = sizeof(e->m) - e->have;

		memcpy((char *)&e->m + e->have, buf, (size_t)n < room ? (size_t)n : room);
	}
	e->have += (uint32_t)n;
	if (e->have < sizeof(e->m) || e->have < e->m.size)
		return;
	if (wait)
		send_at(e, now + wait);
	else
		send_due(e);
}

static void set_timer(void)
{
	struct itimerspec at = { 0 };

	if (due) {
		at.it_value.tv_sec = (time_t)(due->due_ns / NS_PER_SEC);
		at.it_value.tv_nsec = (long)(due->due_ns % NS_PER_SEC);
	}
	timerfd_settime(timer.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void on_timer(void)
{
	uint64_t n, now = now_ns();

	if (read(timer.fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		die("timer");
	while (due && due->due_ns <= now) {
		struct end *e = due;

		due = e->next;
		send_due(e);
	}
}

void proxy_epoll(const struct options *o)
{
	int port = o->listen_port;

	opt = o;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	listener.fd = listen_on(o->listen, &port);
	timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	watch(&listener);
	watch(&timer);
	printf("port %d\n", port);
	fflush(stdout);
	while (!ending) {
		struct epoll_event ev;

		if (epoll_wait(epfd, &ev, 1, 1000) < 1)
			continue;
		if (ev.data.ptr == &listener)
			new_end(accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC), false);
		else if (ev.data.ptr == &timer)
			on_timer();
		else
			on_readable(ev.data.ptr);
		set_timer();
	}
}
