// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Accepting through io_uring, and TCP fast open: what a kernel may lack or forbid.
 *
 * The ring does its work in the thread that submitted it and waits for it, so that is
 * the one that accepts.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "traffic.h"

#ifndef IORING_ACCEPT_MULTISHOT
#define IORING_ACCEPT_MULTISHOT (1U << 0)
#endif
#ifndef IORING_CQE_F_MORE
#define IORING_CQE_F_MORE (1U << 1)
#endif

struct ring {
	int fd;
	bool multishot, armed;
	unsigned char *sq, *cq;
	struct io_uring_sqe *sqe;
	struct io_uring_params params;
};

static struct ring ring;

static _Atomic unsigned int *word(unsigned char *base, unsigned int offset)
{
	return (_Atomic unsigned int *)(base + offset);
}

static void *map_ring(size_t size, off_t offset)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, offset);

	if (p == MAP_FAILED)
		die("mmap of the ring: %s", strerror(errno));
	return p;
}

/* Whether there is a ring; otherwise errno says why not. */
static bool ring_open(bool multishot)
{
	struct io_uring_params *p = &ring.params;

	memset(&ring, 0, sizeof(ring));
	ring.multishot = multishot;
	ring.fd = syscall(SYS_io_uring_setup, 4, p);
	if (ring.fd < 0)
		return false;
	ring.sq = map_ring(p->sq_off.array + p->sq_entries * sizeof(unsigned int),
			   IORING_OFF_SQ_RING);
	ring.cq = map_ring(p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe),
			   IORING_OFF_CQ_RING);
	ring.sqe = map_ring(p->sq_entries * sizeof(*ring.sqe), IORING_OFF_SQES);
	return true;
}

static void ring_enter(unsigned int submit, unsigned int wait)
{
	long n;

	do {
		n = syscall(SYS_io_uring_enter, ring.fd, submit, wait,
			    wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		die("io_uring_enter: %s", strerror(errno));
}

/* Submits one operation; waits for a completion, too, if asked to. */
static void ring_submit(const struct io_uring_sqe *what, unsigned int wait)
{
	const struct io_sqring_offsets *off = &ring.params.sq_off;
	_Atomic unsigned int *tail = word(ring.sq, off->tail);
	unsigned int slot = *tail & *word(ring.sq, off->ring_mask);

	ring.sqe[slot] = *what;
	*word(ring.sq, off->array + slot * sizeof(unsigned int)) = slot;
	(*tail)++;
	ring_enter(1, wait);
}

static void ring_accept(int lfd, unsigned int wait)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_ACCEPT, .fd = lfd };

	if (ring.multishot)
		sqe.ioprio = IORING_ACCEPT_MULTISHOT;
	ring_submit(&sqe, wait);
}

static bool ring_take(struct io_uring_cqe *cqe)
{
	const struct io_cqring_offsets *off = &ring.params.cq_off;
	_Atomic unsigned int *head = word(ring.cq, off->head);
	unsigned int slot = *head & *word(ring.cq, off->ring_mask);

	if (*head == *word(ring.cq, off->tail))
		return false;
	memcpy(cqe, ring.cq + off->cqes + slot * sizeof(*cqe), sizeof(*cqe));
	(*head)++;
	return true;
}

static int take_uring(int lfd)
{
	struct io_uring_cqe cqe;

	while (!ring_take(&cqe)) {
		if (ring.armed)
			ring_enter(0, 1);
		else
			ring_accept(lfd, 1);
		ring.armed = ring.multishot;
	}
	if (cqe.res < 0)
		die("accept through io_uring: %s", strerror(-cqe.res));
	ring.armed = cqe.flags & IORING_CQE_F_MORE;
	return cqe.res;
}

/* A kernel without the operation or the flag says so at once, before anyone connects. */
static void probe_uring(bool multishot)
{
	struct io_uring_cqe cqe;
	union addr a;
	int lfd;

	if (!ring_open(multishot))
		skip("no io_uring: %s", strerror(errno));
	lfd = listen_on("127.0.0.1", &a);
	ring_accept(lfd, 0);
	if (ring_take(&cqe))
		skip("no %saccept through io_uring: %s", multishot ? "multishot " : "",
		     strerror(-cqe.res));
	close(ring.fd);
	close(lfd);
}

static bool want_multishot;

static void serve_uring(int lfd, const void *plan)
{
	if (!ring_open(want_multishot))
		die("io_uring_setup: %s", strerror(errno));
	serve_plan(lfd, plan);
}

static void uring(bool multishot)
{
	static const struct plan plan = {
		.listen = "127.0.0.1",
		.connect = { "127.0.0.1" },
		.request = 81,
		.answer = 82,
		.take = take_uring,
	};

	probe_uring(multishot);
	want_multishot = multishot;
	run_served(&plan, serve_uring);
}

void run_uring(void)
{
	uring(false);
}

void run_uring_multi(void)
{
	uring(true);
}

/* What connect() returns, through the ring. */
static int ring_connect(int fd, const union addr *to)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_CONNECT,
		.fd = fd,
		.addr = (unsigned long)&to->sa,
		.off = addr_len(to),
	};
	struct io_uring_cqe cqe;

	ring_submit(&sqe, 1);
	if (!ring_take(&cqe))
		die("no completion of a connect through io_uring");
	return -cqe.res;
}

/*
 * The pair of ports is taken, so a connect through io_uring fails at once; then the same thread's connect() fails
 * before there is a SYN. Facts of the latter alone: some ways to hook don't see the former.
 */
void run_uring_fail(void)
{
	union addr peer, own, none;
	int lfd = listen_on("127.0.0.1", &peer);

	if (!ring_open(false))
		skip("no io_uring: %s", strerror(errno));
	addr_set(&none, "255.255.255.255", DISCARD_PORT);
	for (int i = 0; i < count; i++) {
		int first = shared_port(NULL, &own), second = shared_port(&own, NULL), error;
		int third = tcp_socket(AF_INET, 0);

		if (connect(first, &peer.sa, sizeof(peer.v4)) < 0)
			die("connect: %s", strerror(errno));
		error = ring_connect(second, &peer);
		if (error == EINVAL)
			skip("no connect through io_uring");
		if (error != EADDRNOTAVAIL && error != EADDRINUSE)
			die("connect through io_uring: %s", strerror(error));
		expect_error(third, &none, ENETUNREACH);
		failed_connect(third, NULL, &none, ENETUNREACH);
		close(third);
		close(second);
		close(first);
	}
	close(lfd);
}

/* The SYN carries data once the client has got the cookie, with its first connection. */
static int open_fast(const union addr *to, size_t *sent)
{
	static const char data[120];
	static bool have_cookie;
	int fd = tcp_socket(to->sa.sa_family, 0);
	double until = now() + WAIT_SECONDS;
	ssize_t n = sendto(fd, data, sizeof(data), MSG_FASTOPEN, &to->sa, addr_len(to));
	struct tcp_info info;
	socklen_t len;

	if (n < 0)
		die("sendto with MSG_FASTOPEN: %s", strerror(errno));
	do {
		len = sizeof(info);
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
			die("TCP_INFO: %s", strerror(errno));
	} while (info.tcpi_state != TCP_ESTABLISHED && now() < until);
	if (have_cookie != !!(info.tcpi_options & TCPI_OPT_SYN_DATA))
		die("the SYN has %s data", have_cookie ? "no" : "unexpected");
	have_cookie = true;
	*sent = n;
	return fd;
}

static void serve_fast(int lfd, const void *plan)
{
	option(lfd, IPPROTO_TCP, TCP_FASTOPEN, 16);
	tell(SEM_SERVER);
	serve_plan(lfd, plan);
}

void run_tfo(void)
{
	struct plan plan = {
		.listen = "127.0.0.1",
		.connect = { "127.0.0.1" },
		.request = 120,
		.answer = 240,
		.open = open_fast,
		.connections = count + 1,
	};
	pid_t server;

	if (access("/proc/sys/net/ipv4/tcp_fastopen", W_OK) < 0)
		skip("no TCP fast open: %s", strerror(errno));
	server = start_server(plan.listen, serve_fast, &plan);
	wait_for(SEM_SERVER);
	run_clients(&plan);
	finish_child(server);
}
