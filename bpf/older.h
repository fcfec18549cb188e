/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* older.h - which end of a connection that is older than the tracer a socket is. */
#ifndef BPFNET_OLDER_H
#define BPFNET_OLDER_H

#include "sock.h"

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
