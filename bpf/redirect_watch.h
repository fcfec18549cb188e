/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_watch.h - watches the connections of the cgroup from outside, and finds those that take
 * turns and have both ends here.
 *
 * The RTT callback comes once per round trip, which is once per turn of a connection that takes
 * turns, and costs a stream nothing. Nothing is kept of a connection before its second turn.
 */
#ifndef BPFNET_REDIRECT_WATCH_H
#define BPFNET_REDIRECT_WATCH_H

#include "redirect_sock.h"

/*
 * The RTO callback is of no use to us: its flag marks the end that was connected to, whose bytes_acked
 * does not count the SYN.
 */
#define MARK_ACCEPTED BPF_SOCK_OPS_RTO_CB_FLAG

static __always_inline bool has_port(void *map, __u16 port)
{
	__u32 word = port / 64;
	__u64 *bits = bpf_map_lookup_elem(map, &word);

	return bits && *bits >> (port % 64) & 1;
}

static __always_inline bool in_scope(const struct bpf_sock_ops *ops, const struct config *cfg)
{
	__u16 local = ops->local_port, remote = bpf_ntohl(ops->remote_port);

	if (cfg->some_excluded &&
	    (has_port(&ports_excluded, local) || has_port(&ports_excluded, remote)))
		return false;
	return !cfg->some_ports || has_port(&ports, local) || has_port(&ports, remote);
}

static __always_inline void on_established(struct bpf_sock_ops *ops, int mark)
{
	const struct config *cfg = config();

	if (cfg && !cfg->stopping && in_scope(ops, cfg))
		bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags |
						       BPF_SOCK_OPS_RTT_CB_FLAG | mark);
}

/* True if enough turns have been taken, none of them large. */
static __always_inline bool count_turn(struct watch *w, const struct tcp_sock *tp,
				       const struct config *cfg)
{
	__u64 in = tp->bytes_received, out = tp->bytes_acked;
	__u64 bytes = in - w->in_bytes + out - w->out_bytes;

	if (in == w->in_bytes || out == w->out_bytes)
		return false;
	w->in_bytes = in;
	w->out_bytes = out;
	w->turns = bytes <= cfg->turn_bytes ? w->turns + 1 : 0;
	return w->turns >= w->wanted;
}

static __always_inline void make_keys(struct bpf_sock_ops *ops, const struct tcp_sock *tp,
				      struct ask_key *own, struct ask_key *peer)
{
	own->snd = tp->snd_una - (__u32)tp->bytes_acked;
	own->rcv = tp->rcv_nxt - (__u32)tp->bytes_received;
	/* the end that connected counts its SYN */
	if (!(ops->bpf_sock_ops_cb_flags & MARK_ACCEPTED))
		own->snd++;
	own->netns_cookie = is_loopback((const void *)tp) ? bpf_get_netns_cookie(ops) : 0;
	peer->snd = own->rcv;
	peer->rcv = own->snd;
	peer->netns_cookie = own->netns_cookie;
}

/* Tells the engine, and makes the two ready unless it wants to look first whose they are. */
static __always_inline void want_both(const struct tcp_sock *tp, const struct ask *mine,
				      const struct ask *other, const struct config *cfg)
{
	struct notice n = { .kind = NOTICE_WANTED, .cookie = mine->cookie, .peer = other->cookie };
	__u64 peer = other->cookie;
	__u32 one = 1;

	if (cfg->some_pids) {
		n.ino = sock_ino((const void *)tp);
		n.peer_ino = sock_ino((const void *)other->sk);
	} else {
		bpf_map_update_elem(&ready, &mine->cookie, &one, BPF_ANY);
		bpf_map_update_elem(&ready, &peer, &one, BPF_ANY);
	}
	set_tuple(&n.tuple, (const void *)tp);
	send_notice(&n);
}

/* The other end has asked, too. The first to know becomes a candidate, the second makes both ready. */
static __always_inline void match(struct bpf_sock_ops *ops, struct bpf_sock *sk,
				  const struct tcp_sock *tp, struct watch *w, struct ask *mine,
				  const struct ask *other, const struct config *cfg)
{
	struct wanted wanted = { .peer = other->cookie, .peer_sk = other->sk };

	wanted.turns_wanted = w->wanted;
	w->asked = true;
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	if (mine->why || other->why) {
		if (other->matched)
			refuse((const void *)tp, mine->why ?: other->why, mine->cookie,
			       other->cookie);
		mine->matched = true;
		return;
	}
	if (!bpf_sk_storage_get(&candidates, sk, &wanted, BPF_LOCAL_STORAGE_GET_F_CREATE))
		return;
	mine->matched = true;
	if (other->matched)
		want_both(tp, mine, other, cfg);
}

/* Says that this end would, and looks whether the other one does. */
static __always_inline void ask(struct bpf_sock_ops *ops, struct bpf_sock *sk, struct watch *w,
				const struct tcp_sock *tp, const struct config *cfg)
{
	struct ask mine = { .cookie = bpf_get_socket_cookie(ops), .sk = (__u64)tp };
	struct ask_key own, peer;
	struct ask *other;

	mine.why = unfit(tp, cfg);
	make_keys(ops, tp, &own, &peer);
	other = bpf_map_lookup_elem(&asking, &peer);
	if (other)
		match(ops, sk, tp, w, &mine, other, cfg);
	bpf_map_update_elem(&asking, &own, &mine, BPF_ANY);
}

/* It was let go, and takes small turns again: ask once more, but later each time. */
static __always_inline void watch_again(struct watch *w, __u64 cookie)
{
	struct flow *flow = bpf_map_lookup_elem(&redirect_flows, &cookie);

	if (!flow || flow->mode != MODE_LEFT || flow->why != WHY_STREAM)
		return;
	w->wanted = flow->turns_wanted;
	w->turns = 0;
	w->asked = false;
}

static __always_inline void on_rtt(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	const struct config *cfg = config();
	struct watch fresh = {}, *w;

	if (!tp || !cfg || cfg->stopping || tp->data_segs_in < 2 || tp->data_segs_out < 2)
		return;
	fresh.wanted = cfg->turns;
	w = bpf_sk_storage_get(&watched, sk, &fresh, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!w || !count_turn(w, tp, cfg))
		return;
	if (!w->asked)
		ask(ops, sk, w, tp, cfg);
	else if (w->turns % 64 == 0)
		watch_again(w, bpf_get_socket_cookie(ops));
}

static __always_inline void on_closed(struct bpf_sock_ops *ops)
{
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct flow *flow = bpf_map_lookup_elem(&redirect_flows, &cookie);

	if (!flow) {
		bpf_map_delete_elem(&refused, &cookie);
		return;
	}
	flow->mode = MODE_CLOSED;
	flow->left_ns = bpf_ktime_get_ns();
	notify(NOTICE_CLOSED, flow->why, cookie, flow->peer, &flow->tuple);
}

SEC("sockops")
int watch(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	if (!ops->is_fullsock || !sk)
		return 1;
	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		on_established(ops, 0);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		on_established(ops, MARK_ACCEPTED);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		on_rtt(ops, sk);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] == TCP_CLOSE)
			on_closed(ops);
		break;
	}
	return 1;
}

#endif
