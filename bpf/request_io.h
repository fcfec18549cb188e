/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * request_io.h - what is sent and read on a socket, as the hooks of tcprequest see it.
 *
 * A send is seen when it begins and when it returns, because its answer may be read on another
 * CPU before it returns. Then the sequence numbers say what had been handed over.
 */
#ifndef BPFNET_REQUEST_IO_H
#define BPFNET_REQUEST_IO_H

#include "older.h"
#include "request_turn.h"

/* A sequence number as something that compare_exchange() takes. */
#define SEQ(n) (1ULL << 32 | (__u32)(n))

/* A call that hands over more than this takes time for it: what is last was not handed over at its begin. */
#define LARGE_SEND 65536

/* As numbers, for the skeleton knows no types. */
__u64 blank[sizeof(struct turns) / sizeof(__u64)];

static __always_inline const struct tcp_sock *tcp_of(const struct sock *sk, const bool trusted)
{
	return trusted ? bpf_skc_to_tcp_sock((void *)sk) : (const void *)sk;
}

static __always_inline enum side side_of(const struct sock *sk, const struct sock_life *life)
{
	if (life && life->side)
		return life->side;
	return life && life->older ? life->older : older_side(sk);
}

/* What is the same for all requests of a connection. */
static __always_inline void fill(struct turns *t, const struct sock *sk, const bool trusted)
{
	struct sock_life *life = sock_life(sk);
	struct conn *c = (struct conn *)&t->ev;

	conn_from_sock(c, sk, trusted);
	conn_owner(c, life);
	if (!c->cookie)
		c->cookie = sock_cookie(sk, trusted);
	if (life)
		life->cookie = c->cookie;
	t->ev.side = side_of(sk, life);
	t->ev.old = !life || !life->birth_ns;
	t->sent = SEQ(BPF_CORE_READ((const struct tcp_sock *)sk, write_seq));
	t->copied_seq = BPF_CORE_READ((const struct tcp_sock *)sk, copied_seq);
	t->fresh = true;
	t->ready = true;
}

/* The connection's entry; NULL if there is no room, or as long as nothing says which end it is. */
static __always_inline struct turns *turns_of(const struct sock *sk, const bool trusted)
{
	__u64 key = (__u64)sk;
	struct turns *t = bpf_map_lookup_elem(&requests, &key);

	if (!t) {
		bpf_map_update_elem(&requests, &key, blank, BPF_NOEXIST);
		t = bpf_map_lookup_elem(&requests, &key);
	}
	if (!t) {
		COUNT(TALLY_UNTRACKED);
		return NULL;
	}
	if (!t->ready)
		fill(t, sk, trusted);
	if (t->ev.side == SIDE_UNKNOWN)
		t->ev.side = side_of(sk, sock_life(sk));
	if (t->ev.side == SIDE_UNKNOWN)
		return NULL;
	catch_up(t);
	return t;
}

static __always_inline void read_request(struct turns *t, const struct sock *sk, __u64 bytes,
					 __u64 now)
{
	bool first = t->phase != PHASE_REQUEST;

	request_moved(t, sk, bytes, now, now, t->talked_over);
	if (first && t->phase == PHASE_REQUEST && t->arrival_ns)
		t->ev.unread_ns = since(now, t->arrival_ns);
}

/*
 * A call that had been waiting when the probe came returns unseen where functions are hooked. What it read, the
 * first request of an older connection, was read when it arrived.
 */
static __always_inline void see_unseen(struct turns *t, const struct sock *sk, const struct seqs *s)
{
	__u32 bytes = s->copied_seq - t->copied_seq;

	if (t->has_read || t->fresh || !t->ev.old || t->ev.side != SIDE_ACCEPT ||
	    t->phase != PHASE_IDLE || !t->arrival_ns || !bytes)
		return;
	read_request(t, sk, bytes, t->arrival_ns);
	t->copied_seq = s->copied_seq;
	t->arrival_ns = 0;
}

/*
 * A send begins, or goes on: with hooks that see each part of it. One that was said to have begun before, and has
 * handed over nothing, may have failed where no hook sees that.
 */
static __always_inline void send_begins(const struct sock *sk, const bool trusted, const bool parts)
{
	const struct tcp_sock *tp = tcp_of(sk, trusted);
	struct turns *t = tp ? turns_of(sk, trusted) : NULL;
	__u64 now = bpf_ktime_get_ns();
	struct seqs s;

	if (!t)
		return;
	if (parts)
		t->chunk_ns = now;
	read_seqs(&s, sk, tp, trusted);
	if (t->sending_ns && (parts || SEQ(s.write_seq) != t->sent))
		return;
	see_unseen(t, sk, &s);
	t->sent = SEQ(s.write_seq);
	t->fresh = false;
	t->early = t->waited = false;
	t->over = s.unread && t->phase != PHASE_IDLE;
	if (t->over) {
		t->talked_over = true;
		if (t->ev.side == SIDE_ACCEPT)
			t->ev.pipelined = true;
	}
	t->sending_ns = now;
}

/* Of an answer, which the peer's kernel sent when it had confirmed what is answered. */
static __always_inline void set_response_facts(struct turns *t, const struct tcp_sock *tp,
					       const bool trusted)
{
	t->ev.srtt_us = GET(trusted, tp, srtt_us) >> 3; /* kept in eighths */
}

static __always_inline void sent(struct turns *t, const struct sock *sk, const struct tcp_sock *tp,
				 __u64 bytes, __u64 from_ns, __u64 to_ns, const bool trusted)
{
	if (t->ev.side == SIDE_CONNECT)
		request_moved(t, sk, bytes, from_ns, to_ns, t->over);
	else if (response_moved(t, sk, bytes, from_ns, to_ns))
		set_response_facts(t, tp, trusted);
}

/* The rest of a send of which something was counted, and perhaps answered, before it returned. */
static __always_inline void sent_rest(struct turns *t, __u64 bytes, __u64 to_ns)
{
	struct tcprequest_event *ev = &t->ev;

	if (ev->side == SIDE_CONNECT) {
		__sync_fetch_and_add(&t->request_bytes, bytes);
		ev->request_ns = since(to_ns, ev->start_ns);
		return;
	}
	__sync_fetch_and_add(&t->response_bytes, bytes);
	if (t->phase == PHASE_RESPONSE)
		t->last_ns = to_ns;
}

/*
 * Bytes up to `to` that nobody has counted: who reads an answer may count them while the send that handed them over
 * is just returning.
 */
static __always_inline __u32 advance(struct turns *t, __u32 to)
{
	__u64 counted = t->sent;
	__s32 n = to - (__u32)counted;

	if (n <= 0)
		return 0;
	switch (compare_exchange(&t->sent, counted, SEQ(to))) {
	case EXCHANGED:
		return n;
	case NOT_EXCHANGED:
		return 0;
	case CANT_EXCHANGE:
		break;
	}
	t->sent = SEQ(to);
	return n;
}

/* bytes: what the call returned; with `seqs` what the sequence numbers say, in the middle of the call. */
static __always_inline void send_ends(const struct sock *sk, __s64 bytes, const bool trusted,
				      const bool seqs)
{
	const struct tcp_sock *tp = tcp_of(sk, trusted);
	struct turns *t = tp ? turns_of(sk, trusted) : NULL;
	__u64 now = bpf_ktime_get_ns(), from, to = now;
	__u32 moved;
	bool early;

	if (!t)
		return;
	moved = advance(t, GET(trusted, tp, write_seq));
	early = t->early; /* after that: see count_early() */
	if (seqs || (early && bytes > 0))
		bytes = moved;
	from = t->sending_ns ?: now;
	if (t->chunk_ns)
		to = t->chunk_ns;
	else if (!t->waited && bytes <= LARGE_SEND)
		to = from;
	t->sending_ns = t->chunk_ns = 0;
	if (bytes > 0 && early)
		sent_rest(t, bytes, to);
	else if (bytes > 0)
		sent(t, sk, tp, bytes, from, to, trusted);
	t->early = t->waited = false;
}

/* It waits for room, so its last byte is handed over when it ends, not when it began. */
static __always_inline void send_waits(const struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct turns *t = bpf_map_lookup_elem(&requests, &key);

	if (t)
		t->waited = true;
}

/*
 * What was read may answer what no send has returned from yet: then the peer has confirmed some of that. A FIN
 * of ours takes a sequence number too, but nothing is sent behind it.
 */
static __always_inline void count_early(struct turns *t, const struct sock *sk,
					const struct tcp_sock *tp, const struct seqs *s,
					const bool trusted)
{
	__u64 now = bpf_ktime_get_ns(), from = t->sending_ns ?: now;
	__u32 moved;

	if (!s->open || (__s32)(s->snd_una - (__u32)t->sent) <= 0)
		return;
	t->early = true; /* first, for the send that returns */
	moved = advance(t, s->write_seq);
	if (moved)
		sent(t, sk, tp, moved, from, t->chunk_ns ?: from, trusted);
}

static __always_inline void read_response(struct turns *t, const struct sock *sk,
					  const struct tcp_sock *tp, __u64 bytes, __u64 now,
					  const bool trusted)
{
	if (!response_moved(t, sk, bytes, now, now))
		return;
	if (t->arrival_ns)
		t->ev.unread_ns = since(now, t->arrival_ns);
	set_response_facts(t, tp, trusted);
}

/* Was what is read now sent before ours had come? Only the first bytes of a turn can tell. */
static __always_inline void see_crossing(struct turns *t, const struct seqs *s)
{
	enum phase turns_at = t->ev.side == SIDE_CONNECT ? PHASE_REQUEST : PHASE_RESPONSE;

	if (t->phase != turns_at || !s->open || s->snd_una == s->write_seq)
		return;
	t->crossed = true;
	if (t->ev.side == SIDE_CONNECT &&
	    s->write_seq - s->snd_una >= t->request_bytes - t->request_told)
		t->ev.pipelined = true; /* none of it had come: this answers something before */
}

/*
 * bytes: what the call returned. With `seqs` the sequence numbers say it, but for the first that is seen of a
 * connection: then the kernel's word has to do, which with MSG_PEEK is too much.
 */
static __always_inline void have_read(const struct sock *sk, __u64 bytes, const bool trusted,
				      const bool seqs)
{
	const struct tcp_sock *tp = tcp_of(sk, trusted);
	struct turns *t = tp ? turns_of(sk, trusted) : NULL;
	__u64 now = bpf_ktime_get_ns();
	struct seqs s;

	if (!t)
		return;
	read_seqs(&s, sk, tp, trusted);
	if (seqs && !t->fresh)
		bytes = s.copied_seq - t->copied_seq;
	t->copied_seq = s.copied_seq;
	t->fresh = false;
	if (!bytes)
		return;
	t->has_read = true;
	if (SEQ(s.write_seq) != t->sent)
		count_early(t, sk, tp, &s, trusted);
	see_crossing(t, &s);
	if (t->ev.side == SIDE_ACCEPT)
		read_request(t, sk, bytes, now);
	else
		read_response(t, sk, tp, bytes, now, trusted);
	t->arrival_ns = 0;
}

#endif
