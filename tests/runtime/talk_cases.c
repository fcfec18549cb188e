// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The cases: a row and a function each. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "talk.h"

#define ALL (1 << 20)

extern const char *ready_file, *go_file;

static void turn(struct pair *p, size_t request, size_t response)
{
	say(p, &p->client, request, PLAIN);
	hear(p, &p->server, request, ALL, PLAIN);
	ms(2);
	say(p, &p->server, response, PLAIN);
	hear(p, &p->client, response, ALL, PLAIN);
}

static void turns(const char *name, const char *family, int n)
{
	struct pair p;

	pair_open(&p, family);
	for (int i = 1; i <= n; i++)
		turn(&p, 10 * (size_t)i, 100 * (size_t)i);
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

static void keepalive(const char *name)
{
	turns(name, "4", 5);
}

static void fresh(const char *name)
{
	for (int i = 0; i < 5; i++)
		turns(name, "4", 1);
}

static void ipv6(const char *name)
{
	turns(name, "6", 3);
}

static void mapped(const char *name)
{
	turns(name, "mapped", 3);
}

static void parts(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	for (int i = 0; i < 3; i++) {
		for (int n = 0; n < 3; n++) {
			say(&p, &p.client, 7, PLAIN);
			ms(3);
		}
		hear(&p, &p.server, 21, 1, PLAIN);
		for (int n = 0; n < 3; n++) {
			say(&p, &p.server, 1000, PLAIN);
			ms(10);
			hear(&p, &p.client, 1000, 300, PLAIN);
		}
	}
	close_by_fin(&p, &p.server);
	expect_all(&p, name);
}

/* Each system call that moves bytes. */
static void calls(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	for (int how = 0; how < HOWS; how++) {
		say(&p, &p.client, 5000, (enum how)how);
		hear(&p, &p.server, 5000, ALL, (enum how)how);
		say(&p, &p.server, 9000, (enum how)how);
		hear(&p, &p.client, 9000, ALL, (enum how)how);
	}
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

static void greeting(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	say(&p, &p.server, 30, PLAIN);
	hear(&p, &p.client, 30, ALL, PLAIN);
	turn(&p, 50, 500);
	turn(&p, 60, 600);
	close_by_fin(&p, &p.server);
	expect_all(&p, name);
}

static void unanswered(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	turn(&p, 50, 500);
	say(&p, &p.client, 60, PLAIN);
	hear(&p, &p.server, 60, ALL, PLAIN);
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

static void rst(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	say(&p, &p.client, 60, PLAIN);
	hear(&p, &p.server, 60, ALL, PLAIN);
	reset(&p, &p.server);
	expect_all(&p, name);
}

/* The client says that it is done; the answer is read when the connection is already over for TCP. */
static void half_closed(const char *name)
{
	struct pollfd pfd;
	struct pair p;
	char c;

	pair_open(&p, "4");
	turn(&p, 10, 20);
	say(&p, &p.client, 60, PLAIN);
	shutdown(p.client.fd, SHUT_WR);
	hear(&p, &p.server, 60, ALL, PLAIN);
	if (recv(p.server.fd, &c, 1, 0) != 0)
		die("no end of the request");
	say(&p, &p.server, 600, PLAIN);
	close(p.server.fd);
	pfd = (struct pollfd){ .fd = p.client.fd, .events = POLLRDHUP };
	if (poll(&pfd, 1, 10000) != 1)
		die("no FIN");
	ms(20);
	hear(&p, &p.client, 600, 100, PLAIN);
	if (recv(p.client.fd, &c, 1, 0) != 0)
		die("no end of the response");
	close(p.client.fd);
	ended(&p, false);
	expect_all(&p, name);
}

/* Three requests are there before the first is read. */
static void pipelined(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	for (int i = 0; i < 3; i++)
		say(&p, &p.client, 40, PLAIN);
	for (int i = 0; i < 3; i++) {
		hear(&p, &p.server, 40, 40, PLAIN);
		say(&p, &p.server, 400, PLAIN);
	}
	hear(&p, &p.client, 400, 400, PLAIN);
	say(&p, &p.client, 41, PLAIN); /* while the rest of the answers lies there */
	hear(&p, &p.client, 800, ALL, PLAIN);
	hear(&p, &p.server, 41, ALL, PLAIN);
	say(&p, &p.server, 410, PLAIN);
	hear(&p, &p.client, 410, ALL, PLAIN);
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

static void idle(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	turn(&p, 10, 100);
	pause_both(&p);
	say(&p, &p.server, 70, PLAIN); /* more of the response */
	hear(&p, &p.client, 70, ALL, PLAIN);
	pause_both(&p);
	turn(&p, 20, 200);
	pause_both(&p);
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

/* The answer takes longer than the timeout: nothing is told before it comes. */
static void slow(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	say(&p, &p.client, 60, PLAIN);
	hear(&p, &p.server, 60, ALL, PLAIN);
	pause_both(&p);
	say(&p, &p.server, 600, PLAIN);
	hear(&p, &p.client, 600, ALL, PLAIN);
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

static void peek(const char *name)
{
	struct pair p;
	char c[64];

	pair_open(&p, "4");
	for (int i = 0; i < 2; i++) {
		say(&p, &p.client, 60, PLAIN);
		for (int n = 0; n < 3; n++)
			if (recv(p.server.fd, c, sizeof(c), MSG_PEEK) != 60)
				die("recv");
		ms(5);
		hear(&p, &p.server, 60, ALL, PLAIN);
		say(&p, &p.server, 50, PLAIN);
		if (recv(p.client.fd, c, sizeof(c), MSG_PEEK) != 50)
			die("recv");
		ms(5);
		hear(&p, &p.client, 50, ALL, PLAIN);
	}
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

/* Calls that move nothing. */
static void nothing(const char *name)
{
	struct pair p;
	char c[4] = { 0 };

	pair_open(&p, "4");
	for (int i = 0; i < 2; i++) {
		if (send(p.client.fd, c, 0, 0) != 0)
			die("send");
		if (recv(p.server.fd, c, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN)
			die("recv");
		if (recv(p.client.fd, c, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN)
			die("recv");
		turn(&p, 33, 44);
	}
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

static void threads(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	for (int i = 0; i < 4; i++) {
		say_in_thread(&p, &p.client, 60);
		hear_in_thread(&p, &p.server, 60);
		say_in_thread(&p, &p.server, 600);
		hear_in_thread(&p, &p.client, 600);
	}
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

static void upload(const char *name)
{
	struct pair p;

	pair_open(&p, "4");
	for (int n = 0; n < 2; n++) {
		for (int i = 0; i < 20; i++) {
			say(&p, &p.client, 30000, PLAIN);
			hear(&p, &p.server, 30000, 4096, PLAIN);
		}
		for (int i = 0; i < 20; i++) {
			say(&p, &p.server, 30000, PLAIN);
			hear(&p, &p.client, 30000, 5000, PLAIN);
		}
	}
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

static void touch_and_wait(void)
{
	int fd = open(ready_file, O_WRONLY | O_CREAT, 0600);

	if (fd < 0)
		die(ready_file);
	close(fd);
	while (access(go_file, F_OK))
		ms(5);
}

/*
 * Older connections: 0, nothing was sent on it; 1, requests were answered; 2, a request waits; 3, something
 * was lost and sent again; 4, the same, accepted from a queue of length 0: which end its server is nobody
 * can tell; 5, from such a queue too; 6, a thread waits for the request.
 */
static void old(const char *name)
{
	enum { WAITS = 2, LOST, LOST_SHORT, SHORT, BLOCKED, N };
	struct pair p[N];

	for (int i = 0; i < N; i++)
		pair_open_from(&p[i], i == WAITS ? "6" : "4",
			       i == LOST_SHORT || i == SHORT ? 0 : 8);
	for (int i = 0; i < 2; i++)
		turn(&p[1], 10, 20);
	lose_some(&p[LOST]);
	lose_some(&p[LOST_SHORT]);
	say(&p[WAITS], &p[WAITS].client, 77, PLAIN);
	for (int i = 0; i < N; i++)
		p[i].client.nr_steps = p[i].server.nr_steps = 0;
	begin_hearing(&p[BLOCKED], &p[BLOCKED].server, 30);
	if (ready_file)
		touch_and_wait();
	hear(&p[WAITS], &p[WAITS].server, 77, ALL, PLAIN);
	say(&p[WAITS], &p[WAITS].server, 88, PLAIN);
	hear(&p[WAITS], &p[WAITS].client, 88, ALL, PLAIN);
	say(&p[BLOCKED], &p[BLOCKED].client, 30, WAITED_FOR);
	end_hearing();
	say_in_thread(&p[BLOCKED], &p[BLOCKED].server, 40);
	hear(&p[BLOCKED], &p[BLOCKED].client, 40, ALL, PLAIN);
	for (int i = 0; i < N; i++) {
		turn(&p[i], 30, 40);
		turn(&p[i], 50, 60);
		close_by_fin(&p[i], i & 1 ? &p[i].server : &p[i].client);
		if (i == LOST_SHORT)
			p[i].server.nr_steps = 0;
		expect_all(&p[i], name);
	}
}

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
static void duplex(const char *name)
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

static void uring(const char *name)
{
	struct pair p;

	if (!uring_there()) {
		printf("skip case=%s\n", name);
		return;
	}
	pair_open(&p, "4");
	for (int i = 0; i < 3; i++) {
		say(&p, &p.client, 70, URING);
		hear(&p, &p.server, 70, ALL, URING);
		say(&p, &p.server, 700, URING);
		hear(&p, &p.client, 700, ALL, URING);
	}
	close_by_fin(&p, &p.client);
	expect_all(&p, name);
}

/* An answered request and one that waits, when the tracer goes. */
static void left_open(const char *name)
{
	struct pair p[2];

	for (int i = 0; i < 2; i++) {
		pair_open(&p[i], "4");
		turn(&p[i], 10, 20);
	}
	say(&p[1], &p[1].client, 77, PLAIN);
	hear(&p[1], &p[1].server, 77, ALL, PLAIN);
	if (ready_file)
		touch_and_wait();
	for (int i = 0; i < 2; i++) {
		detached(&p[i]);
		expect_all(&p[i], name);
	}
}

const struct talk_case talk_cases[] = {
	{ "keepalive", keepalive, false },
	{ "fresh", fresh, false },
	{ "ipv6", ipv6, false },
	{ "mapped", mapped, false },
	{ "parts", parts, false },
	{ "calls", calls, false },
	{ "greeting", greeting, false },
	{ "unanswered", unanswered, false },
	{ "rst", rst, false },
	{ "half_closed", half_closed, false },
	{ "pipelined", pipelined, false },
	{ "idle", idle, false },
	{ "slow", slow, false },
	{ "peek", peek, false },
	{ "nothing", nothing, false },
	{ "threads", threads, false },
	{ "upload", upload, false },
	{ "duplex", duplex, false },
	{ "uring", uring, false },
	{ "old", old, true },
	{ "left_open", left_open, true },
	{ NULL, NULL, false },
};
