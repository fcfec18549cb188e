/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* request_sock.h - what tcprequest has to know of a socket: where its two streams are, which end it is. */
#ifndef BPFNET_REQUEST_SOCK_H
#define BPFNET_REQUEST_SOCK_H

#include "life.h"

/* Sequence numbers of both streams, at one moment. */
struct seqs {
	__u32 unread; /* bytes that lie in the socket */
	__u32 write_seq; /* end of what was handed to the kernel */
	__u32 snd_una; /* end of what the peer's kernel has confirmed */
	__u32 copied_seq; /* end of what was read */
	bool open; /* no FIN has been sent or come in */
	__u8 zero[3];
};

/* tp: what bpf_skc_to_tcp_sock() gave, or the socket itself if it is not trusted. */
static __always_inline void read_seqs(struct seqs *s, const struct sock *sk,
				      const struct tcp_sock *tp, const bool trusted)
{
	__u32 rcv_nxt = GET(trusted, tp, rcv_nxt);

	__builtin_memset(s, 0, sizeof(*s));
	s->write_seq = GET(trusted, tp, write_seq);
	s->snd_una = GET(trusted, tp, snd_una);
	s->copied_seq = GET(trusted, tp, copied_seq);
	s->open = GET(trusted, sk, __sk_common.skc_state) == TCP_ESTABLISHED;
	/* A FIN takes a sequence number, and is read with the end of the stream. */
	if (GET(trusted, sk, __sk_common.skc_flags) & 1UL << SOCK_DONE) {
		rcv_nxt--;
		if (s->copied_seq == rcv_nxt + 1)
			s->copied_seq--;
	}
	s->unread = rcv_nxt - s->copied_seq;
}

/*
 * Which end an older connection is, by what the kernel's own code leaves in the socket:
 *
 * - An accepted socket is a copy of its listener (sk_clone_lock), and so has the length of its queue; one
 *   that connected has 0, as has what was accepted from listen(fd, 0).
 * - bytes_acked counts the SYN of the end that connected: its snd_una moves past it in tcp_ack(), while
 *   an accepted socket begins behind it (tcp_create_openreq_child). So what was acknowledged or is on its way is
 *   one more than what was sent, as long as nothing was sent twice.
 * - A port that was bound by the socket itself is not inherited (SOCK_BINDPORT_LOCK).
 */
static __noinline enum side older_side(const struct sock *sk)
{
	enum { SOCK_BINDPORT_LOCK = 8 };
	const struct tcp_sock *tp = (const void *)sk;
	__u64 passed, sent;

	if (BPF_CORE_READ(sk, sk_max_ack_backlog))
		return SIDE_ACCEPT;
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK)
		return SIDE_CONNECT;
	if (BPF_CORE_READ(tp, total_retrans) ||
	    BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED)
		return SIDE_UNKNOWN;
	sent = BPF_CORE_READ(tp, bytes_sent);
	passed = BPF_CORE_READ(tp, bytes_acked) +
		 (BPF_CORE_READ(tp, snd_nxt) - BPF_CORE_READ(tp, snd_una));
	if (passed == sent)
		return SIDE_ACCEPT;
	return passed == sent + 1 ? SIDE_CONNECT : SIDE_UNKNOWN;
}

#endif
