// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One request at a time through io_uring, by the system calls themselves. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "talk.h"

static struct {
	int fd;
	unsigned char *sq, *cq;
	struct io_uring_sqe *sqe;
	struct io_uring_params p;
} ring = { .fd = -1 };

static _Atomic unsigned int *word(unsigned char *base, unsigned int offset)
{
	return (_Atomic unsigned int *)(base + offset);
}

static void *map(size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, offset);

	if (at == MAP_FAILED)
		die("mmap of a ring");
	return at;
}

bool uring_there(void)
{
	struct io_uring_params *p = &ring.p;

	if (ring.fd >= 0)
		return true;
	ring.fd = (int)syscall(SYS_io_uring_setup, 1, p);
	if (ring.fd < 0)
		return false;
	ring.sq = map(p->sq_off.array + p->sq_entries * sizeof(unsigned int), IORING_OFF_SQ_RING);
	ring.cq = map(p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe),
		      IORING_OFF_CQ_RING);
	ring.sqe = map(p->sq_entries * sizeof(*ring.sqe), IORING_OFF_SQES);
	return true;
}

static ssize_t one(unsigned char op, int fd, const void *data, size_t n)
{
	const struct io_sqring_offsets *sq = &ring.p.sq_off;
	const struct io_cqring_offsets *cq = &ring.p.cq_off;
	unsigned int tail = *word(ring.sq, sq->tail), head = *word(ring.cq, cq->head);
	const struct io_uring_cqe *cqes = (void *)(ring.cq + cq->cqes);
	int res;

	memset(ring.sqe, 0, sizeof(*ring.sqe));
	ring.sqe->opcode = op;
	ring.sqe->fd = fd;
	ring.sqe->addr = (uint64_t)data;
	ring.sqe->len = (uint32_t)n;
	*word(ring.sq, sq->array) = 0;
	*word(ring.sq, sq->tail) = tail + 1;
	while (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		if (errno != EINTR)
			die("io_uring_enter");
	res = cqes[head & *word(ring.cq, cq->ring_mask)].res;
	*word(ring.cq, cq->head) = head + 1;
	if (res >= 0)
		return res;
	errno = -res;
	return -1;
}

ssize_t uring_send(int fd, const void *data, size_t n)
{
	return one(IORING_OP_SEND, fd, data, n);
}

ssize_t uring_recv(int fd, void *data, size_t n)
{
	return one(IORING_OP_RECV, fd, data, n);
}
