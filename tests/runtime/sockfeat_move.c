// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Other ways in and out than send() and recv(): pipes, files, pages, many messages or pieces at once. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>

#include "sockfeat.h"

#define PIECES 512
#define PIECE  3

static void say_pipe(int fd)
{
	char data[100];
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	n = read(fd, data, sizeof(data));
	say_text("in the pipe", n, errno, data);
}

static void open_pipe(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
}

/* Into the pipe whose end is c->flags. A blocking socket waits whatever SPLICE_F_NONBLOCK says. */
static ssize_t splice_call(struct call *c)
{
	return splice(c->fd, NULL, c->flags, NULL, 100, SPLICE_F_NONBLOCK);
}

void run_splice_from(void)
{
	struct pair p = warm_pair();
	struct call c = { .fd = p.server };
	int fds[2];

	open_pipe(fds);
	c.flags = fds[1];
	put(p.client, "hello");
	settle();
	call_start(&c, splice_call);
	say_call("splice", &c);
	if (!c.done) /* it holds the pipe */
		return;
	say_pipe(fds[0]);
	say_recv("recv", p.server, 100, MSG_DONTWAIT);
	call_start(&c, splice_call);
	say_call("splice without data", &c);
	shutdown(p.client, SHUT_WR);
	settle();
	if (c.done)
		call_start(&c, splice_call);
	say_call("splice at the end", &c);
}

void run_splice_to(void)
{
	struct pair p = warm_pair();
	int fds[2];
	ssize_t n;

	open_pipe(fds);
	if (write(fds[1], "hello", 5) != 5)
		die("pipe: %s", strerror(errno));
	n = splice(fds[0], NULL, p.client, NULL, 100, 0);
	say_result("splice", n, errno);
	say_recv_wait("recv", p.server, 100, 0);
}

/* Sends a file that is a pattern and says whether it has come. */
void run_sendfile(void)
{
	static char data[100000];
	struct pair p = warm_pair();
	int fd = memfd_create("sockfeat", MFD_CLOEXEC);
	size_t sent = 0;
	off_t off = 0;

	pattern_fill(data, 0, sizeof(data));
	if (fd < 0 || write(fd, data, sizeof(data)) != sizeof(data))
		die("a file of memory: %s", strerror(errno));
	memset(data, 0, sizeof(data));
	while (sent < sizeof(data)) {
		ssize_t n = sendfile(p.client, fd, &off, 10000);

		if (n <= 0) {
			say_result("sendfile", n, errno);
			return;
		}
		get_bytes(p.server, data + sent, n);
		sent += n;
	}
	say("sent=%zu; the same=%d", sent, pattern_is(data, 0, sent));
}

void run_vmsplice(void)
{
	static char page[4096] __attribute__((aligned(4096)));
	struct iovec iov = { page, sizeof(page) };
	struct pair p = warm_pair();
	char data[sizeof(page)];
	int fds[2];
	ssize_t n;

	open_pipe(fds);
	pattern_fill(page, 0, sizeof(page));
	n = vmsplice(fds[1], &iov, 1, 0);
	say_result("vmsplice", n, errno);
	n = splice(fds[0], NULL, p.client, NULL, sizeof(page), 0);
	say_result("splice", n, errno);
	get_bytes(p.server, data, sizeof(data));
	say("the same=%d", pattern_is(data, 0, sizeof(data)));
}

/* The message that says that pages may be used again. */
static void say_completion(int fd)
{
	union {
		char space[512];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_control = &control, .msg_controllen = sizeof(control) };
	struct sock_extended_err e;
	struct cmsghdr *cm;

	polled(fd, 0, 2000);
	if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
		say("no completion: %s", strerrorname_np(errno));
		return;
	}
	cm = CMSG_FIRSTHDR(&msg);
	if (!cm) {
		say("an empty completion");
		return;
	}
	memcpy(&e, CMSG_DATA(cm), sizeof(e));
	say("completion of %u to %u, origin %d%s", e.ee_info, e.ee_data, e.ee_origin,
	    e.ee_code & SO_EE_CODE_ZEROCOPY_COPIED ? ", copied" : "");
}

void run_zerocopy(void)
{
	static char data[65536], got[sizeof(data)];
	struct pair p = pair_with(false, SOL_SOCKET, SO_ZEROCOPY, 1);
	ssize_t n;

	pattern_fill(data, 0, sizeof(data));
	n = send(p.client, data, 20000, MSG_ZEROCOPY | MSG_NOSIGNAL);
	say_result("send", n, errno);
	if (n > 0) {
		get_bytes(p.server, got, n);
		say("the same=%d", pattern_is(got, 0, n));
		settle();
		say_completion(p.client);
	}
}

void run_mmsg(void)
{
	char texts[4][8] = { "one", "two", "three", "four" }, data[4][8] = { "" };
	struct mmsghdr out[4] = { 0 }, in[4] = { 0 };
	struct iovec from[4], to[4];
	struct pair p = warm_pair();
	int n;

	for (int i = 0; i < 4; i++) {
		from[i] = (struct iovec){ texts[i], strlen(texts[i]) };
		to[i] = (struct iovec){ data[i], 5 };
		out[i].msg_hdr = (struct msghdr){ .msg_iov = &from[i], .msg_iovlen = 1 };
		in[i].msg_hdr = (struct msghdr){ .msg_iov = &to[i], .msg_iovlen = 1 };
	}
	n = sendmmsg(p.client, out, 4, MSG_NOSIGNAL);
	say_result("sendmmsg", n, errno);
	for (int i = 0; i < n; i++)
		say("%u", out[i].msg_len);
	settle();
	n = recvmmsg(p.server, in, 4, MSG_DONTWAIT, NULL);
	say_result("recvmmsg", n, errno);
	for (int i = 0; i < n; i++)
		say("%u '%.*s'", in[i].msg_len, (int)in[i].msg_len, data[i]);
}

void run_iovec(void)
{
	char data[PIECES * PIECE], got[PIECES * PIECE];
	struct iovec from[PIECES], to[PIECES];
	struct pair p = warm_pair();
	ssize_t n;

	pattern_fill(data, 0, sizeof(data));
	memset(got, 0, sizeof(got));
	for (int i = 0; i < PIECES; i++) {
		from[i] = (struct iovec){ data + i * PIECE, PIECE };
		to[i] = (struct iovec){ got + i * PIECE, PIECE };
	}
	n = writev(p.client, from, PIECES);
	say_result("writev", n, errno);
	settle();
	n = readv(p.server, to, PIECES);
	say_result("readv", n, errno);
	say("the same=%d", n > 0 && pattern_is(got, 0, n));
}
