// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The case in which nobody takes turns. */
#define _GNU_SOURCE
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
void case_duplex(const char *name)
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
