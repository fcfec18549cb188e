// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Namespaces, sockets and the server's process; every wait is bounded. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "packets.h"

#define START_MS 10000 /* until a server listens */

struct server *server;
static int ready_pipe[2];

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("packets: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

void enter_namespace(const char *path)
{
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die("namespace %s: %s", path, strerror(errno));
	close(fd);
}

uint64_t own_namespace(void)
{
	struct stat st;

	if (stat("/proc/self/ns/net", &st) < 0)
		die("/proc/self/ns/net: %s", strerror(errno));
	return st.st_ino;
}

void stay_on_one_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("sched_setaffinity: %s", strerror(errno));
}

static void addr_set_port(union addr *a, int port)
{
	if (a->sa.sa_family == AF_INET)
		a->v4.sin_port = htons(port);
	else
		a->v6.sin6_port = htons(port);
}

void addr_set(union addr *a, const char *ip, int port)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, ip, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
	} else if (inet_pton(AF_INET6, ip, &a->v6.sin6_addr) == 1) {
		a->v6.sin6_family = AF_INET6;
	} else {
		die("no address: %s", ip);
	}
	addr_set_port(a, port);
}

socklen_t addr_len(const union addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

void print_addr(const char *key, const union addr *a)
{
	bool v4 = a->sa.sa_family == AF_INET;
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(a->sa.sa_family, v4 ? (void *)&a->v4.sin_addr : (void *)&a->v6.sin6_addr, text,
		  sizeof(text));
	printf("%s_addr=%s\n%s_port=%d\n", key, text, key,
	       ntohs(v4 ? a->v4.sin_port : a->v6.sin6_port));
}

void option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt %d %d: %s", level, name, strerror(errno));
}

/* The wildcard address of a family, or its any port. */
static union addr any_addr(const struct plan *p, int port)
{
	union addr a;

	addr_set(&a, p->to.sa.sa_family == AF_INET ? "0.0.0.0" : "::", port);
	return a;
}

int new_socket(const struct plan *p, int type)
{
	union addr a = any_addr(p, p->sport);
	int fd = socket(p->to.sa.sa_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (p->sport && bind(fd, &a.sa, addr_len(&a)) < 0)
		die("bind to port %d: %s", p->sport, strerror(errno));
	return fd;
}

/*
 * Bound to the address that the client sends to, so that this one answers; to all where the
 * address is translated on the way.
 */
int server_socket(const struct plan *p, int type)
{
	union addr a = p->listen ? any_addr(p, p->listen) : p->to;
	int fd = socket(p->to.sa.sa_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, &a.sa, addr_len(&a)) < 0)
		die("the server's bind: %s", strerror(errno));
	return fd;
}

bool wait_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

bool connects(int fd, const struct plan *p)
{
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, &p->to.sa, addr_len(&p->to)) < 0) {
		if (errno != EINPROGRESS)
			die("connect: %s", strerror(errno));
		if (poll(&poller, 1, p->wait) <= 0)
			return false;
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error) {
			printf("error=%s\n", strerrorname_np(error));
			return false;
		}
	}
	fcntl(fd, F_SETFL, 0);
	return true;
}

static void server_main(const struct plan *p, void (*serve)(const struct plan *p))
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(ready_pipe[0]);
	enter_namespace(p->at);
	server->pid = getpid();
	server->netns = own_namespace();
	serve(p);
	__atomic_store_n(&server->done, true, __ATOMIC_RELEASE);
	_exit(0);
}

void server_start(const struct plan *p, void (*serve)(const struct plan *p))
{
	server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (server == MAP_FAILED || pipe2(ready_pipe, O_CLOEXEC) < 0)
		die("no memory or no pipe: %s", strerror(errno));
	if (!p->at)
		return;
	switch (server->pid = fork()) {
	case -1:
		die("fork: %s", strerror(errno));
	case 0:
		server_main(p, serve);
	}
	close(ready_pipe[1]);
	/* it is readable, too, when the server has ended; that one said why */
	if (!wait_readable(ready_pipe[0], START_MS) || !server->ready)
		die("the server did not start");
}

void server_ready(void)
{
	server->ready = true;
	if (write(ready_pipe[1], "", 1) != 1)
		die("the client has gone");
}

void server_end(int ms)
{
	pid_t pid = server->pid;

	if (!pid)
		return;
	for (; ms > 0 && !__atomic_load_n(&server->done, __ATOMIC_ACQUIRE); ms--)
		usleep(1000);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void print_client(const struct plan *p, int fd)
{
	union addr own = { 0 };
	socklen_t len = sizeof(own);

	printf("client_pid=%d\nclient_netns=%" PRIu64 "\n", getpid(), own_namespace());
	if (getsockname(fd, &own.sa, &len) < 0)
		die("getsockname: %s", strerror(errno));
	if (!p->port) /* a raw socket's is its protocol */
		addr_set_port(&own, 0);
	print_addr("client", &own);
	print_addr("to", &p->to);
}

void print_server(const struct plan *p)
{
	if (!p->at)
		return;
	printf("server_pid=%d\nserver_netns=%" PRIu64 "\n", server->pid, server->netns);
	printf("server_packets=%" PRIu64 "\nserver_bytes=%" PRIu64 "\n", server->packets,
	       server->bytes);
	if (server->peer.sa.sa_family)
		print_addr("server_saw", &server->peer);
}
