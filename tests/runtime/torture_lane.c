// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The two lanes of an end.  A step makes one call at most, and whoever drives the lanes
 * asks settle() after each whether the end is over.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

#define STALL_SEGMENT 2 /* where the fault that stalls does */
#define RESET_AT      300 /* the one that resets */

static const char *name_of(const struct end *e)
{
	return e->side ? "server" : "client";
}

bool write_over(struct end *e)
{
	return e->tx_dead || (e->tx == e->tx_end && e->tx_seg >= plan_segments(e->conn, e->side));
}

/* May the next segment be written?  A tail waits for the other end's end of stream. */
bool gate_open(struct end *e)
{
	struct conn *c = e->conn;
	int lead = e->tx_seg < c->prelude ? -e->side : c->lead[e->side];
	int need = e->tx_seg - lead, others = c->n[!e->side];

	if (e->tx_seg >= c->n[e->side])
		return e->eof;
	if (opt.fault == X_STALL && e->tx_seg == STALL_SEGMENT)
		return false;
	return e->rx_seg >= (need < others ? need : others);
}

bool open_next(struct end *e)
{
	struct conn *c = e->conn;
	int dir = e->side, total = plan_segments(c, dir);

	if (e->tx_seg >= total || !gate_open(e))
		return false;
	if (stopping && e->tx_seg < c->n[dir])
		plan_shrink(c, dir, e->tx_seg);
	e->tx_end += plan_size(c, dir, e->tx_seg++);
	if (opt.fault == X_SHORT && e->tx_seg == total && e->tx_end - e->tx > 1)
		e->tx_end--;
	if (opt.fault == X_EXTRA && e->tx_seg == total)
		e->tx_end++;
	return true;
}

/* A reset is expected of connections that end with one; and nobody complains twice. */
static enum step dead(struct end *e, bool reading, int error)
{
	struct conn *c = e->conn;
	bool expected = c->ending == E_RESET && c->ender != e->side && c->reset_sent &&
			(error == ECONNRESET || (error == EPIPE && !reading));

	if (expected)
		c->reset_seen = true;
	else
		conn_fail(c, "%s: %s at %ju: %s", name_of(e), reading ? "reading" : "writing",
			  (uintmax_t)(reading ? e->rx : e->tx), strerror(error));
	if (reading)
		e->rx_dead = true;
	e->tx_dead = true;
	return STEP_OVER;
}

/* What an error says.  A blocking socket has no EAGAIN, but where the options allow it. */
static enum step step_failed(struct end *e, bool reading, int error)
{
	if (error == EINTR)
		return STEP_MORE;
	if (error == EAGAIN && e->mode != M_BLOCK)
		return STEP_BLOCKED;
	if (error == EAGAIN)
		eagains++;
	if (error == EAGAIN && opt.eagain)
		return STEP_MORE;
	return dead(e, reading, error);
}

/* How much to write with one call; a split may wait for an ACK unless TCP_NODELAY is set. */
static size_t portion(struct end *e)
{
	size_t n = e->tx_end - e->tx, most = e->max_write;

	if (n > most)
		n = most;
	if (n > 1 && e->conn->nodelay && chance(&e->wrand, 8))
		n = 1 + below(&e->wrand, n - 1);
	return n;
}

enum step write_step(struct end *e, char *buf)
{
	ssize_t done;
	size_t n;

	if (e->conn->failed)
		e->tx_dead = true;
	if (write_over(e))
		return STEP_OVER;
	if (e->tx == e->tx_end && !open_next(e))
		return STEP_IDLE;
	n = portion(e);
	done = io_write(e, buf, n, e->tx + n == e->tx_end);
	if (done < 0)
		return step_failed(e, false, errno);
	e->connected = true;
	e->tx += done;
	e->write_short = (size_t)done < n;
	e->conn->progress = now_ms();
	return STEP_MORE;
}

/* Says where wrong bytes come from; more of them than were read help with that. */
static void wrong_bytes(struct end *e, const char *buf, size_t n, size_t at)
{
	char what[160], some[256];
	uint64_t place = e->rx + at, conn, off;
	size_t have = n - at < sizeof(some) ? n - at : sizeof(some);
	int dir;

	memcpy(some, buf + at, have);
	if (have < 64) {
		ssize_t more =
			recv(e->fd, some + have, sizeof(some) - have, MSG_PEEK | MSG_DONTWAIT);

		have += more > 0 ? more : 0;
	}
	if (!data_decode(some, have, &conn, &dir, &off))
		snprintf(what, sizeof(what), "nobody's (%zu looked at)", have);
	else if (conn != e->conn->id || dir == e->side)
		snprintf(what, sizeof(what), "byte %ju that the %s of connection %ju writes",
			 (uintmax_t)off, dir ? "server" : "client", (uintmax_t)conn);
	else if (off > place)
		snprintf(what, sizeof(what), "byte %ju: %ju missing", (uintmax_t)off,
			 (uintmax_t)(off - place));
	else if (off < place)
		snprintf(what, sizeof(what), "byte %ju: %ju again", (uintmax_t)off,
			 (uintmax_t)(place - off));
	else
		snprintf(what, sizeof(what), "a wrong one, and then come the right ones again");
	conn_fail(e->conn, "%s: instead of byte %ju it reads %s", name_of(e), (uintmax_t)place,
		  what);
}

static void count_segments(struct end *e)
{
	int dir = !e->side, total = plan_segments(e->conn, dir), seg = e->rx_seg;

	for (; seg < total; seg++) {
		size_t size = plan_size(e->conn, dir, seg);

		if (e->rx < e->rx_end + size)
			break;
		e->rx_end += size;
	}
	e->rx_seg = seg;
	if (seg == total && e->rx > e->rx_end)
		conn_fail(e->conn, "%s: %ju bytes behind the end of the stream at %ju", name_of(e),
			  (uintmax_t)(e->rx - e->rx_end), (uintmax_t)e->rx_end);
}

static bool read_complete(const struct end *e)
{
	return e->rx_seg >= plan_segments(e->conn, !e->side) && e->rx == e->rx_end;
}

/* Does it read on when all is there, to see the end?  Who closes first doesn't wait for it. */
static bool wants_eof(const struct end *e)
{
	const struct conn *c = e->conn;

	return !(c->ender == e->side && (c->ending == E_CLOSE || c->ending == E_RESET));
}

static enum step end_of_stream(struct end *e)
{
	struct conn *c = e->conn;

	if (c->ending == E_RESET && !c->failed && !c->reset_seen)
		conn_fail(c, "%s: end of stream at %ju, and no reset", name_of(e),
			  (uintmax_t)e->rx);
	else if (c->ending != E_RESET && !c->failed && !read_complete(e))
		conn_fail(c, "%s: end of stream at %ju, in segment %d of %d", name_of(e),
			  (uintmax_t)e->rx, e->rx_seg + 1, plan_segments(c, !e->side));
	e->eof = true;
	return STEP_MORE; /* a tail may follow */
}

/* Takes its time now and then; a thread sleeps here, a loop comes back later. */
static bool pauses(struct end *e)
{
	unsigned ms;

	if (e->rolled || !chance(&e->rrand, e->conn->slow ? 20 : 4000)) {
		e->rolled = false;
		return false;
	}
	ms = 1 + below(&e->rrand, 1 + below(&e->rrand, 60));
	if (e->mode == M_BLOCK) {
		usleep(ms * 1000);
		return false;
	}
	e->pause_until = now_ms() + ms;
	e->rolled = true;
	return true;
}

enum step read_step(struct end *e, char *buf)
{
	size_t right, n = e->max_read;
	ssize_t got;

	if (e->conn->failed)
		e->rx_dead = true;
	if (e->eof || e->rx_dead || (read_complete(e) && !wants_eof(e)))
		return STEP_OVER;
	if (pauses(e))
		return STEP_PAUSED;
	if (chance(&e->rrand, 16))
		n = 1 + below(&e->rrand, 512);
	got = io_read(e, buf, n);
	if (got < 0)
		return step_failed(e, true, errno);
	if (!got)
		return end_of_stream(e);
	right = data_check(buf, data_key(e->conn, !e->side), e->rx, got);
	if (right < (size_t)got)
		wrong_bytes(e, buf, got, right);
	else if (e->peek_wrong)
		conn_fail(e->conn, "%s: MSG_PEEK at %ju shows other bytes than are read then",
			  name_of(e), (uintmax_t)e->rx);
	e->peek_wrong = false;
	e->connected = true;
	e->rx += got;
	e->read_short = (size_t)got < n;
	e->conn->progress = now_ms();
	verified += right;
	count_segments(e);
	return STEP_MORE;
}

static void reset(struct end *e)
{
	struct linger l = { .l_onoff = 1 };

	if (setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) < 0)
		die("SO_LINGER: %s", strerror(errno));
}

/* A client's server has accepted when something has come from it. */
static bool reset_due(const struct end *e)
{
	return (e->side || e->rx) && e->tx + e->rx >= e->conn->reset_at;
}

/* Shuts down when it is time to; is this end over? */
bool settle(struct end *e)
{
	struct conn *c = e->conn;
	bool written = write_over(e), mine = c->ender == e->side, read = e->eof || e->rx_dead;

	if (c->failed) {
		reset(e);
		return true;
	}
	if (!e->connected)
		return false;
	if (opt.fault == X_RESET && e->side && e->tx > RESET_AT) {
		reset(e);
		return true;
	}
	if (c->ending == E_RESET && mine && (reset_due(e) || (written && read_complete(e)))) {
		c->reset_sent = true;
		reset(e);
		return true;
	}
	if (c->ending == E_RESET)
		return read;
	if (written && !e->shut && (c->ending == E_BOTH || (c->ending == E_HALF && mine))) {
		e->shut = true;
		if (shutdown(e->fd, SHUT_WR) < 0)
			conn_fail(c, "%s: shutdown: %s", name_of(e), strerror(errno));
	}
	return written && (wants_eof(e) ? read : read_complete(e));
}
