// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The example of bpf/README.md: a probe in one file. One event per retransmitted segment. */
#include "filter.h"

struct tcpretrans_event {
	struct conn;
	__u32 nth DOC("how many of this connection so far");
	__u32 zero2;
};

PROBE_EVENTS(struct tcpretrans_event, "one event per retransmitted TCP segment");

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit, const struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	struct tcpretrans_event ev;
	struct conn *c = (struct conn *)&ev;

	conn_from_sock(c, sk, true);
	conn_owner(c, sock_life(sk));
	if (!filter_passes(c))
		return 0;
	ev.nth = tp ? tp->total_retrans : 0;
	ev.zero2 = 0;
	return event_send(&ev, sizeof(ev), ev.ts_ns);
}
