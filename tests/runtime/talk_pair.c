// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A connection with both ends here, and the steps taken on it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "talk.h"

#define LARGEST (1 << 20)

static char buf[LARGEST];

static struct step *new_step(struct end *e, enum deed deed)
{
	struct step *s;

	e->steps = realloc(e->steps, sizeof(*s) * (size_t)(e->nr_steps + 1));
	if (!e->steps)
		die("realloc");
	s = &e->steps[e->nr_steps++];
	memset(s, 0, sizeof(*s));
	s->deed = deed;
	s->tid = gettid();
	return s;
}

static struct end *other(struct pair *p, const struct end *e)
{
	return e == &p->client ? &p->server : &p->client;
}

static void set_up(struct end *e, int fd, bool accepts)
{
	struct sockaddr_in6 self, peer; /* IPv4's ports stand at the same place */
	socklen_t len = sizeof(e->cookie), self_len = sizeof(self), peer_len = sizeof(peer);
	int on = 1;

	if (fd < 0)
		die("socket");
	e->fd = fd;
	e->accepts = accepts;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &e->cookie, &len))
		die("SO_COOKIE");
	if (getsockname(fd, (void *)&self, &self_len) || getpeername(fd, (void *)&peer, &peer_len))
		die("getsockname");
	e->sport = ntohs(self.sin6_port);
	e->dport = ntohs(peer.sin6_port);
}

void pair_open_from(struct pair *p, const char *family, int queue)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	bool six = *family != '4';
	struct sockaddr *a = six ? (void *)&v6 : (void *)&v4;
	socklen_t len = six ? sizeof(v6) : sizeof(v4), got = len;
	int lfd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0), fd;

	memset(p, 0, sizeof(*p));
	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (*family == 'm' && inet_pton(AF_INET6, "::ffff:127.0.0.1", &v6.sin6_addr) != 1)
		die("inet_pton");
	if (lfd < 0 || bind(lfd, a, len) || listen(lfd, queue) || getsockname(lfd, a, &got))
		die("listen");
	fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, a, len))
		die("connect");
	set_up(&p->client, fd, false);
	set_up(&p->server, accept(lfd, NULL, NULL), true);
	p->listener = lfd;
}

void pair_open(struct pair *p, const char *family)
{
	pair_open_from(p, family, 8);
	close(p->listener);
	p->listener = -1;
}

/* What comes is thrown away by the socket's filter, until it has been sent again. */
static void lose_one(struct end *from, struct end *to)
{
	struct sock_filter nothing = { .code = BPF_RET | BPF_K, .k = 0 };
	struct sock_fprog prog = { .len = 1, .filter = &nothing };
	int none = 0;
	char c = 'x';

	if (setsockopt(to->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ||
	    send(from->fd, &c, 1, 0) != 1)
		die("SO_ATTACH_FILTER");
	ms(100);
	if (setsockopt(to->fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)) ||
	    recv(to->fd, &c, 1, MSG_WAITALL) != 1)
		die("SO_DETACH_FILTER");
}

void lose_some(struct pair *p)
{
	lose_one(&p->client, &p->server);
	lose_one(&p->server, &p->client);
}

static ssize_t from_file(int to, size_t n)
{
	int fd = memfd_create("talk", 0);
	ssize_t sent;

	if (fd < 0 || ftruncate(fd, (off_t)n))
		die("memfd_create");
	sent = sendfile(to, fd, NULL, n);
	close(fd);
	return sent;
}

static ssize_t send_some(int fd, size_t n, enum how how)
{
	struct iovec iov[2] = { { buf, n / 2 }, { buf, n - n / 2 } };
	struct mmsghdr m = { .msg_hdr = { .msg_iov = iov, .msg_iovlen = 2 } };

	switch (how) {
	case FILE_IO:
		return write(fd, buf, n);
	case VECTOR:
		return writev(fd, iov, 2);
	case MESSAGE:
		return sendmsg(fd, &m.msg_hdr, 0);
	case MANY:
		return sendmmsg(fd, &m, 1, 0) == 1 ? (ssize_t)m.msg_len : -1;
	case FROM_FILE:
		return from_file(fd, n);
	case URING:
		return uring_send(fd, buf, n);
	default:
		return send(fd, buf, n, 0);
	}
}

static ssize_t into_pipe(int fd, size_t n)
{
	int p[2];
	ssize_t got;

	if (pipe(p))
		die("pipe");
	fcntl(p[1], F_SETPIPE_SZ, LARGEST);
	got = splice(fd, NULL, p[1], NULL, n, 0);
	close(p[0]);
	close(p[1]);
	return got;
}

static ssize_t read_some(int fd, size_t n, enum how how)
{
	struct iovec iov[2] = { { buf, n / 2 }, { buf, n - n / 2 } };
	struct mmsghdr m = { .msg_hdr = { .msg_iov = iov, .msg_iovlen = 2 } };

	switch (how) {
	case FILE_IO:
		return read(fd, buf, n);
	case VECTOR:
		return readv(fd, iov, 2);
	case MESSAGE:
		return recvmsg(fd, &m.msg_hdr, 0);
	case MANY:
		return recvmmsg(fd, &m, 1, 0, NULL) == 1 ? (ssize_t)m.msg_len : -1;
	case FROM_FILE:
		return into_pipe(fd, n);
	case WAITALL:
		return recv(fd, buf, n, MSG_WAITALL);
	case URING:
		return uring_recv(fd, buf, n);
	default:
		return recv(fd, buf, n, 0);
	}
}

/* Until all of it lies there unread, for that is what the next step relies on. */
static void wait_until_there(struct end *e, size_t bytes)
{
	for (int i = 0; i < 10000; i++) {
		int n = 0;

		if (ioctl(e->fd, FIONREAD, &n))
			die("FIONREAD");
		if ((size_t)n >= bytes)
			return;
		usleep(100);
	}
	errno = ETIMEDOUT;
	die("what was sent has not come");
}

void say(struct pair *p, struct end *e, size_t bytes, enum how how)
{
	struct end *to = other(p, e);
	struct step *s = new_step(e, DID_SEND);

	s->bytes = bytes;
	s->over = to->sent > e->read;
	s->from_ns[0] = s->to_ns[0] = now_ns();
	if (send_some(e->fd, bytes, how) != (ssize_t)bytes)
		die("send");
	s->from_ns[1] = s->to_ns[1] = now_ns();
	e->sent += bytes;
	if (how != WAITED_FOR)
		wait_until_there(to, e->sent - to->read);
}

void hear(struct pair *p, struct end *e, size_t bytes, size_t most, enum how how)
{
	struct step *s = new_step(e, DID_READ);
	uint64_t before;

	(void)p;
	s->bytes = bytes;
	for (size_t have = 0; have < bytes;) {
		size_t want = bytes - have < most ? bytes - have : most;
		ssize_t n;

		before = now_ns();
		n = read_some(e->fd, want, how);
		if (n <= 0)
			die("recv");
		s->to_ns[0] = before;
		s->to_ns[1] = now_ns();
		if (!have) {
			s->from_ns[0] = before;
			s->from_ns[1] = s->to_ns[1];
		}
		have += (size_t)n;
	}
	e->read += bytes;
}

struct call {
	struct pair *p;
	struct end *e;
	size_t bytes;
	bool reads;
};

static void *thread(void *arg)
{
	const struct call *c = arg;

	if (c->reads)
		hear(c->p, c->e, c->bytes, LARGEST, PLAIN);
	else
		say(c->p, c->e, c->bytes, PLAIN);
	return NULL;
}

static void in_thread(struct call c)
{
	pthread_t t;

	errno = pthread_create(&t, NULL, thread, &c);
	if (errno)
		die("pthread_create");
	pthread_join(t, NULL);
}

void say_in_thread(struct pair *p, struct end *e, size_t bytes)
{
	in_thread((struct call){ p, e, bytes, false });
}

void hear_in_thread(struct pair *p, struct end *e, size_t bytes)
{
	in_thread((struct call){ p, e, bytes, true });
}

static pthread_t hearing;
static struct call heard;

void begin_hearing(struct pair *p, struct end *e, size_t bytes)
{
	heard = (struct call){ p, e, bytes, true };
	errno = pthread_create(&hearing, NULL, thread, &heard);
	if (errno)
		die("pthread_create");
	ms(50);
}

/* The first byte can't have been read before it was sent; the thread has waited since long before. */
void end_hearing(void)
{
	const struct end *from = other(heard.p, heard.e);
	struct step *s;

	pthread_join(hearing, NULL);
	s = &heard.e->steps[heard.e->nr_steps - 1];
	s->tid = 0; /* where functions are hooked, that call returns unseen */
	s->from_ns[0] = s->to_ns[0] = from->steps[from->nr_steps - 1].from_ns[0];
}

/* The engine looks at least every half of the timeout, and a busy machine is late. */
void pause_both(struct pair *p)
{
	ms((unsigned)timeout_ms * 3);
	new_step(&p->client, DID_PAUSE);
	new_step(&p->server, DID_PAUSE);
}

void ended(struct pair *p, bool by_rst)
{
	struct end *ends[] = { &p->client, &p->server };

	for (int i = 0; i < 2; i++) {
		struct step *s = new_step(ends[i], by_rst ? DID_RESET : DID_CLOSE);

		s->from_ns[1] = s->to_ns[1] = now_ns() + 1000 * NS_PER_MS;
	}
}

void detached(struct pair *p)
{
	struct end *ends[] = { &p->client, &p->server };

	for (int i = 0; i < 2; i++)
		new_step(ends[i], DID_DETACH)->to_ns[1] = now_ns();
}

static void await_end(const struct end *e)
{
	struct pollfd pfd = { .fd = e->fd, .events = POLLRDHUP };

	if (poll(&pfd, 1, 10000) != 1)
		die("waited 10 s for the other end to close");
}

void close_by_fin(struct pair *p, struct end *first)
{
	struct end *second = other(p, first);

	close(first->fd);
	await_end(second);
	close(second->fd);
	ended(p, false);
}

void reset(struct pair *p, struct end *by)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(by->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(by->fd);
	await_end(other(p, by));
	close(other(p, by)->fd);
	ended(p, true);
}
