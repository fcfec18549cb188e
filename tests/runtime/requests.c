// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * requests - requests with known sizes and delays over TCP: a client, a proxy (sidecar), a service.
 *
 *	requests serve [-d US] [-w PARTS -g US] [ADDR PORT]
 *		Answers: reads a request, waits US microseconds, sends as many bytes as it asks for. A
 *		thread for each connection.
 *	requests proxy HOST PORT [-d US] [-o US] [-e] [-s | -x] [ADDR PORT]
 *		Sends requests on to HOST PORT, US (-d) after they were read, and the answers back, US (-o)
 *		after those were read. A thread for each connection; -e: one thread with epoll. Upstream: a
 *		connection for each downstream one, kept alive; -s: any that is free, of a shared pool; -x: a new
 *		one for each request.
 *	requests load HOST PORT [-c CONNECTIONS] [-n REQUESTS] [-q BYTES] [-a BYTES] [-w PARTS -g US]
 *			[-t US] [-x]
 *		Sends REQUESTS (10) of BYTES (100) one after the other on each of CONNECTIONS (1), a thread for
 *		each, and asks for -a BYTES (1000); -t: a pause after each answer; -x: a new connection for each.
 *		Ends with the last answer.
 *
 * serve and proxy listen on ADDR PORT (127.0.0.1 and 0: any free one) and print "port N" at once; they
 * run until SIGTERM or SIGINT. -w PARTS: each message in so many writes, -g US between them.
 *
 * At the end each prints what a tracer must have seen, a line per request. Times are CLOCK_MONOTONIC in
 * ns, taken after a recv() that returned the first (last) bytes, before the send() of the first; sport and
 * dport are as that end sees them:
 *
 *	client id= tid= sport= dport= nth= start_ns= first_ns= end_ns= request_bytes= answer_bytes=
 *	service id= tid= sport= dport= nth= read_ns= sent_ns= request_bytes= answer_bytes=
 *	proxy id= tid= sport= dport= nth= read_ns= forward_ns= answer_ns= back_ns= up_sport= up_nth=
 *
 * A proxy's read_ns to forward_ns is its way in, forward_ns to answer_ns what the service and the way there
 * took, answer_ns to back_ns its way out. nth counts from 1 on each connection. Ids are made of the
 * client's connection (upper half) and nth.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "requests.h"

volatile bool ending;

static pthread_mutex_t truth_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *truth_file;
static char *truth_text;
static size_t truth_size;

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

void sleep_until(uint64_t at_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(at_ns / NS_PER_SEC),
			       .tv_nsec = (long)(at_ns % NS_PER_SEC) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

void die(const char *what)
{
	fprintf(stderr, "requests: %s: %s\n", what, strerror(errno));
	exit(1);
}

void truth(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	pthread_mutex_lock(&truth_lock);
	vfprintf(truth_file, fmt, args);
	pthread_mutex_unlock(&truth_lock);
	va_end(args);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: requests serve [-d US] [-w PARTS -g US] [ADDR PORT]\n"
		"       requests proxy HOST PORT [-d US] [-o US] [-e] [-s | -x] [ADDR PORT]\n"
		"       requests load HOST PORT [-c N] [-n N] [-q BYTES] [-a BYTES]\n"
		"                     [-w PARTS -g US] [-t US] [-x]\n");
	return 2;
}

static uint64_t us(const char *text)
{
	return strtoull(text, NULL, 10) * NS_PER_US;
}

static bool set_option(struct options *o, int c, const char *arg)
{
	switch (c) {
	case 'c':
		o->connections = atoi(arg);
		return true;
	case 'n':
		o->requests = atoi(arg);
		return true;
	case 'q':
		o->request_bytes = (uint32_t)atoi(arg);
		return true;
	case 'a':
		o->answer_bytes = (uint32_t)atoi(arg);
		return true;
	case 'w':
		o->parts = atoi(arg);
		return true;
	case 'g':
		o->gap_ns = us(arg);
		return true;
	case 't':
		o->think_ns = us(arg);
		return true;
	case 'd':
		o->delay_ns = us(arg);
		return true;
	case 'o':
		o->back_ns = us(arg);
		return true;
	case 'x':
		return o->fresh = true;
	case 's':
		return o->shared = true;
	case 'e':
		return o->epoll = true;
	}
	return false;
}

/* Options may stand between the other words, as getopt() allows. */
static bool read_words(struct options *o, int argc, char **argv, bool connects)
{
	struct message m;
	int c, n;

	while ((c = getopt(argc, argv, "c:n:q:a:w:g:t:d:o:xse")) != -1)
		if (!set_option(o, c, optarg))
			return false;
	n = argc - optind;
	if (connects) {
		if (n < 2)
			return false;
		o->host = argv[optind++];
		o->port = atoi(argv[optind++]);
		n -= 2;
	}
	if (n == 2) {
		o->listen = argv[optind++];
		o->listen_port = atoi(argv[optind]);
	}
	return (n == 0 || n == 2) && o->request_bytes >= sizeof(m) &&
	       o->answer_bytes >= sizeof(m) && o->connections > 0 && o->parts > 0 &&
	       !(o->fresh && o->shared);
}

static void on_signal(int sig)
{
	(void)sig;
	ending = true;
}

int main(int argc, char **argv)
{
	struct options o = { .listen = "127.0.0.1",
			     .connections = 1,
			     .requests = 10,
			     .request_bytes = 100,
			     .answer_bytes = 1000,
			     .parts = 1 };
	struct sigaction sa = { .sa_handler = on_signal };
	void (*role)(const struct options *) = NULL;

	if (argc < 2)
		return usage();
	if (!strcmp(argv[1], "serve"))
		role = serve;
	else if (!strcmp(argv[1], "proxy"))
		role = proxy;
	else if (!strcmp(argv[1], "load"))
		role = load;
	if (!role || !read_words(&o, argc - 1, argv + 1, role != serve))
		return usage();
	if (role == proxy && o.epoll)
		role = proxy_epoll;
	sigaction(SIGTERM, &sa, NULL); /* without SA_RESTART: accept() and epoll_wait() return */
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	truth_file = open_memstream(&truth_text, &truth_size);
	role(&o);
	pthread_mutex_lock(&truth_lock); /* threads that are still there say no more */
	fflush(truth_file);
	fwrite(truth_text, 1, truth_size, stdout);
	fflush(stdout);
	_exit(0);
}
