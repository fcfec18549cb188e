/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* request_sock.h - what tcprequest has to know of a socket: where its two streams are. */
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

#endif
