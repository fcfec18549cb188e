// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Connections that end otherwise than with two FINs, and the simultaneous open.
 *
 * A reset throws away what is under way.  So that the numbers of bytes are certain,
 * both sides first wait until everything they sent is acknowledged.  The end that
 * receives a reset is over with it; that its process closes it later is nothing to see,
 * so its closer is 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "traffic.h"

static void bytes(struct fact *f, uint64_t rx, uint64_t tx)
{
	f->rx = rx;
	f->tx = tx;
}

static int open_server(struct fact **f)
{
	union addr to;
	int fd;

	server_address(&to, "127.0.0.1");
	fd = open_plain(&to);
	*f = describe(fd, false);
	return fd;
}

static void serve_linger(int lfd, const void *arg)
{
	(void)arg;
	for (int i = 0; i < count; i++) {
		int fd = take_plain(lfd);
		struct fact *f = describe(fd, true);

		recv_bytes(fd, 100);
		send_bytes(fd, 50);
		wait_acked(fd);
		tell(SEM_SERVER);
		recv_error(fd, ECONNRESET);
		close(fd);
		bytes(f, 100, 50);
		ended(f, END_RST_RECEIVED, CLOSED_REMOTE, 0);
	}
}

void run_linger_rst(void)
{
	pid_t server = start_server("127.0.0.1", serve_linger, NULL);

	for (int i = 0; i < count; i++) {
		struct fact *f;
		int fd = open_server(&f);

		send_bytes(fd, 100);
		recv_bytes(fd, 50);
		wait_acked(fd);
		wait_for(SEM_SERVER);
		close_reset(fd);
		bytes(f, 50, 100);
		ended(f, END_RST_SENT, CLOSED_LOCAL, getpid());
	}
	finish_child(server);
}

/* The server reads 40 bytes of 100: what it received are all of them. */
static void serve_unread(int lfd, const void *arg)
{
	(void)arg;
	for (int i = 0; i < count; i++) {
		int fd = take_plain(lfd), unread = 0;
		struct fact *f = describe(fd, true);

		recv_bytes(fd, 40);
		send_bytes(fd, 50);
		wait_acked(fd);
		wait_for(SEM_CLIENT);
		if (ioctl(fd, SIOCINQ, &unread) < 0 || unread != 60)
			die("%d bytes unread, not 60", unread);
		close(fd);
		bytes(f, 100, 50);
		ended(f, END_RST_SENT, CLOSED_LOCAL, getpid());
	}
}

void run_unread_rst(void)
{
	pid_t server = start_server("127.0.0.1", serve_unread, NULL);

	for (int i = 0; i < count; i++) {
		struct fact *f;
		int fd = open_server(&f);

		send_bytes(fd, 100);
		recv_bytes(fd, 50);
		wait_acked(fd);
		tell(SEM_CLIENT);
		recv_error(fd, ECONNRESET);
		close(fd);
		bytes(f, 50, 100);
		ended(f, END_RST_RECEIVED, CLOSED_REMOTE, 0);
	}
	finish_child(server);
}

static void serve_never(int lfd, const void *arg)
{
	(void)arg;
	wait_for(SEM_CLIENT);
	wait_queued(lfd, count);
	close(lfd);
}

/* The end of the server, which no process ever had a descriptor for. */
static void other_end(const struct fact *client, pid_t server)
{
	struct fact *f = &sh->fact[atomic_fetch_add(&sh->nfacts, 1)];

	*f = *client;
	f->server = true;
	f->connect = f->has_cookie = false;
	f->pid = f->tid = 0;
	f->comm[0] = 0;
	strcpy(f->saddr, client->daddr);
	strcpy(f->daddr, client->saddr);
	f->sport = client->dport;
	f->dport = client->sport;
	bytes(f, client->tx, client->rx);
	ended(f, END_RST_SENT, CLOSED_LOCAL, server);
}

void run_never_accepted(void)
{
	pid_t server = start_server("127.0.0.1", serve_never, NULL);
	struct fact *f[count];
	int fd[count];

	for (int i = 0; i < count; i++) {
		fd[i] = open_server(&f[i]);
		send_bytes(fd[i], 10);
		wait_acked(fd[i]);
	}
	tell(SEM_CLIENT);
	for (int i = 0; i < count; i++) {
		recv_error(fd[i], ECONNRESET);
		close(fd[i]);
		bytes(f[i], 0, 10);
		ended(f[i], END_RST_RECEIVED, CLOSED_REMOTE, 0);
		other_end(f[i], server);
	}
	finish_child(server);
}

#define DEAD_OWN  "10.78.0.1"
#define DEAD_PEER "10.78.0.2"

/* The client's namespace moves one end of the veth pair here and then tells. */
static pid_t start_far_server(void)
{
	pid_t pid = fork();
	int lfd, fd;
	struct fact *f;

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "tr-server");
	alarm(SCENARIO_SECONDS);
	if (unshare(CLONE_NEWNET) < 0)
		die("unshare: %s", strerror(errno));
	tell(SEM_SERVER);
	wait_for(SEM_CLIENT);
	ip_batch("addr add " DEAD_PEER "/24 dev tr3\nlink set tr3 up\n");
	lfd = listen_on(DEAD_PEER, &sh->server);
	tell(SEM_LISTENING);
	fd = take_plain(lfd);
	f = describe(fd, true);
	recv_bytes(fd, 100);
	send_bytes(fd, 50);
	wait_acked(fd);
	tell(SEM_SERVER);
	wait_for(SEM_CLIENT);
	close_reset(fd); /* the other end is gone; nobody minds the reset */
	bytes(f, 100, 50);
	ended(f, END_RST_SENT, CLOSED_LOCAL, getpid());
	tell(SEM_SERVER);
	wait_for(SEM_CLIENT); /* the veth pair goes with the namespace */
	_exit(0);
}

void run_dead_peer(void)
{
	pid_t server = start_far_server();
	char commands[256];
	union addr to;
	struct fact *f;
	int fd;

	wait_for(SEM_SERVER);
	snprintf(commands, sizeof(commands),
		 "link add tr2 type veth peer name tr3 netns %d\n"
		 "addr add " DEAD_OWN "/24 dev tr2\nlink set tr2 up\n",
		 server);
	ip_batch(commands);
	tell(SEM_CLIENT);
	wait_for(SEM_LISTENING);
	server_address(&to, DEAD_PEER);
	fd = open_plain(&to);
	f = describe(fd, false);
	option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
	send_bytes(fd, 100);
	recv_bytes(fd, 50);
	wait_acked(fd);
	wait_for(SEM_SERVER);
	ip_batch("neigh replace " DEAD_PEER " lladdr 02:00:00:00:77:02 dev tr2 nud permanent\n");
	send_bytes(fd, 70);
	recv_error(fd, ETIMEDOUT);
	close(fd);
	bytes(f, 50, 170);
	f->tx_unacked = 70;
	ended(f, END_TIMEOUT, CLOSED_LOCAL, 0);
	tell(SEM_CLIENT);
	wait_for(SEM_SERVER);
	ip_batch("link del tr2\n");
	tell(SEM_CLIENT);
	finish_child(server);
}

/* A socket that does not hear the reset which answers its SYN goes on trying. */
static void deaf(int fd, bool on)
{
	struct sock_filter drop = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog prog = { 1, &drop };
	int err;

	if (on)
		err = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
	else
		err = setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &drop.k, sizeof(drop.k));
	if (err)
		die("socket filter: %s", strerror(errno));
}

static void wait_connected(int fd)
{
	int error;
	socklen_t len = sizeof(error);

	wait_poll(fd, POLLOUT);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
		die("connect, later: %s", strerror(error));
}

static void simopen_once(void)
{
	union addr a, b;
	int fda = bound_socket("127.0.0.1", &a), fdb = bound_socket("127.0.0.1", &b);
	int on = 1;
	struct fact *fa, *fb;

	if (ioctl(fda, FIONBIO, &on) < 0 || ioctl(fdb, FIONBIO, &on) < 0)
		die("FIONBIO: %s", strerror(errno));
	deaf(fda, true);
	connect_starts(fda, &b);
	deaf(fda, false);
	connect_starts(fdb, &a); /* its SYN meets a socket that has sent one */
	wait_connected(fda);
	wait_connected(fdb);
	fa = describe(fda, false);
	fb = describe(fdb, false);
	send_bytes(fda, 31);
	recv_bytes(fdb, 31);
	send_bytes(fdb, 32);
	recv_bytes(fda, 32);
	close(fda);
	recv_eof(fdb);
	close(fdb);
	bytes(fa, 32, 31);
	bytes(fb, 31, 32);
	ended(fa, END_FIN, CLOSED_LOCAL, getpid());
	ended(fb, END_FIN, CLOSED_REMOTE, getpid());
}

void run_simopen(void)
{
	for (int i = 0; i < count; i++)
		simopen_once();
}
