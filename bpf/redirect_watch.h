/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_watch.h - watches the connections of the cgroup from outside, and finds those that take
 * turns and have both ends here.
 *
 * The RTT callback comes once per round trip, which is once per turn of a connection that takes
 * turns, and costs a stream nothing. Nothing is kept of a connection before its second turn. Connections
 * that were there before have no callbacks: the engine has their counters looked at from time to time.
 */
#ifndef BPFNET_REDIRECT_WATCH_H
#define BPFNET_REDIRECT_WATCH_H

#include "redirect_sock.h"

static __always_inline bool has_port(void *map, __u16 port)
{
	__u32 word = port / 64;
	__u64 *bits = bpf_map_lookup_elem(map, &word);

	return bits && *bits >> (port % 64) & 1;
}

static __always_inline bool ports_in_scope(__u16 local, __u16 remote, const struct config *cfg)
{
	if (cfg->some_excluded &&
	    (has_port(&ports_excluded, local) || has_port(&ports_excluded, remote)))
		return false;
	return !cfg->some_ports || has_port(&ports, local) || has_port(&ports, remote);
}

static __always_inline void on_established(struct bpf_sock_ops *ops)
{
	const struct config *cfg = config();

	if (cfg && !cfg->stopping &&
	    ports_in_scope(ops->local_port, bpf_ntohl(ops->remote_port), cfg))
		bpf_sock_ops_cb_flags_set(ops,
					  ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
}

#define ASK_AGAIN_TURNS 64 /* after it was let go */

static __always_inline bool is_due(const struct watch *w)
{
	return w->turns >= (w->asked ? ASK_AGAIN_TURNS : w->wanted);
}

/* Of a callback: something has come in and gone out since the last one. */
static __always_inline void count_turn(struct watch *w, const struct tcp_sock *tp,
				       const struct config *cfg)
{
	__u64 in = tp->bytes_received, out = tp->bytes_acked;
	__u64 bytes = in - w->in_bytes + out - w->out_bytes;

	if (in == w->in_bytes || out == w->out_bytes)
		return;
	w->in_bytes = in;
	w->out_bytes = out;
	w->turns = bytes <= cfg->turn_bytes ? w->turns + 1 : 0;
}

/*
 * The numbers that both ends began with. bytes_acked of the end that connected counts its SYN, so its
 * snd is one less than what the other end has as rcv.
 */
static __always_inline void make_key(struct ask_key *key, const struct tcp_sock *tp)
{
	const struct sock *sk = (const void *)tp;

	key->snd = tp->snd_una - (__u32)tp->bytes_acked;
	key->rcv = tp->rcv_nxt - (__u32)tp->bytes_received;
	key->netns_cookie =
		is_loopback(sk) ? BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie) : 0;
}

/* What the other end has asked: it was accepted if this one connected, and the other way round. */
static __always_inline struct ask *find_other(const struct ask_key *own)
{
	struct ask_key peer = { .netns_cookie = own->netns_cookie };
	struct ask *other;

	peer.snd = own->rcv;
	peer.rcv = own->snd + 1;
	other = bpf_map_lookup_elem(&asking, &peer);
	if (other)
		return other;
	peer.snd = own->rcv - 1;
	peer.rcv = own->snd;
	return bpf_map_lookup_elem(&asking, &peer);
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

/*
 * The other end has asked, too. The first to know becomes a candidate, the second makes both ready. sk: the
 * same socket as tp, as the verifier wants it.
 */
static __always_inline void match(void *sk, const struct tcp_sock *tp, const struct watch *w,
				  struct ask *mine, const struct ask *other,
				  const struct config *cfg)
{
	struct wanted wanted = { .peer = other->cookie, .peer_sk = other->sk };

	wanted.turns_wanted = w->wanted;
	mine->matched = true;
	if (mine->why || other->why) {
		if (other->matched)
			refuse((const void *)tp, mine->why ?: other->why, mine->cookie,
			       other->cookie);
		return;
	}
	if (!bpf_sk_storage_get(&candidates, sk, &wanted, BPF_LOCAL_STORAGE_GET_F_CREATE))
		mine->matched = false;
	else if (other->matched)
		want_both(tp, mine, other, cfg);
}

/* Says that this end would, and looks whether the other one does. True: it does. */
static __always_inline bool ask(void *sk, const struct tcp_sock *tp, __u64 cookie, struct watch *w,
				const struct config *cfg)
{
	struct ask mine = { .cookie = cookie, .sk = (__u64)tp };
	struct ask_key own;
	struct ask *other;

	mine.why = unfit(tp, cfg);
	make_key(&own, tp);
	other = find_other(&own);
	if (other)
		match(sk, tp, w, &mine, other, cfg);
	else if (w->wanted < 1 << 16)
		w->wanted *= 2; /* not here, or not yet: ask seldomer */
	bpf_map_update_elem(&asking, &own, &mine, BPF_ANY);
	w->asked = mine.matched;
	return mine.matched;
}

/* It was let go, and takes small turns again: ask once more, but later each time. */
static __always_inline void watch_again(struct watch *w, __u64 cookie)
{
	struct flow *flow = bpf_map_lookup_elem(&redirect_flows, &cookie);

	w->turns = 0;
	if (!flow || flow->mode != MODE_LEFT || flow->why != WHY_STREAM)
		return;
	w->wanted = flow->turns_wanted;
	w->asked = false;
}

static __always_inline void on_rtt(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	const struct config *cfg = config();
	struct watch fresh = {}, *w;
	__u64 cookie;

	if (!tp || !cfg || cfg->stopping || tp->data_segs_in < 2 || tp->data_segs_out < 2)
		return;
	fresh.wanted = cfg->turns;
	w = bpf_sk_storage_get(&watched, sk, &fresh, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!w)
		return;
	count_turn(w, tp, cfg);
	if (!is_due(w))
		return;
	cookie = bpf_get_socket_cookie(ops);
	if (w->asked)
		watch_again(w, cookie);
	else if (ask(sk, tp, cookie, w, cfg))
		bpf_sock_ops_cb_flags_set(ops,
					  ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
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
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		on_established(ops);
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
