// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Two network namespaces of our own: in the first are the clients and the servers that they
 * reach by loopback, in the second the servers behind a veth pair.  Nobody but us holds
 * them: they go when we go.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "torture.h"

#define VETH (1u << F_VETH4 | 1u << F_VETH6 | 1u << F_VETHMAPPED)

static union addr addresses[LISTENERS]; /* to connect to */
static int fds[LISTENERS];

/* Where a family's servers are reached, and the other form of that, if there is one. */
static const struct {
	const char *ip, *other;
} servers[FAMILIES] = {
	[F_4] = { "127.0.0.1", "::ffff:127.0.0.1" },
	[F_6] = { "::1", NULL },
	[F_MAPPED] = { "::ffff:127.0.0.1", "127.0.0.1" },
	[F_VETH4] = { "10.78.0.2", "::ffff:10.78.0.2" },
	[F_VETH6] = { "fd78::2", NULL },
	[F_VETHMAPPED] = { "::ffff:10.78.0.2", "10.78.0.2" },
};

static void run(const char *command)
{
	if (system(command))
		die("failed: %s", command);
}

static int own_namespace(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("/proc/thread-self/ns/net: %s", strerror(errno));
	return fd;
}

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		die("setns: %s", strerror(errno));
}

/* Many short connections, and all of them with fast open if they like. */
static void settings(void)
{
	static const char *const all[][2] = {
		{ "/proc/sys/net/ipv4/tcp_fastopen", "519" }, /* both sides, no cookies */
		{ "/proc/sys/net/ipv4/tcp_fastopen_blackhole_timeout_sec", "0" },
		{ "/proc/sys/net/ipv4/ip_local_port_range", "1024 65535" },
		{ "/proc/sys/net/ipv4/tcp_tw_reuse", "1" },
		{ "/proc/sys/net/ipv4/tcp_max_syn_backlog", "65536" },
		{ "/proc/sys/net/core/somaxconn", "65535" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		int fd = open(all[i][0], O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (write(fd, all[i][1], strlen(all[i][1])) < 0)
			die("%s: %s", all[i][0], strerror(errno));
		close(fd);
	}
}

static int new_namespace(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		die("a network namespace: %s", strerror(errno));
	settings();
	run("ip link set lo up");
	return own_namespace();
}

/* A pair of devices is given to the namespace of a process: one that waits in the other. */
static void veth_pair(int client, int server)
{
	char command[128];
	pid_t holder = fork();

	if (!holder) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	if (holder < 0)
		die("fork: %s", strerror(errno));
	enter(client);
	snprintf(command, sizeof(command), "ip link add tt0 type veth peer name tt1 netns %d",
		 holder);
	run(command);
	kill(holder, SIGKILL);
	run("ip addr add 10.78.0.1/24 dev tt0; ip addr add fd78::1/64 dev tt0 nodad;"
	    "ip link set tt0 up");
	enter(server);
	run("ip addr add 10.78.0.2/24 dev tt1; ip addr add fd78::2/64 dev tt1 nodad;"
	    "ip link set tt1 up");
}

static socklen_t address(union addr *a, const char *ip)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, ip, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		return sizeof(a->v4);
	}
	if (inet_pton(AF_INET6, ip, &a->v6.sin6_addr) != 1)
		die("no address: %s", ip);
	a->v6.sin6_family = AF_INET6;
	return sizeof(a->v6);
}

/* Half of the listeners for IPv4 are IPv6 sockets, whatever the clients are. */
static void open_listener(int i)
{
	const char *ip = servers[i / PORTS].ip, *other = servers[i / PORTS].other;
	int off = 0, queue = 4096;
	union addr a;
	socklen_t len = address(&a, other && i % 2 ? other : ip);
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (a.sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	if (bind(fd, &a.sa, len) < 0 || listen(fd, 65535) < 0 || getsockname(fd, &a.sa, &len) < 0)
		die("listening on %s: %s", ip, strerror(errno));
	address(&addresses[i], ip);
	/* the port is at the same place in both forms */
	addresses[i].v4.sin_port = a.v4.sin_port;
	fds[i] = fd;
}

static void open_listeners(unsigned families)
{
	for (int i = 0; i < LISTENERS; i++) {
		if (families & 1u << i / PORTS)
			open_listener(i);
	}
}

void net_start(void)
{
	int client, server;

	memset(fds, -1, sizeof(fds));
	if (opt.stay) {
		open_listeners(opt.families);
		return;
	}
	client = new_namespace();
	open_listeners(opt.families & ~VETH);
	if (opt.families & VETH) {
		server = new_namespace();
		veth_pair(client, server);
		open_listeners(opt.families & VETH);
		enter(client);
	}
	/* Descriptors of both are held to the end, as a container's runtime does: so others can enter. */
}

int net_listener(int listener)
{
	return fds[listener];
}

/* Where a client connects to; returns the address's size. */
socklen_t net_address(int listener, union addr *a)
{
	*a = addresses[listener];
	return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}
