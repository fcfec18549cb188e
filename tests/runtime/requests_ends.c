// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The two ends: a client that asks, a service that answers. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "requests.h"

struct end {
	const struct options *o;
	int fd;
	int index; /* of a client's connection */
};

static void ask(const struct options *o, int fd, uint32_t id, int nth)
{
	struct message m = { .id = id, .size = o->request_bytes, .answer = o->answer_bytes }, got;
	uint64_t start = send_message(fd, &m, o->parts, o->gap_ns), first = 0, last = 0;

	if (!read_message(fd, &got, &first, &last) || got.id != id)
		die("no answer, or a wrong one");
	truth("client id=%u tid=%d sport=%d dport=%d nth=%d start_ns=%lu first_ns=%lu end_ns=%lu"
	      " request_bytes=%u answer_bytes=%u\n",
	      id, gettid(), local_port(fd), peer_port(fd), nth, start, first, last, m.size,
	      got.size);
	if (o->think_ns)
		sleep_until(now_ns() + o->think_ns);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_done = PTHREAD_COND_INITIALIZER;
static int running;

static void *client(void *arg)
{
	struct end *e = arg;
	const struct options *o = e->o;
	int fd = -1;

	for (int i = 1; i <= o->requests && !ending; i++) {
		if (fd < 0)
			fd = connect_to(o->host, o->port);
		ask(o, fd, (uint32_t)e->index << 16 | (uint32_t)i, o->fresh ? 1 : i);
		if (!o->fresh)
			continue;
		close(fd);
		fd = -1;
	}
	if (fd >= 0)
		close(fd);
	free(e);
	pthread_mutex_lock(&lock);
	if (!--running)
		pthread_cond_signal(&all_done);
	pthread_mutex_unlock(&lock);
	return NULL;
}

void load(const struct options *o)
{
	running = o->connections;
	for (int i = 0; i < o->connections; i++) {
		struct end *e = malloc(sizeof(*e));

		if (!e)
			die("malloc");
		*e = (struct end){ .o = o, .index = i };
		start_thread(client, e);
	}
	pthread_mutex_lock(&lock);
	while (running)
		pthread_cond_wait(&all_done, &lock);
	pthread_mutex_unlock(&lock);
}

static void *service(void *arg)
{
	struct end *e = arg;
	const struct options *o = e->o;
	uint64_t read = 0, last = 0, sent;
	int on = 1;

	setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (int nth = 1;; nth++) {
		struct message m, answer;

		if (!read_message(e->fd, &m, &read, &last))
			break;
		if (o->delay_ns)
			sleep_until(last + o->delay_ns);
		answer = (struct message){ .id = m.id, .size = m.answer };
		sent = send_message(e->fd, &answer, o->parts, o->gap_ns);
		truth("service id=%u tid=%d sport=%d dport=%d nth=%d read_ns=%lu sent_ns=%lu"
		      " request_bytes=%u answer_bytes=%u\n",
		      m.id, gettid(), local_port(e->fd), peer_port(e->fd), nth, read, sent, m.size,
		      answer.size);
	}
	close(e->fd);
	free(e);
	return NULL;
}

void serve(const struct options *o)
{
	int port = o->listen_port, fd = listen_on(o->listen, &port);

	printf("port %d\n", port);
	fflush(stdout);
	while (!ending) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		struct end *e = c >= 0 ? malloc(sizeof(*e)) : NULL;

		if (!e)
			continue; /* a signal */
		*e = (struct end){ .o = o, .fd = c };
		start_thread(service, e);
	}
}
