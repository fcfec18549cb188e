// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Cases in which the tracer comes, or goes, in the middle. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
#include "talk.h"

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
void case_old(const char *name)
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

/* An answered request and one that waits, when the tracer goes. */
void case_left_open(const char *name)
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
