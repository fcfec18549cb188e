// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Ends that don't block, in loops: two with epoll, level- and edge-triggered ends in the
 * same, and one with poll.  The first also accept.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "torture.h"

#define LOOPS     2 /* with epoll; the next one polls */
#define STEPS     16 /* of one end before it is the others' turn */
#define EVENTS    256
#define ALL       (EPOLLIN | EPOLLOUT | EPOLLRDHUP)
#define ALIGN     8 /* of addresses */
#define LAST_WORD (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

struct listener {
	enum what what;
	int number;
};

struct loop {
	bool polls;
	int epoll, wake;
	char *buf;
	pthread_mutex_t lock;
	struct end *inbox;
	struct end *again, *paused; /* to be run at once; at a time */
	struct end **polled;
	struct pollfd *pollfds;
	int npolled, room;
};

static struct loop loops[LOOPS + 1];
static struct listener listeners[LISTENERS];

/*
 * What epoll is given for an end: its address, and which connection it is of.  A socket that is
 * closed takes its registration with it, unless somebody else holds the file as well.
 */
static void *tag(struct end *e)
{
	return (char *)e + e->conn->id % ALIGN;
}

static bool is_stale(struct end *e, unsigned number)
{
	struct conn *c = e->conn;

	return !c || e->closed || c->id % ALIGN != number;
}

static void control(struct loop *l, int op, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = { .events = events, .data.ptr = data };

	if (epoll_ctl(l->epoll, op, fd, &ev) < 0)
		die("epoll_ctl %d: %s", op, strerror(errno));
}

/* What a level-triggered end waits for. */
static uint32_t wanted(const struct end *e)
{
	uint32_t events = 0;

	if (!e->pause_until && !e->eof && !e->rx_dead)
		events |= EPOLLIN;
	if (!e->connected || (e->tx < e->tx_end && !e->tx_dead))
		events |= EPOLLOUT;
	return events;
}

/* Edge-triggered ends are told all, once; without a wish a level would say errors for ever. */
static void register_level(struct end *e)
{
	uint32_t events = wanted(e);
	int op = !e->registered ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

	if (events != e->registered)
		control(e->loop, op, e->fd, events, tag(e));
	e->registered = events;
}

static void run_again(struct end *e)
{
	if (e->on_again)
		return;
	e->on_again = true;
	e->next_again = e->loop->again;
	e->loop->again = e;
}

static void leave(struct end *e)
{
	struct loop *l = e->loop;

	for (struct end **p = &l->paused; *p && e->pause_until; p = &(*p)->next_paused) {
		if (*p == e) {
			*p = e->next_paused;
			break;
		}
	}
	if (e->mode == M_POLL) {
		l->polled[e->place] = l->polled[--l->npolled];
		l->polled[e->place]->place = e->place;
	}
	e->closed = true;
	end_over(e); /* closing takes it out of epoll */
}

static bool try_write(struct end *e)
{
	enum step s = e->can_write ? write_step(e, e->loop->buf) : STEP_IDLE;

	if (s == STEP_BLOCKED || (s == STEP_MORE && e->mode == M_SHORT && e->write_short))
		e->can_write = false;
	return s == STEP_MORE;
}

/*
 * A count that is less than was asked for means, on a stream, that there is no more: then
 * one need not ask for EAGAIN, unless the end of stream has been announced already.
 */
static bool try_read(struct end *e)
{
	enum step s;

	if (!e->can_read || e->pause_until)
		return false;
	s = read_step(e, e->loop->buf);
	if (s == STEP_PAUSED) {
		e->next_paused = e->loop->paused;
		e->loop->paused = e;
	}
	if (s == STEP_BLOCKED || (s == STEP_MORE && e->once) ||
	    (s == STEP_MORE && e->mode == M_SHORT && e->read_short && !e->hup))
		e->can_read = false;
	return s == STEP_MORE;
}

static void run(struct end *e)
{
	bool did = true;

	for (int i = 0; did && i < STEPS; i++) {
		did = try_write(e);
		did |= try_read(e);
		if (settle(e)) {
			leave(e);
			return;
		}
	}
	if (did)
		run_again(e);
	if (e->mode == M_LEVEL)
		register_level(e);
}

static void happened(struct end *e, uint32_t events)
{
	if (events & (EPOLLIN | LAST_WORD))
		e->can_read = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		e->can_write = e->connected = true;
	if (events & LAST_WORD)
		e->hup = true;
	if (!e->on_again)
		run(e);
}

static void add(struct loop *l, struct end *e)
{
	if (!e->side && !end_connect(e, l->buf))
		return;
	e->can_write = true;
	if (e->mode == M_POLL) {
		if (l->npolled == l->room) {
			l->room = l->room ? l->room * 2 : 64;
			l->polled = realloc(l->polled, l->room * sizeof(*l->polled));
			l->pollfds = realloc(l->pollfds, (l->room + 1) * sizeof(*l->pollfds));
			if (!l->polled || !l->pollfds)
				die("no memory");
		}
		e->place = l->npolled;
		l->polled[l->npolled++] = e;
	} else if (e->mode != M_LEVEL) {
		control(l, EPOLL_CTL_ADD, e->fd, ALL | EPOLLET, tag(e));
	}
	run(e);
}

static void take_inbox(struct loop *l)
{
	struct end *e, *next;
	uint64_t n;

	if (read(l->wake, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&l->lock);
	e = l->inbox;
	l->inbox = NULL;
	pthread_mutex_unlock(&l->lock);
	for (; e; e = next) {
		next = e->next;
		add(l, e);
	}
}

static void accept_some(int listener)
{
	int fd;

	for (int i = 0; i < STEPS * 4; i++) {
		fd = accept4(net_listener(listener), NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && errno != EAGAIN)
			die("accept: %s", strerror(errno));
		if (fd < 0)
			return;
		conn_accept(listener, fd);
	}
}

static int until_pause(struct loop *l)
{
	uint64_t t = now_ms(), next = t + 1000;

	if (l->again)
		return 0;
	for (struct end *e = l->paused; e; e = e->next_paused)
		next = e->pause_until < next ? e->pause_until : next;
	return next < t ? 0 : next - t;
}

static void wait_epoll(struct loop *l)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(l->epoll, ev, EVENTS, until_pause(l));

	for (int i = 0; i < n; i++) {
		unsigned number = (uintptr_t)ev[i].data.ptr % ALIGN;
		enum what *what = (void *)((char *)ev[i].data.ptr - number);

		if (!what)
			take_inbox(l);
		else if (*what == W_LISTENER)
			accept_some(((struct listener *)what)->number);
		else if (is_stale((struct end *)what, number))
			error_add("epoll tells of a socket that has been closed: events %#x",
				  ev[i].events);
		else
			happened((struct end *)what, ev[i].events);
	}
}

/* From the last to the first: one that ends is replaced by the last. */
static void wait_poll(struct loop *l)
{
	int n = l->npolled;

	for (int i = 0; i < n; i++) {
		short events = wanted(l->polled[i]);

		l->pollfds[i] = (struct pollfd){ events ? l->polled[i]->fd : -1, events, 0 };
	}
	l->pollfds[n] = (struct pollfd){ l->wake, POLLIN, 0 };
	if (poll(l->pollfds, n + 1, until_pause(l)) <= 0)
		return;
	for (int i = n - 1; i >= 0; i--) {
		if (l->pollfds[i].revents)
			happened(l->polled[i], l->pollfds[i].revents);
	}
	if (l->pollfds[n].revents)
		take_inbox(l);
}

static void end_pauses(struct loop *l)
{
	struct end *e;
	uint64_t t = l->paused ? now_ms() : 0;

	for (struct end **p = &l->paused; (e = *p);) {
		if (e->pause_until > t) {
			p = &e->next_paused;
			continue;
		}
		*p = e->next_paused;
		e->pause_until = 0;
		e->can_read = true;
		if (!e->on_again)
			run_again(e);
	}
}

static void run_loop(struct loop *l)
{
	struct end *e, *next;

	if (l->polls)
		wait_poll(l);
	else
		wait_epoll(l);
	end_pauses(l);
	e = l->again;
	l->again = NULL;
	for (; e; e = next) {
		next = e->next_again;
		e->on_again = false;
		run(e);
	}
}

static void *thread(void *loop)
{
	for (;;)
		run_loop(loop);
	return NULL;
}

static void init(struct loop *l)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	l->buf = malloc(LOOP_BUFFER);
	l->pollfds = malloc(sizeof(*l->pollfds));
	pthread_mutex_init(&l->lock, NULL);
	if (l->epoll < 0 || l->wake < 0 || !l->buf || !l->pollfds)
		die("a loop: %s", strerror(errno));
	control(l, EPOLL_CTL_ADD, l->wake, EPOLLIN, NULL);
}

void loops_start(void)
{
	pthread_t t;

	for (int i = 0; i <= LOOPS; i++) {
		loops[i].polls = i == LOOPS;
		init(&loops[i]);
	}
	for (int i = 0; i < LISTENERS; i++) {
		listeners[i] = (struct listener){ W_LISTENER, i };
		if (net_listener(i) >= 0)
			control(&loops[i % LOOPS], EPOLL_CTL_ADD, net_listener(i), EPOLLIN,
				&listeners[i]);
	}
	for (int i = 0; i <= LOOPS; i++) {
		int error = pthread_create(&t, NULL, thread, &loops[i]);

		if (error)
			die("a thread: %s", strerror(error));
	}
}

/* Both ends of a connection are in the same loop or not, as its number says. */
void loop_give(struct end *e)
{
	uint64_t one = 1, id = e->conn->id;
	struct loop *l = &loops[e->mode == M_POLL ? LOOPS : (id + (id / 2) * e->side) % LOOPS];

	e->loop = l;
	pthread_mutex_lock(&l->lock);
	e->next = l->inbox;
	l->inbox = e;
	pthread_mutex_unlock(&l->lock);
	if (write(l->wake, &one, sizeof(one)) < 0)
		die("eventfd: %s", strerror(errno));
}
