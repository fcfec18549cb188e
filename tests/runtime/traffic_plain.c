// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Connections that succeed and end with a FIN from both sides. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "traffic.h"

/* A server in a process of its own; it ends when serve returns. */
pid_t start_server(const char *ip, void (*serve)(int lfd, const void *arg), const void *arg)
{
	pid_t pid = fork();
	int lfd;

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid) {
		wait_for(SEM_LISTENING);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "tr-server");
	alarm(PHASE_SECONDS + SCENARIO_SECONDS);
	lfd = listen_on(ip, &sh->server);
	tell(SEM_LISTENING);
	serve(lfd, arg);
	_exit(0);
}

void finish_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	}
	if (status)
		die("a process of the scenario failed, status %#x", status);
}

/* Where the server listens, reached by way of this address. */
void server_address(union addr *to, const char *ip)
{
	addr_set(to, ip, addr_port(&sh->server));
}

/* The part of the client after connecting; the order makes sure whose FIN is first. */
void client_talk(const struct plan *p, int fd, size_t sent)
{
	struct fact *f = describe(fd, false);

	send_bytes(fd, p->request - sent);
	if (p->order == HALF_CLOSE)
		shutdown(fd, SHUT_WR);
	recv_bytes(fd, p->answer);
	if (p->order != CLIENT_FIRST)
		recv_eof(fd);
	close(fd);
	f->tx = p->request;
	f->rx = p->answer;
	ended(f, END_FIN, p->order == SERVER_FIRST ? CLOSED_REMOTE : CLOSED_LOCAL, getpid());
}

/* The part of the server after accepting. */
void server_talk(const struct plan *p, struct fact *f, int fd)
{
	recv_bytes(fd, p->request);
	if (p->order == HALF_CLOSE)
		recv_eof(fd);
	send_bytes(fd, p->answer);
	if (p->order == CLIENT_FIRST)
		recv_eof(fd);
	close(fd);
	f->rx = p->request;
	f->tx = p->answer;
	ended(f, END_FIN, p->order == SERVER_FIRST ? CLOSED_LOCAL : CLOSED_REMOTE, getpid());
}

static int plan_connections(const struct plan *p)
{
	return p->connections ? p->connections : count * (p->connect[1] ? 2 : 1);
}

static void serve_once(const struct plan *p, int lfd)
{
	int fd = p->take ? p->take(lfd) : take_plain(lfd);

	server_talk(p, describe(fd, true), fd);
}

void serve_plan(int lfd, const void *plan)
{
	const struct plan *p = plan;

	for (int i = 0; i < plan_connections(p); i++)
		serve_once(p, lfd);
}

pid_t start_plan(const struct plan *p)
{
	return start_server(p->listen, serve_plan, p);
}

static void client_once(const struct plan *p, int i)
{
	size_t sent = 0;
	union addr to;
	int fd;

	server_address(&to, p->connect[p->connect[1] ? i % 2 : 0]);
	fd = p->open ? p->open(&to, &sent) : open_plain(&to);
	client_talk(p, fd, sent);
}

void run_clients(const struct plan *p)
{
	for (int i = 0; i < plan_connections(p); i++)
		client_once(p, i);
}

void run_served(const struct plan *p, void (*serve)(int lfd, const void *plan))
{
	pid_t server = start_server(p->listen, serve, p);

	run_clients(p);
	finish_child(server);
}

static void run_plan(const struct plan *p)
{
	run_served(p, serve_plan);
}

void run_echo4(void)
{
	static const struct plan plan = {
		.listen = "127.0.0.1",
		.connect = { "127.0.0.1" },
		.request = 100,
		.answer = 100,
		.order = CLIENT_FIRST,
	};

	run_plan(&plan);
}

void run_echo6(void)
{
	static const struct plan plan = {
		.listen = "::1",
		.connect = { "::1" },
		.request = 100,
		.answer = 100,
		.order = CLIENT_FIRST,
	};

	run_plan(&plan);
}

void run_mapped(void)
{
	static const struct plan plan = {
		.listen = "::",
		.connect = { "127.0.0.1", "::ffff:127.0.0.1" },
		.request = 111,
		.answer = 222,
		.order = CLIENT_FIRST,
	};

	run_plan(&plan);
}

void run_bulk(void)
{
	static const struct plan plan = {
		.listen = "127.0.0.1",
		.connect = { "127.0.0.1" },
		.request = (3 << 20) + 13,
		.answer = 1000003,
		.order = CLIENT_FIRST,
	};

	run_plan(&plan);
}

void run_halfclose(void)
{
	static const struct plan plan = {
		.listen = "127.0.0.1",
		.connect = { "127.0.0.1" },
		.request = 333,
		.answer = 777,
		.order = HALF_CLOSE,
	};

	run_plan(&plan);
}

void run_serverclose(void)
{
	static const struct plan plan = {
		.listen = "127.0.0.1",
		.connect = { "127.0.0.1" },
		.request = 50,
		.answer = 150,
		.order = SERVER_FIRST,
	};

	run_plan(&plan);
}

static int open_nonblock(const union addr *to, size_t *sent)
{
	int fd = tcp_socket(to->sa.sa_family, SOCK_NONBLOCK);
	int error;
	socklen_t len = sizeof(error);

	*sent = 0;
	connect_starts(fd, to);
	wait_poll(fd, POLLOUT);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
		die("connect, later: %s", strerror(error));
	return fd;
}

/* accept4() is called once in vain first, as servers do that take all there is. */
static int take_epoll(int lfd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), fd, n;

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev) < 0)
		die("epoll: %s", strerror(errno));
	while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
		if (errno != EAGAIN)
			die("accept4: %s", strerror(errno));
		n = epoll_wait(ep, &ev, 1, WAIT_SECONDS * 1000);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("nothing to accept within %d s", WAIT_SECONDS);
	}
	close(ep);
	return fd;
}

static void serve_nonblock(int lfd, const void *plan)
{
	if (fcntl(lfd, F_SETFL, O_NONBLOCK) < 0)
		die("O_NONBLOCK: %s", strerror(errno));
	serve_plan(lfd, plan);
}

void run_nonblock(void)
{
	static const struct plan plan = {
		.listen = "127.0.0.1",
		.connect = { "127.0.0.1" },
		.request = 70,
		.answer = 140,
		.order = CLIENT_FIRST,
		.open = open_nonblock,
		.take = take_epoll,
	};

	run_served(&plan, serve_nonblock);
}

/* The process that accepts has let go of the socket before the child begins. */
static void serve_forked(int lfd, const void *plan)
{
	const struct plan *p = plan;

	for (int i = 0; i < count; i++) {
		int fd = take_plain(lfd);
		struct fact *f = describe(fd, true);
		pid_t worker = fork();

		if (worker < 0)
			die("fork: %s", strerror(errno));
		if (!worker) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, "tr-worker");
			alarm(SCENARIO_SECONDS);
			close(lfd);
			wait_for(SEM_SERVER);
			server_talk(p, f, fd);
			_exit(0);
		}
		close(fd);
		tell(SEM_SERVER);
		finish_child(worker);
	}
}

void run_forked(void)
{
	static const struct plan plan = {
		.listen = "127.0.0.1",
		.connect = { "127.0.0.1" },
		.request = 10,
		.answer = 20,
		.order = SERVER_FIRST,
	};

	run_served(&plan, serve_forked);
}

static const struct plan threads_plan = {
	.listen = "127.0.0.1",
	.connect = { "127.0.0.1" },
	.request = 61,
	.answer = 62,
	.order = CLIENT_FIRST,
};

static void *client_thread(void *arg)
{
	(void)arg;
	prctl(PR_SET_NAME, "tr-cthread");
	client_once(&threads_plan, 0);
	return NULL;
}

static void *server_thread(void *arg)
{
	prctl(PR_SET_NAME, "tr-sthread");
	serve_once(&threads_plan, *(int *)arg);
	return NULL;
}

static void in_threads(void *(*body)(void *), void *arg)
{
	pthread_t threads[count];

	for (int i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, body, arg))
			die("no thread");
	}
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static void serve_threads(int lfd, const void *arg)
{
	(void)arg;
	in_threads(server_thread, &lfd);
}

void run_threads(void)
{
	pid_t server = start_server("127.0.0.1", serve_threads, NULL);

	in_threads(client_thread, NULL);
	finish_child(server);
}
