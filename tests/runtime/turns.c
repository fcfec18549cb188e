// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * turns N BYTES [PORT] - N loopback connections that take turns: a request of BYTES bytes, the same back,
 * every byte compared. Non-blocking, both ends in this process. Prints the listener's port at once.
 * Until SIGTERM: then "N connections, T turns, B wrong", status 1 if bytes were wrong or a connection
 * broke. SIGUSR1: "T turns" so far.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
	int fd;
	int sent, received; /* of this turn */
	bool answers;
	unsigned seed; /* of the turn that it is in */
};

static struct end *ends;
static struct pollfd *polls;
static int count, size;
static unsigned long turns, wrong;
static volatile sig_atomic_t ending, asked;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		asked = 1;
	else
		ending = 1;
}

static unsigned char byte_of(unsigned seed, int at)
{
	return (unsigned char)((seed + (unsigned)at) * 2654435761u >> 13);
}

static void set_up(int fd)
{
	int on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		die("fcntl");
}

static int start_listening(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (void *)&a, sizeof(a)) || listen(fd, 128) || getsockname(fd, (void *)&a, &len))
		die("listen");
	printf("port %d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static void connect_one(int listener, struct end *client, struct end *server)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	getsockname(listener, (void *)&a, &len);
	client->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(client->fd, (void *)&a, sizeof(a)))
		die("connect");
	server->fd = accept(listener, NULL, NULL);
	set_up(client->fd);
	set_up(server->fd);
	server->answers = true;
	client->seed = server->seed = (unsigned)rand();
}

/* May this end send now? The one that answers has to have everything first. */
static bool may_send(const struct end *e)
{
	return e->sent < size && (!e->answers || e->received == size);
}

static void send_some(struct end *e)
{
	static unsigned char buf[1 << 20];
	ssize_t n;

	for (int i = e->sent; i < size; i++)
		buf[i] = byte_of(e->seed, i);
	n = send(e->fd, buf + e->sent, (size_t)(size - e->sent), MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		die("send");
	if (n > 0)
		e->sent += (int)n;
}

static void receive_some(struct end *e)
{
	static unsigned char buf[1 << 20];
	ssize_t n = recv(e->fd, buf, (size_t)(size - e->received) + 1, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die(n ? "recv" : "the other end closed");
	for (ssize_t i = 0; i < n; i++)
		wrong += buf[i] != byte_of(e->seed, e->received + (int)i);
	e->received += (int)n;
	wrong += e->received > size;
}

static void serve(struct end *e, struct pollfd *p)
{
	if (p->revents & (POLLIN | POLLERR | POLLHUP))
		receive_some(e);
	if (may_send(e) && !(ending && !e->answers && !e->sent))
		send_some(e);
	if (e->sent == size && e->received == size) {
		turns += !e->answers;
		e->sent = e->received = 0;
		e->seed++;
		if (!e->answers && !ending)
			send_some(e);
	}
	p->events = POLLIN | (may_send(e) && e->sent ? POLLOUT : 0);
}

static bool all_done(void)
{
	for (int i = 0; i < 2 * count; i++)
		if (ends[i].sent || ends[i].received)
			return false;
	return ending;
}

static void run(void)
{
	for (int i = 0; i < 2 * count; i++)
		polls[i] = (struct pollfd){ .fd = ends[i].fd, .events = POLLIN };
	for (int i = 0; i < 2 * count; i += 2)
		send_some(&ends[i]);
	while (!all_done()) {
		int n = poll(polls, (nfds_t)(2 * count), 5000);

		if (!n) {
			printf("stuck\n");
			exit(1);
		}
		for (int i = 0; i < 2 * count && n > 0; i++)
			if (polls[i].revents)
				serve(&ends[i], &polls[i]);
		if (asked) {
			asked = 0;
			printf("%lu turns\n", turns);
			fflush(stdout);
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int listener;

	if (argc < 3)
		return 2;
	count = atoi(argv[1]);
	size = atoi(argv[2]);
	ends = calloc((size_t)count * 2, sizeof(*ends));
	polls = calloc((size_t)count * 2, sizeof(*polls));
	if (!ends || !polls || size < 1 || size >= 1 << 20)
		return 2;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	listener = start_listening(argc > 3 ? atoi(argv[3]) : 0);
	for (int i = 0; i < count; i++)
		connect_one(listener, &ends[2 * i], &ends[2 * i + 1]);
	run();
	printf("%d connections, %lu turns, %lu wrong\n", count, turns, wrong);
	return wrong > 0;
}
