// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Cases in which nobody takes turns. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include "talk.h"

enum { STREAM_TIMES = 2000, STREAM_BYTES = 500 };

static void *stream_out(void *arg)
{
	const struct end *e = arg;
	char buf[STREAM_BYTES] = { 0 };

	for (int i = 0; i < STREAM_TIMES; i++) {
		if (send(e->fd, buf, sizeof(buf), 0) != sizeof(buf))
			die("send");
		usleep(20);
	}
	return NULL;
}

static void *stream_in(void *arg)
{
	const struct end *e = arg;
	char buf[STREAM_BYTES];

	for (size_t n = 0; n < (size_t)STREAM_TIMES * STREAM_BYTES;) {
		ssize_t got = recv(e->fd, buf, sizeof(buf), 0);

		if (got <= 0)
			die("recv");
		n += (size_t)got;
	}
	return NULL;
}

/* After one turn both ends send and read at once, in threads. */
void case_stream(const char *name)
{
	pthread_t threads[4];
	struct pair p;

	pair_open(&p, "4");
	turn(&p, 10, 20);
	for (int i = 0; i < 4; i++) {
		struct end *e = i & 1 ? &p.server : &p.client;

		if (pthread_create(&threads[i], NULL, i & 2 ? stream_in : stream_out, e))
			die("pthread_create");
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	p.client.sent += STREAM_TIMES * STREAM_BYTES;
	p.client.read += STREAM_TIMES * STREAM_BYTES;
	p.server.sent += STREAM_TIMES * STREAM_BYTES;
	p.server.read += STREAM_TIMES * STREAM_BYTES;
	close_by_fin(&p, &p.client);
	expect_bytes(&p, name);
}

/* So that what comes is not acknowledged before this end has something to send, or 40 ms later. */
static void delay_acks(const struct end *e)
{
	int off = 0;

	setsockopt(e->fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
}

/*
 * Each end speaks while there is something to hear, and hears what the other one had said before it heard: now
 * the client last, now the server.
 */
void case_duplex(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	turn(&p, 10, 20);
	for (int i = 0; i < 30; i++) {
		delay_acks(&p.client);
		delay_acks(&p.server);
		say(&p, &p.client, 500, PLAIN);
		say(&p, &p.server, 300, PLAIN);
		if (i & 1) {
			hear(&p, &p.server, 500, ALL, PLAIN);
			hear(&p, &p.client, 300, ALL, PLAIN);
			continue;
		}
		say(&p, &p.client, 500, PLAIN);
		hear(&p, &p.client, 300, ALL, PLAIN);
		hear(&p, &p.server, 1000, ALL, PLAIN);
	}
	close_by_fin(&p, &p.client);
	expect_bytes(&p, name);
}
