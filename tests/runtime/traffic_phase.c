// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Scenarios that begin before the tracer does.  What happened before the word to go on
 * is nothing that it can have seen: the connects of old connections, and the accepts
 * of all but the queued ones.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "traffic.h"

/* Everything is set up: the main process says so and tells when to go on. */
static void phase_ready(void)
{
	tell(SEM_READY);
	wait_long(SEM_GO);
	alarm(SCENARIO_SECONDS);
}

static void before(struct fact *f, uint64_t rx, uint64_t tx)
{
	f->old = true;
	f->connect = f->accept = false;
	f->rx_before = rx;
	f->tx_before = tx;
}

static const struct plan rest_plan = {
	.listen = "127.0.0.1",
	.connect = { "127.0.0.1" },
	.request = 30,
	.answer = 20,
	.order = CLIENT_FIRST,
};

static void serve_old(int lfd, const void *arg)
{
	struct fact *f[count];
	int fd[count];

	(void)arg;
	for (int i = 0; i < count; i++) {
		fd[i] = take_plain(lfd);
		f[i] = describe(fd[i], true);
		before(f[i], 100, 50);
		recv_bytes(fd[i], 100);
		send_bytes(fd[i], 50);
		wait_acked(fd[i]);
		tell(SEM_SERVER);
	}
	wait_long(SEM_CLIENT);
	for (int i = 0; i < count; i++) {
		server_talk(&rest_plan, f[i], fd[i]);
		f[i]->rx += 100;
		f[i]->tx += 50;
	}
}

/* The rest of an old connection, for the client. */
static void finish_old(struct fact *f, int fd, size_t request, size_t answer)
{
	send_bytes(fd, request);
	recv_bytes(fd, answer);
	close(fd);
	f->rx = f->rx_before + answer;
	f->tx = f->tx_before + request;
	ended(f, END_FIN, CLOSED_LOCAL, getpid());
}

static int open_old(struct fact **f, uint64_t rx, uint64_t tx)
{
	union addr to;
	int fd;

	server_address(&to, "127.0.0.1");
	fd = open_plain(&to);
	*f = describe(fd, false);
	before(*f, rx, tx);
	send_bytes(fd, tx);
	recv_bytes(fd, rx);
	wait_acked(fd);
	return fd;
}

void run_old(void)
{
	pid_t server = start_server("127.0.0.1", serve_old, NULL);
	struct fact *f[count];
	int fd[count];

	for (int i = 0; i < count; i++) {
		fd[i] = open_old(&f[i], 50, 100);
		wait_for(SEM_SERVER);
	}
	phase_ready();
	tell(SEM_CLIENT);
	for (int i = 0; i < count; i++)
		finish_old(f[i], fd[i], rest_plan.request, rest_plan.answer);
	finish_child(server);
}

struct acceptor {
	pthread_t thread;
	atomic_int tid; /* 0 until it is about to accept */
	int lfd;
};

static void *acceptor_thread(void *arg)
{
	struct acceptor *a = arg;
	int fd;

	prctl(PR_SET_NAME, "tr-sthread");
	a->tid = syscall(SYS_gettid);
	fd = take_plain(a->lfd);
	server_talk(&rest_plan, describe(fd, true), fd);
	return NULL;
}

static char thread_state(pid_t tid)
{
	char path[64], state = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	in = fopen(path, "re");
	if (!in || fscanf(in, "%*d (%*[^)]) %c", &state) != 1)
		die("cannot read %s", path);
	fclose(in);
	return state;
}

/* Nothing between setting the tid and accept() sleeps, so a sleeping thread accepts. */
static void wait_accepting(struct acceptor *a)
{
	double until = now() + WAIT_SECONDS;

	while (!a->tid || thread_state(a->tid) != 'S') {
		if (now() > until)
			die("a thread does not wait in accept");
		msleep(2);
	}
}

static void serve_blocked(int lfd, const void *arg)
{
	struct acceptor acceptors[count];

	(void)arg;
	for (int i = 0; i < count; i++) {
		struct acceptor *a = &acceptors[i];

		a->lfd = lfd;
		a->tid = 0;
		if (pthread_create(&a->thread, NULL, acceptor_thread, a))
			die("no thread");
		wait_accepting(a);
	}
	tell(SEM_SERVER);
	for (int i = 0; i < count; i++)
		pthread_join(acceptors[i].thread, NULL);
}

void run_blocked(void)
{
	pid_t server = start_server("127.0.0.1", serve_blocked, NULL);

	wait_for(SEM_SERVER);
	phase_ready();
	for (int i = 0; i < count; i++) {
		union addr to;

		server_address(&to, "127.0.0.1");
		client_talk(&rest_plan, open_plain(&to), 0);
	}
	finish_child(server);
}

static void serve_queued(int lfd, const void *arg)
{
	(void)arg;
	wait_for(SEM_CLIENT);
	wait_queued(lfd, count);
	tell(SEM_SERVER);
	wait_long(SEM_CLIENT);
	for (int i = 0; i < count; i++) {
		int fd = take_plain(lfd);
		struct fact *f = describe(fd, true);

		before(f, rest_plan.request, 0);
		f->accept = true; /* only now */
		server_talk(&rest_plan, f, fd);
	}
}

void run_queued(void)
{
	pid_t server = start_server("127.0.0.1", serve_queued, NULL);
	struct fact *f[count];
	int fd[count];

	for (int i = 0; i < count; i++)
		fd[i] = open_old(&f[i], 0, rest_plan.request);
	tell(SEM_CLIENT);
	wait_for(SEM_SERVER);
	phase_ready();
	tell(SEM_CLIENT);
	for (int i = 0; i < count; i++)
		finish_old(f[i], fd[i], 0, rest_plan.answer);
	finish_child(server);
}

/*
 * Many SYNs more at first, so that it does not time out before the word to go on;
 * then one at most: it times out when the next one would be due.
 */
void run_connecting(void)
{
	union addr to;
	int fd = tcp_socket(AF_INET, SOCK_NONBLOCK), error;
	socklen_t len = sizeof(error);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	struct fact *f;

	addr_set(&to, SILENT4, DISCARD_PORT);
	option(fd, IPPROTO_TCP, TCP_SYNCNT, 8);
	connect_starts(fd, &to);
	f = failed_connect(fd, OWN4, &to, ETIMEDOUT);
	f->old = true;
	phase_ready();
	option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	if (poll(&p, 1, SCENARIO_SECONDS * 1000) != 1)
		die("the connection does not time out");
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != ETIMEDOUT)
		die("SO_ERROR is %s, not %s", strerror(error), strerror(ETIMEDOUT));
	close(fd);
}
