/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * http_server.h - a server of HTTP/1.1 that does as the path says, for what no real server does:
 * hang, break off, dribble, send too much. A process, and one more for each connection.
 */
#ifndef BPFNET_TEST_HTTP_SERVER_H
#define BPFNET_TEST_HTTP_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "t.h"

#define REQUEST_MAX (256 * 1024)

static struct {
	int connections;
	int closed_by_peer; /* seen by /hang */
} * server; /* shared with its processes */

static int server_port;
static char server_socket[64]; /* a unix socket's path */

static inline void say(int fd, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (int done = 0, n; done < len; done += n) {
		n = (int)send(fd, text + done, (size_t)(len - done), MSG_NOSIGNAL);
		if (n <= 0)
			_exit(0);
	}
}

/* A request with its body; false at the end of the connection. */
static inline bool server_read(int fd, char *request, size_t *len)
{
	const char *head_end, *length;
	size_t want = 0;

	for (*len = 0;;) {
		ssize_t n = recv(fd, request + *len, REQUEST_MAX - 1 - *len, 0);

		if (n <= 0)
			return false;
		*len += (size_t)n;
		request[*len] = '\0';
		head_end = strstr(request, "\r\n\r\n");
		if (!head_end)
			continue;
		length = strstr(request, "ontent-Length: "); /* of either case */
		want = (size_t)(head_end + 4 - request);
		if (length && length < head_end)
			want += (size_t)strtoul(length + 15, NULL, 10);
		if (*len >= want)
			return true;
	}
}

static inline void server_wait(int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) > 0)
		;
	__atomic_fetch_add(&server->closed_by_peer, 1, __ATOMIC_RELAXED);
	_exit(0);
}

static inline void server_many(int fd, long bytes)
{
	char piece[8192];

	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n", bytes);
	memset(piece, 'm', sizeof(piece));
	for (long n; bytes > 0; bytes -= n) {
		n = send(fd, piece, bytes < 8192 ? (size_t)bytes : 8192, MSG_NOSIGNAL);
		if (n <= 0)
			_exit(0);
	}
}

static inline void server_dribble(int fd)
{
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	for (int i = 0; i < 1000; i++) {
		say(fd, "d");
		usleep(20 * 1000);
	}
}

static inline void server_chunks(int fd)
{
	say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
		"X-Two: a\r\nX-Two: b\r\n\r\n");
	say(fd, "5\r\nhello\r\n");
	usleep(30 * 1000);
	say(fd, "6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n");
}

static inline void server_heads(int fd)
{
	say(fd, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 20000; i++)
		say(fd, "X-%d: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
		    i);
	say(fd, "Content-Length: 0\r\n\r\n");
}

static inline void server_echo(int fd, const char *request, size_t len)
{
	say(fd, "HTTP/1.1 201 Made\r\nContent-Length: %zu\r\n\r\n", len);
	if (send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
		_exit(0);
}

static inline void server_answer(int fd, const char *request, size_t len)
{
	const char *path = strchr(request, ' ');

	path = path ? path + 1 : "";
	if (strncmp(path, "/hang", 5) == 0)
		server_wait(fd);
	else if (strncmp(path, "/many/", 6) == 0)
		server_many(fd, strtol(path + 6, NULL, 10));
	else if (strncmp(path, "/dribble", 8) == 0)
		server_dribble(fd);
	else if (strncmp(path, "/chunks", 7) == 0)
		server_chunks(fd);
	else if (strncmp(path, "/heads", 6) == 0)
		server_heads(fd);
	else if (strncmp(path, "/continue", 9) == 0)
		say(fd, "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
			"HTTP/1.1 204 No Content\r\nX-Late: 2\r\n\r\n");
	else if (strncmp(path, "/short", 6) == 0)
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	else if (strncmp(path, "/junk", 5) == 0)
		say(fd, "SSH-2.0-OpenSSH_9.2\r\n");
	else
		server_echo(fd, request, len);
	if (strncmp(path, "/short", 6) == 0 || strncmp(path, "/junk", 5) == 0)
		_exit(0);
}

static inline void server_serve(int fd)
{
	char *request = malloc(REQUEST_MAX);
	size_t len;

	while (request && server_read(fd, request, &len))
		server_answer(fd, request, len);
	_exit(0);
}

/* This process ends with the one that forked it, which may have ended already. */
static inline void server_end_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
}

static inline void server_accept(int listener)
{
	pid_t self = getpid();
	int fd;

	signal(SIGCHLD, SIG_IGN);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		__atomic_fetch_add(&server->connections, 1, __ATOMIC_RELAXED);
		if (fork() == 0) {
			server_end_with(self);
			server_serve(fd);
		}
		close(fd);
	}
	_exit(0);
}

/* Whatever ended the test's case: no file of it is left. */
static inline void server_remove(int sig)
{
	(void)sig;
	unlink(server_socket);
	_exit(0);
}

static inline void server_listen(int fd, const void *addr, socklen_t len)
{
	pid_t self = getpid();

	if (bind(fd, addr, len) || listen(fd, 128))
		FAIL("listen: %s", strerror(errno));
	fflush(stdout);
	if (fork() == 0) {
		signal(SIGTERM, server_remove);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != self)
			server_remove(0);
		server_accept(fd);
	}
}

/* On a free port of 127.0.0.1, and on a unix socket. Both end with the test's case. */
static inline void server_start(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	CHECK(server != MAP_FAILED && fd >= 0);
	server_listen(fd, &in, sizeof(in));
	getsockname(fd, (struct sockaddr *)&in, &len);
	server_port = ntohs(in.sin_port);
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(server_socket, sizeof(server_socket), "/tmp/bpfnet-http-%d.sock", getpid());
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", server_socket);
	server_listen(fd, &un, sizeof(un));
	close(fd);
}

#endif
