// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One socket, many users: processes, descriptors, threads. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockfeat.h"

#define MESSAGE      4096
#define MESSAGES     400 /* of each writer */
#define DUPLEX_BYTES (4 << 20)

static pid_t start_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	return pid;
}

/* Parent and child read from the same socket by turns. */
void run_fork(void)
{
	struct pair p = warm_pair();
	pid_t pid;

	put(p.client, "for the child");
	settle();
	pid = start_child();
	if (!pid) {
		say_recv("child", p.server, 100, 0);
		put(p.server, "child's answer");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	settle();
	say_recv("client", p.client, 100, 0);
	put(p.client, "for the parent");
	settle();
	say_recv("parent", p.server, 100, 0);
	say_exchange("then", &p);
}

void run_dup(void)
{
	struct pair p = warm_pair();
	int fd = dup(p.server);

	put(p.client, "hello");
	settle();
	say_recv("the copy", fd, 2, 0);
	say_recv("the first", p.server, 100, 0);
	close(p.server);
	settle();
	say_polled("poll", p.client, POLLIN | POLLRDHUP);
	p.server = fd;
	say_exchange("through the copy", &p);
	close(fd);
	settle();
	say_recv("both closed", p.client, 100, 0);
}

static void pass_fd(int to, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { "f", 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	if (sendmsg(to, &msg, 0) < 0)
		die("sendmsg: %s", strerror(errno));
}

static int take_fd(int from)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(from, &msg, 0) <= 0 || !CMSG_FIRSTHDR(&msg))
		die("no descriptor: %s", strerror(errno));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Puts this process into the root of the hierarchy, which is in no scope. */
static void leave_cgroup(void)
{
	FILE *mounts = setmntent("/proc/mounts", "re");
	struct mntent *m;
	char path[512] = "";
	int fd;

	while (mounts && (m = getmntent(mounts))) {
		if (!strcmp(m->mnt_type, "cgroup2"))
			snprintf(path, sizeof(path), "%s/cgroup.procs", m->mnt_dir);
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die("%s: %s", path, strerror(errno));
	close(fd);
	endmntent(mounts);
}

/* Another process goes on with the server's end. */
static void pass_on(bool outside)
{
	struct pair p = pair_new();
	int ways[2];
	char data[100];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ways) < 0)
		die("socketpair: %s", strerror(errno));
	pid = start_child();
	if (!pid) {
		close(p.server);
		close(p.client);
		if (outside)
			leave_cgroup();
		p.server = take_fd(ways[1]);
		for (int i = 0; i < 50; i++) {
			get_bytes(p.server, data, 64);
			put_bytes(p.server, data, 64);
		}
		say_recv_wait("at last", p.server, 100, 0);
		_exit(0);
	}
	warm_up(&p);
	put(p.client, "half of the first message, sent ");
	settle();
	pass_fd(ways[0], p.server);
	close(p.server);
	put(p.client, "and the other half of it, later.");
	for (int i = 0; i < 50; i++) {
		get_bytes(p.client, data, 64);
		if (i < 49)
			put_bytes(p.client, data, 64);
	}
	say("'%.64s'", data);
	put(p.client, "bye");
	waitpid(pid, NULL, 0);
	settle();
	say_recv("its end", p.client, 100, 0);
}

void run_scm_rights(void)
{
	pass_on(false);
}

void run_scm_outside(void)
{
	pass_on(true);
}

/* Each message whole, or cut if c->result says so; the size of a message is its first two bytes. */
static ssize_t write_messages(struct call *c)
{
	unsigned char data[MESSAGE];
	ssize_t partial = 0;

	for (int i = 0; i < MESSAGES; i++) {
		unsigned short size = 3 + (i * 911 + c->flags) % (MESSAGE - 3);
		ssize_t n;

		memset(data, 'a' + c->flags, sizeof(data));
		memcpy(data, &size, sizeof(size));
		do {
			n = send(c->fd, data, size, MSG_NOSIGNAL);
		} while (n < 0 && errno == EAGAIN && polled(c->fd, POLLOUT, STEP_SECONDS * 1000));
		if (n < 0)
			return n;
		partial += n < size;
	}
	return partial;
}

/* Whether the next message is whole; which of the two wrote it. */
static int read_message(int fd)
{
	unsigned char data[MESSAGE];
	unsigned short size;

	get_bytes(fd, &size, sizeof(size));
	if (size < 3 || size > MESSAGE)
		return -1;
	get_bytes(fd, data, size - 2);
	for (int i = 1; i < size - 2; i++) {
		if (data[i] != data[0])
			return -1;
	}
	return data[0] - 'a';
}

/* The reader is fast: what fits into the buffer is written whole. */
void run_two_writers(void)
{
	struct pair p = warm_pair();
	struct call c[2] = { { .fd = p.client, .flags = 0 }, { .fd = p.client, .flags = 1 } };
	int got[2] = { 0 }, i;

	call_start(&c[0], write_messages);
	call_start(&c[1], write_messages);
	for (i = 0; i < 2 * MESSAGES; i++) {
		int who = read_message(p.server);

		if (who < 0 || who > 1)
			break;
		got[who]++;
	}
	say("whole messages: %d and %d", got[0], got[1]);
	for (i = 0; i < 2; i++) {
		call_ends(&c[i], 1);
		say_call("cut", &c[i]);
	}
}

static ssize_t write_stream(struct call *c)
{
	char data[8192];
	size_t sent = 0;

	for (int i = 0; sent < DUPLEX_BYTES; i++) {
		size_t n = 1 + i * 7919 % sizeof(data);

		if (n > DUPLEX_BYTES - sent)
			n = DUPLEX_BYTES - sent;
		pattern_fill(data, sent, n);
		put_bytes(c->fd, data, n);
		sent += n;
	}
	return sent;
}

static ssize_t read_stream(struct call *c)
{
	char data[5000];
	size_t got = 0;

	while (got < DUPLEX_BYTES) {
		size_t n = DUPLEX_BYTES - got < sizeof(data) ? DUPLEX_BYTES - got : sizeof(data);

		get_bytes(c->fd, data, n);
		if (!pattern_is(data, got, n))
			return got;
		got += n;
	}
	return got;
}

/* At both ends one thread reads while another writes. */
void run_duplex(void)
{
	struct pair p = warm_pair();
	struct call c[4] = {
		{ .fd = p.client }, { .fd = p.server }, { .fd = p.client }, { .fd = p.server }
	};

	for (int i = 0; i < 4; i++)
		call_start(&c[i], i < 2 ? write_stream : read_stream);
	for (int i = 0; i < 4; i++) {
		call_ends(&c[i], STEP_SECONDS * 4);
		say_call(i < 2 ? "written" : "read right", &c[i]);
	}
	say_exchange("then", &p);
}
