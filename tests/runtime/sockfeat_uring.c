// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Sending and receiving through io_uring, without a library. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sockfeat.h"

static struct {
	int fd;
	unsigned char *sq, *cq;
	struct io_uring_sqe *sqe;
	struct io_uring_params params;
} ring;

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

static void ring_open(void)
{
	struct io_uring_params *p = &ring.params;

	ring.fd = syscall(SYS_io_uring_setup, 4, p);
	if (ring.fd < 0)
		skip("no io_uring: %s", strerrorname_np(errno));
	ring.sq = map_ring(p->sq_off.array + p->sq_entries * sizeof(unsigned int),
			   IORING_OFF_SQ_RING);
	ring.cq = map_ring(p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe),
			   IORING_OFF_CQ_RING);
	ring.sqe = map_ring(p->sq_entries * sizeof(*ring.sqe), IORING_OFF_SQES);
}

static void submit(int op, int fd, void *data, size_t size, int flags)
{
	const struct io_sqring_offsets *off = &ring.params.sq_off;
	_Atomic unsigned int *tail = word(ring.sq, off->tail);
	unsigned int slot = *tail & *word(ring.sq, off->ring_mask);
	struct io_uring_sqe *sqe = &ring.sqe[slot];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)data;
	sqe->len = size;
	sqe->msg_flags = flags;
	*word(ring.sq, off->array + slot * sizeof(unsigned int)) = slot;
	(*tail)++;
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0) < 0)
		die("io_uring_enter: %s", strerror(errno));
}

/* Whether the next operation is complete within so many seconds; what it returned. */
static bool complete(double seconds, int *res)
{
	const struct io_cqring_offsets *off = &ring.params.cq_off;
	_Atomic unsigned int *head = word(ring.cq, off->head);
	unsigned int slot = *head & *word(ring.cq, off->ring_mask);
	double until = now() + seconds;
	struct io_uring_cqe *cqe;

	while (*head == *word(ring.cq, off->tail)) {
		if (now() > until)
			return false;
		/* Enters the kernel, where what is due gets done. */
		syscall(SYS_io_uring_enter, ring.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
		msleep(1);
	}
	cqe = (struct io_uring_cqe *)(ring.cq + off->cqes) + slot;
	*res = cqe->res;
	(*head)++;
	return true;
}

static void say_complete(const char *what, const char *data)
{
	int res;

	if (complete(in_guest ? 1 : 0.3, &res))
		say_text(what, res < 0 ? -1 : res, -res, data);
	else
		say("%s: not complete", what);
}

void run_uring(void)
{
	char out[] = "hello", in[100];
	struct pair p;

	ring_open();
	p = warm_pair();
	submit(IORING_OP_SEND, p.client, out, 5, MSG_NOSIGNAL);
	say_complete("send", "(out)");
	settle();
	submit(IORING_OP_RECV, p.server, in, sizeof(in), MSG_PEEK);
	say_complete("peek", in);
	submit(IORING_OP_RECV, p.server, in, 2, 0);
	say_complete("recv", in);
	submit(IORING_OP_RECV, p.server, in, sizeof(in), 0);
	say_complete("recv", in);
}

/* A receive that is there before the data. */
static void waiting(size_t size, int flags)
{
	char in[100];
	struct pair p;

	ring_open();
	p = warm_pair();
	submit(IORING_OP_RECV, p.server, in, size, flags);
	say_complete("recv without data", in);
	put(p.client, "hello");
	settle();
	say_complete("with 5 bytes", in);
	put(p.client, "world");
	settle();
	say_complete("with 10 bytes", in);
	say_recv("then", p.server, 100, MSG_DONTWAIT);
}

void run_uring_wait(void)
{
	waiting(100, 0);
}

void run_uring_waitall(void)
{
	waiting(10, MSG_WAITALL);
}
