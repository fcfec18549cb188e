// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * One call on a socket, made in one of the several ways that there are.  Faults for trying
 * the checks out are made here, too: what is written is wrong.
 */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "torture.h"

#define FAULT_AT 300 /* offset in the stream */

/* The bytes that come next, right but for the fault that was asked for. */
static void fill(struct end *e, char *buf, size_t n)
{
	uint64_t key = data_key(e->conn, e->side), from = e->tx, to = from + n;
	size_t at = from < FAULT_AT ? FAULT_AT - from : 0;

	data_fill(buf, key, from, n);
	if (to <= FAULT_AT)
		return;
	if (opt.fault == X_LOSE)
		data_fill(buf + at, key, from + at + 1, n - at);
	if (opt.fault == X_DOUBLE)
		data_fill(buf + at, key, from + at - 1, n - at);
	if (opt.fault == X_FOREIGN)
		data_fill(buf + at, data_key(e->conn, !e->side), from + at, n - at);
	if (opt.fault == X_SWAP && from <= FAULT_AT && n - at > 1) {
		char first = buf[at];

		buf[at] = buf[at + 1];
		buf[at + 1] = first;
	}
}

/* Cuts a buffer into up to four pieces of any size. */
static int cut(struct random *r, struct iovec *v, char *buf, size_t n)
{
	int pieces = 0;

	while (n && pieces < 3) {
		size_t part = 1 + below(r, n);

		v[pieces++] = (struct iovec){ buf, part };
		buf += part;
		n -= part;
	}
	if (n)
		v[pieces++] = (struct iovec){ buf, n };
	return pieces;
}

/*
 * Writes up to n bytes of the stream from e->tx on; buf is room for them.  Last: no more
 * follow soon, so the kernel must not be told to wait for more.  As send().
 */
ssize_t io_write(struct end *e, char *buf, size_t n, bool last)
{
	int more = !last && chance(&e->wrand, 3) ? MSG_MORE : 0;
	struct iovec v[4];
	struct msghdr m = { .msg_iov = v };

	fill(e, buf, n);
	switch (below(&e->wrand, 5)) {
	case 0:
		return write(e->fd, buf, n);
	case 1:
		return writev(e->fd, v, cut(&e->wrand, v, buf, n));
	case 2:
		m.msg_iovlen = cut(&e->wrand, v, buf, n);
		return sendmsg(e->fd, &m, MSG_NOSIGNAL | more);
	default:
		return send(e->fd, buf, n, MSG_NOSIGNAL | more);
	}
}

/* Reads up to n bytes, as recv(); now and then it has looked at some of them before. */
ssize_t io_read(struct end *e, char *buf, size_t n)
{
	struct iovec v[4];
	struct msghdr m = { .msg_iov = v };

	if (chance(&e->rrand, 16)) {
		size_t look = 1 + below(&e->rrand, n);
		ssize_t got = recv(e->fd, buf, look, MSG_PEEK);

		if (got <= 0)
			return got;
		e->peek_wrong = data_check(buf, data_key(e->conn, !e->side), e->rx, got) <
				(size_t)got;
	}
	switch (below(&e->rrand, 5)) {
	case 0:
		return read(e->fd, buf, n);
	case 1:
		return readv(e->fd, v, cut(&e->rrand, v, buf, n));
	case 2:
		m.msg_iovlen = cut(&e->rrand, v, buf, n);
		return recvmsg(e->fd, &m, 0);
	default:
		return recv(e->fd, buf, n, 0);
	}
}

/* Connects; with fast open the first bytes go with the SYN.  Bytes sent, or -1. */
ssize_t io_connect(struct end *e, char *buf)
{
	union addr to;
	socklen_t len = net_address(e->conn->listener, &to);
	size_t n = e->tx_end - e->tx < 1000 ? e->tx_end - e->tx : 1000;

	if (!e->conn->tfo || !n)
		return connect(e->fd, &to.sa, len);
	fill(e, buf, n);
	return sendto(e->fd, buf, n, MSG_FASTOPEN | MSG_NOSIGNAL, &to.sa, len);
}
