// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Connections, and the turns that make a redirect take them. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sockfeat.h"

#define TURN_BYTES  64
#define QUICK_TURNS 8 /* the first ones, without a pause */
#define TURN_PAUSE  5 /* ms, between the others */

int turns;

int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	return fd;
}

void option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt %d %d: %s", level, name, strerror(errno));
}

void set_blocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) < 0)
		die("fcntl: %s", strerror(errno));
}

/* The port of this end, or of the other. */
int port_of(int fd, bool peer)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&a, &len) < 0)
		die("%s: %s", peer ? "getpeername" : "getsockname", strerror(errno));
	return ntohs(a.sin_port);
}

/* Makes a socket listen on a port of its own of 127.0.0.1, which *at becomes. */
int listen_on(int lfd, struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (bind(lfd, (struct sockaddr *)at, sizeof(*at)) < 0 || listen(lfd, 16) < 0 ||
	    getsockname(lfd, (struct sockaddr *)at, &len) < 0)
		die("listen: %s", strerror(errno));
	return lfd;
}

/* A client's socket, connected or not yet if there is no address, and what the listener accepts. */
struct pair pair_of(int client, int lfd, const struct sockaddr_in *to)
{
	struct pair p = { .client = client, .listener = lfd };

	if (to && connect(client, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("connect: %s", strerror(errno));
	p.server = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	if (p.server < 0)
		die("accept: %s", strerror(errno));
	set_blocking(p.client, blocking);
	set_blocking(p.server, blocking);
	/* Otherwise it takes a delayed acknowledgement until a second small message arrives. */
	option(p.client, IPPROTO_TCP, TCP_NODELAY, 1);
	option(p.server, IPPROTO_TCP, TCP_NODELAY, 1);
	return p;
}

struct pair pair_new(void)
{
	struct sockaddr_in at;
	int lfd = listen_on(tcp_socket(), &at);

	return pair_of(tcp_socket(), lfd, &at);
}

/* One request and its response. */
void turn(const struct pair *p, size_t size)
{
	char data[1024];

	memset(data, 'q', size);
	put_bytes(p->client, data, size);
	get_bytes(p->server, data, size);
	memset(data, 'r', size);
	put_bytes(p->server, data, size);
	get_bytes(p->client, data, size);
}

/* As many turns as option -t says, with time for someone to watch; then ready(). */
void warm_up(const struct pair *p)
{
	for (int i = 0; i < turns; i++) {
		turn(p, TURN_BYTES);
		if (i >= QUICK_TURNS)
			msleep(TURN_PAUSE);
	}
	ready(p);
}

struct pair warm_pair(void)
{
	struct pair p = pair_new();

	warm_up(&p);
	return p;
}

/* A pair one end of which has an option, set before it is warm or when it is. */
struct pair pair_with(bool server, int level, int name, int value)
{
	struct pair p = pair_new();
	int fd = server ? p.server : p.client;

	if (before)
		option(fd, level, name, value);
	warm_up(&p);
	if (!before)
		option(fd, level, name, value);
	return p;
}

void set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		skip("%s: %s", path, strerror(errno));
	close(fd);
}

/* A network namespace of the feature's own, for its settings. */
void own_net(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		die("unshare: %s", strerror(errno));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		die("lo: %s", strerror(errno));
	close(fd);
}
