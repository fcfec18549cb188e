/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcpclose - one event per end of an established connection, on each side that this host has.
 *
 * Emitted when the full socket reaches TCP_CLOSE: for the side that closed first that is where
 * TIME_WAIT begins, and nothing more can be sent or received.
 */
#include "filter.h"
#include "redirected.h"

enum end {
	END_FIN,
	END_RST_SENT,
	END_RST_RECEIVED,
	END_TIMEOUT,
	END_ABORTED, /* killed by an administrator, as ss -K does */
	END_ERROR,
} __attribute__((packed));

struct tcpclose_event {
	struct conn;
	__u64 rx_bytes DOC("payload received, also what a redirect carried past TCP");
	__u64 tx_bytes DOC("payload sent, retransmissions not counted; also what was redirected");
	__u64 rx_redirected_bytes DOC("how much of rx_bytes a redirect carried past TCP");
	__u64 tx_redirected_bytes DOC("how much of tx_bytes a redirect carried past TCP");
	__u64 rx_redirected_msgs DOC("in how many messages that came");
	__u64 tx_redirected_msgs DOC("in how many messages that went");
	opt_u64 duration_ns DOC("SYN sent (or connection accepted by the kernel) to the end");
	__u32 srtt_us DOC("smoothed round-trip time at the end");
	__u32 retrans DOC("segments retransmitted");
	__u32 segs_in DOC("segments received; redirected payload makes none");
	__u32 segs_out DOC("segments sent; redirected payload makes none");
	__u32 closer_pid DOC("process that closed or shut down this side first; 0: none did");
	char closer_comm[16] DOC("its name");
	enum end ended DOC("fin, rst_sent, rst_received, timeout, aborted or error");
	enum closed_by closed_by DOC("whose FIN or RST came first; kernel: it timed out");
	enum side side DOC("connect or accept; unknown for older connections");
	bool old DOC("began before the probe did, so has no duration");
};

PROBE_EVENTS(struct tcpclose_event, "one event per connection end, with bytes, duration and cause");

/* States in which there was a connection; a failed attempt is tcpconnect's. */
#define WAS_CONNECTED                                                                              \
	(1 << TCP_ESTABLISHED | 1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 | 1 << TCP_CLOSE_WAIT |    \
	 1 << TCP_LAST_ACK | 1 << TCP_CLOSING | 1 << TCP_TIME_WAIT)

static __always_inline enum end how_ended(const struct sock *sk, const struct sock_life *life,
					  int oldstate)
{
	if (life && life->rst_received)
		return END_RST_RECEIVED;
	switch (sk->sk_err) {
	case 0:
		break;
	case ETIMEDOUT:
		return END_TIMEOUT;
	case ECONNABORTED:
		return END_ABORTED;
	}
	switch (oldstate) {
	case TCP_LAST_ACK:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_TIME_WAIT:
		return END_FIN;
	}
	return sk->sk_err ? END_ERROR : END_RST_SENT;
}

static __always_inline void set_counters(struct tcpclose_event *ev, const struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);

	if (!tp) {
		ev->rx_bytes = ev->tx_bytes = 0;
		ev->srtt_us = ev->retrans = ev->segs_in = ev->segs_out = 0;
		return;
	}
	/* A FIN takes a sequence number and so counts as a byte received (tcp_rcv_nxt_update). */
	ev->rx_bytes = tp->bytes_received;
	if (ev->rx_bytes && (sk->__sk_common.skc_flags & 1UL << SOCK_DONE))
		ev->rx_bytes--;
	ev->tx_bytes = tp->bytes_sent - tp->bytes_retrans;
	ev->srtt_us = tp->srtt_us >> 3; /* kept in eighths */
	ev->retrans = tp->total_retrans;
	ev->segs_in = tp->segs_in;
	ev->segs_out = tp->segs_out;
}

static __always_inline void add_redirected(struct tcpclose_event *ev, const struct sock *sk)
{
	struct redirected past;

	redirected_of(&past, sk->__sk_common.skc_cookie.counter);
	ev->rx_bytes += past.rx_bytes;
	ev->tx_bytes += past.tx_bytes;
	ev->rx_redirected_bytes = past.rx_bytes;
	ev->tx_redirected_bytes = past.tx_bytes;
	ev->rx_redirected_msgs = past.rx_msgs;
	ev->tx_redirected_msgs = past.tx_msgs;
}

static __always_inline void set_life(struct tcpclose_event *ev, const struct sock_life *life)
{
	if (!life) {
		ev->duration_ns = OPT_NONE;
		ev->closer_pid = 0;
		__builtin_memset(ev->closer_comm, 0, sizeof(ev->closer_comm));
		ev->closed_by = CLOSED_BY_UNKNOWN;
		ev->side = SIDE_UNKNOWN;
		ev->old = true;
		return;
	}
	ev->duration_ns = life->birth_ns ? ev->ts_ns - life->birth_ns : OPT_NONE;
	ev->closer_pid = life->closer_pid;
	__builtin_memcpy(ev->closer_comm, life->closer_comm, sizeof(ev->closer_comm));
	ev->closed_by = life->closed_by;
	ev->side = life->side;
	ev->old = !life->birth_ns;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, const struct sock *sk, int oldstate, int newstate)
{
	struct tcpclose_event ev;
	struct conn *c = (struct conn *)&ev;
	struct sock_life *life;

	if (newstate != TCP_CLOSE || !(1 << oldstate & WAS_CONNECTED) ||
	    sk->sk_protocol != IPPROTO_TCP)
		return 0;
	life = sock_life(sk);
	conn_from_sock(c, sk, true);
	conn_owner(c, life);
	if (!filter_passes(c))
		return 0;
	set_counters(&ev, sk);
	add_redirected(&ev, sk);
	set_life(&ev, life);
	ev.ended = how_ended(sk, life, oldstate);
	return event_send(&ev, sizeof(ev), ev.ts_ns);
}
