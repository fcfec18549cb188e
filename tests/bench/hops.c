// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Packets from one network namespace to another, for tests/bench/podnet.
 *
 *   hops udp FROM AT ADDRESS PORT N     N datagrams of 64 bytes, 16 sent and then read in turn
 *   hops ping FROM AT ADDRESS PORT N    N echo requests, each when the last was answered
 *   hops tcp FROM AT ADDRESS PORT N     a stream of N MiB to another process
 *
 * FROM and AT are paths of namespaces; AT and PORT mean nothing to ping. With udp and ping one
 * thread does all of it on the last CPU, so the time is what the packets cost and no waiting for
 * anyone. Prints {"seconds":S}, for udp and ping N times the median: what else ran on that CPU
 * meanwhile does not count.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16 /* more would not be done before the next interruption */
#define BYTES 64

static const char *from, *at;
static struct sockaddr_in to;
static long n;

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "hops: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void enter(const char *ns)
{
	int fd = open(ns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(ns);
	close(fd);
}

static void stay_on_last_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* A socket in a namespace; what is sent comes in time, or never. */
static int new_socket(const char *ns, int type, int proto)
{
	struct timeval limit = { .tv_sec = 5 };
	int fd, one = 1;

	enter(ns);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, proto);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		die("socket");
	return fd;
}

static void bind_to(int fd)
{
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)))
		die("bind");
}

static void connect_to(int fd)
{
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The median of what a cycle takes. */
static double median(int a, int b, void (*cycle)(int a, int b), long cycles)
{
	uint64_t *spent = calloc((size_t)cycles, sizeof(*spent)), start;
	double result;

	if (!spent)
		die("calloc");
	for (long i = 0; i < cycles; i++) {
		start = now_ns();
		cycle(a, b);
		spent[i] = now_ns() - start;
	}
	qsort(spent, (size_t)cycles, sizeof(*spent), by_value);
	result = (double)spent[cycles / 2];
	free(spent);
	return result;
}

static struct mmsghdr messages[BATCH];

static void batch(int out, int in)
{
	for (int sent = 0, done; sent < BATCH; sent += done) {
		done = sendmmsg(out, messages + sent, (unsigned)(BATCH - sent), 0);
		if (done < 0)
			die("sendmmsg");
	}
	for (int got = 0, done; got < BATCH; got += done) {
		done = recvmmsg(in, messages + got, (unsigned)(BATCH - got), MSG_WAITFORONE, NULL);
		if (done < 0)
			die("recvmmsg, a datagram is lost");
	}
}

static double udp(void)
{
	static char buffer[BYTES];
	static struct iovec iov = { .iov_base = buffer, .iov_len = BYTES };
	int in = new_socket(at, SOCK_DGRAM, 0), out;
	long cycles = (n + BATCH - 1) / BATCH;

	bind_to(in);
	out = new_socket(from, SOCK_DGRAM, 0);
	connect_to(out);
	for (int i = 0; i < BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	return median(out, in, batch, cycles) / BATCH * (double)n / 1e9;
}

static void echo(int fd, int unused)
{
	struct icmphdr request = { .type = ICMP_ECHO };
	char reply[256];

	(void)unused;
	if (send(fd, &request, sizeof(request), 0) < 0)
		die("send");
	if (recv(fd, reply, sizeof(reply), 0) < 0)
		die("recv, no reply");
}

/* An ICMP socket of the kernel's own kind: it fills in checksum and id, and sees only its replies. */
static double ping(void)
{
	int fd = new_socket(from, SOCK_DGRAM, IPPROTO_ICMP);

	connect_to(fd);
	return median(fd, 0, echo, n) * (double)n / 1e9;
}

static void sink(int lfd)
{
	static char buffer[1 << 16];
	int fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);

	while (recv(fd, buffer, sizeof(buffer), 0) > 0)
		;
	close(fd);
	_exit(0);
}

static double tcp(void)
{
	static char buffer[1 << 16];
	int lfd = new_socket(at, SOCK_STREAM, 0), fd;
	uint64_t start;

	bind_to(lfd);
	if (listen(lfd, 1))
		die("listen");
	if (!fork())
		sink(lfd);
	fd = new_socket(from, SOCK_STREAM, 0);
	connect_to(fd);
	start = now_ns();
	for (long left = n << 20; left > 0;) {
		ssize_t done = send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);

		if (done < 0)
			die("send");
		left -= done;
	}
	shutdown(fd, SHUT_WR);
	recv(fd, buffer, 1, 0);
	return (double)(now_ns() - start) / 1e9;
}

int main(int argc, char **argv)
{
	double seconds;

	if (argc != 7) {
		fprintf(stderr, "usage: hops udp|ping|tcp FROM AT ADDRESS PORT N\n");
		return 2;
	}
	from = argv[2];
	at = argv[3];
	to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(atoi(argv[5])) };
	n = atol(argv[6]);
	if (!inet_pton(AF_INET, argv[4], &to.sin_addr) || n <= 0) {
		fprintf(stderr, "hops: an IPv4 address and a number above 0 are expected\n");
		return 2;
	}
	if (strcmp(argv[1], "tcp"))
		stay_on_last_cpu();
	seconds = !strcmp(argv[1], "tcp") ? tcp() : !strcmp(argv[1], "ping") ? ping() : udp();
	printf("{\"seconds\":%.9f}\n", seconds);
	return 0;
}
