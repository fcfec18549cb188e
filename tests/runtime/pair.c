// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * pair FILE [SECONDS] - one connection over loopback, on which request and answer take turns until
 * FILE is there, as event loops do it: with non-blocking sockets, which a redirect takes.
 *
 * The client closes, the server SECONDS later. Prints what was sent, as one JSON object:
 * {"sport": the client's, "dport": ..., "requests": bytes, "answers": bytes}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGEST 6000

static void die(const char *what)
{
	fprintf(stderr, "pair: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listener(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	at->sin_family = AF_INET;
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, len) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)at, &len))
		die("listen");
	return fd;
}

static void connect_both(struct sockaddr_in *from, struct sockaddr_in *to, int *client, int *server)
{
	int lfd = listener(to);
	socklen_t len = sizeof(*from);

	*client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (*client < 0 ||
	    (connect(*client, (struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS))
		die("connect");
	*server = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);
	if (*server < 0 || getsockname(*client, (struct sockaddr *)from, &len))
		die("accept");
	close(lfd);
}

static void wait_until(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (poll(&p, 1, 10000) != 1)
		die("waited 10 s");
}

/* Each byte says where it stands in the stream, so that the other end knows what must come. */
static unsigned char byte_at(unsigned long long at)
{
	return (unsigned char)(at ^ at >> 8 ^ at >> 16);
}

static void send_all(int fd, size_t size, unsigned long long at)
{
	unsigned char buf[LARGEST];

	for (size_t i = 0; i < size; i++)
		buf[i] = byte_at(at + i);
	for (size_t done = 0; done < size;) {
		ssize_t n = send(fd, buf + done, size - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			die("send");
		if (n < 0)
			wait_until(fd, POLLOUT);
		else
			done += (size_t)n;
	}
}

static void receive_all(int fd, size_t size, unsigned long long at)
{
	unsigned char buf[LARGEST];
	size_t done = 0;

	while (done < size) {
		ssize_t n = recv(fd, buf + done, size - done, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			die("recv");
		if (n < 0)
			wait_until(fd, POLLIN);
		else
			done += (size_t)n;
	}
	for (size_t i = 0; i < size; i++)
		if (buf[i] != byte_at(at + i)) {
			errno = EBADMSG;
			die("recv");
		}
}

int main(int argc, char **argv)
{
	struct sockaddr_in from = { 0 }, to = { 0 };
	unsigned long long requests = 0, answers = 0;
	int client, server;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: pair FILE [SECONDS]\n");
		return 2;
	}
	connect_both(&from, &to, &client, &server);
	for (unsigned turn = 1; access(argv[1], F_OK); turn++) {
		size_t request = 1 + turn * 37 % 1000, answer = 1 + turn * 113 % LARGEST;

		send_all(client, request, requests);
		receive_all(server, request, requests);
		requests += request;
		send_all(server, answer, answers);
		receive_all(client, answer, answers);
		answers += answer;
		usleep(500);
	}
	close(client);
	wait_until(server, POLLIN);
	if (argc > 2)
		sleep((unsigned)atoi(argv[2]));
	close(server);
	printf("{\"sport\":%d,\"dport\":%d,\"requests\":%llu,\"answers\":%llu}\n",
	       ntohs(from.sin_port), ntohs(to.sin_port), requests, answers);
	return 0;
}
