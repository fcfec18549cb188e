// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The cases: a row and a function each. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "talk.h"

void turn(struct pair *p, size_t request, size_t response)
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
	{ "duplex", case_duplex, false },
	{ "stream", case_stream, false },
	{ "uring", uring, false },
	{ "old", case_old, true },
	{ "left_open", case_left_open, true },
	{ NULL, NULL, false },
};
