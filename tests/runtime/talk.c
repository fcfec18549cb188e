// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * talk [-t MS] [-n TIMES] [-o READY GO] CASE... - connections on which it is exactly known who said what, when.
 *
 * Both ends are driven by this process, one step after the other, so what a tracer must have seen follows
 * from the steps (talk_expect.c). Prints a line for each event that tcprequest must have sent:
 *
 *	expect case= pid= sport= dport= cookie= side= nth= tid= request_bytes= response_bytes= outcome= ended= pipelined= ... and
 *	start_ns= ttfb_ns= total_ns= request_ns= idle_ns=, each LEAST..MOST or nil
 *
 * -t: for how long nothing must come until a response is told (500). -n: each case so many times. -o: for the
 * cases `old` and `left_open`: when its connections are there it makes the file READY, and waits for the file GO.
 * CASE: see talk_cases.c; "all" is each of them but those two.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "talk.h"

int timeout_ms = 500;
const char *ready_file, *go_file;

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void die(const char *what)
{
	fprintf(stderr, "talk: %s: %s\n", what, strerror(errno));
	exit(1);
}

void ms(unsigned n)
{
	usleep(n * 1000);
}

static bool run_cases(const char *name)
{
	bool any = false, all = !strcmp(name, "all");

	for (const struct talk_case *c = talk_cases; c->name; c++)
		if (!strcmp(c->name, name) || (all && !c->waits)) {
			c->run(c->name);
			any = true;
		}
	return any;
}

int main(int argc, char **argv)
{
	int times = 1, c;

	while ((c = getopt(argc, argv, "t:n:o:")) != -1) {
		if (c == 't')
			timeout_ms = atoi(optarg);
		else if (c == 'n')
			times = atoi(optarg);
		else if (c == 'o' && optind < argc) {
			ready_file = optarg;
			go_file = argv[optind++];
		} else
			return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (optind == argc)
		return 2;
	for (int i = 0; i < times; i++)
		for (int n = optind; n < argc; n++)
			if (!run_cases(argv[n])) {
				fprintf(stderr, "talk: no case '%s'\n", argv[n]);
				return 2;
			}
	return 0;
}
