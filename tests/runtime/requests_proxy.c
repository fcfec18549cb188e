// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The proxy with a thread for each connection. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "requests.h"

struct upstream {
	int fd;
	int nth;
};

struct down {
	const struct options *o;
	int fd;
	struct upstream own;
};

/* Free connections of the shared pool: the one that was used last comes first. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct upstream pool[1024];
static int pool_size;

static struct upstream take(struct down *d)
{
	struct upstream up = d->own;

	d->own.fd = -1;
	if (d->o->shared) {
		pthread_mutex_lock(&lock);
		if (pool_size)
			up = pool[--pool_size];
		pthread_mutex_unlock(&lock);
	}
	if (up.fd < 0)
		up = (struct upstream){ .fd = connect_to(d->o->host, d->o->port) };
	up.nth++;
	return up;
}

static void give_back(struct down *d, struct upstream up)
{
	bool kept = false;

	if (d->o->shared) {
		pthread_mutex_lock(&lock);
		kept = pool_size < (int)(sizeof(pool) / sizeof(*pool));
		if (kept)
			pool[pool_size++] = up;
		pthread_mutex_unlock(&lock);
	} else if (!d->o->fresh) {
		d->own = up;
		kept = true;
	}
	if (!kept)
		close(up.fd);
}

static void pass_on(struct down *d, int nth, struct message *m, uint64_t read, uint64_t last)
{
	const struct options *o = d->o;
	struct upstream up = take(d);
	uint64_t forward, answer = 0, all = 0, back;
	struct message got;

	if (o->delay_ns)
		sleep_until(last + o->delay_ns);
	forward = send_message(up.fd, m, 1, 0);
	if (!read_message(up.fd, &got, &answer, &all))
		die("no answer from upstream");
	if (o->back_ns)
		sleep_until(all + o->back_ns);
	back = send_message(d->fd, &got, 1, 0);
	truth("proxy id=%u tid=%d sport=%d dport=%d nth=%d read_ns=%lu forward_ns=%lu answer_ns=%lu"
	      " back_ns=%lu up_sport=%d up_nth=%d\n",
	      m->id, gettid(), local_port(d->fd), peer_port(d->fd), nth, read, forward, answer,
	      back, local_port(up.fd), up.nth);
	give_back(d, up);
}

static void *down(void *arg)
{
	struct down *d = arg;
	struct message m;
	uint64_t read = 0, last = 0;
	int on = 1;

	setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (int nth = 1; read_message(d->fd, &m, &read, &last); nth++)
		pass_on(d, nth, &m, read, last);
	close(d->fd);
	if (d->own.fd >= 0)
		close(d->own.fd);
	free(d);
	return NULL;
}

void proxy(const struct options *o)
{
	int port = o->listen_port, fd = listen_on(o->listen, &port);

	printf("port %d\n", port);
	fflush(stdout);
	while (!ending) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		struct down *d = c >= 0 ? malloc(sizeof(*d)) : NULL;

		if (!d)
			continue; /* a signal */
		*d = (struct down){ .o = o, .fd = c, .own = { .fd = -1 } };
		start_thread(down, d);
	}
}
