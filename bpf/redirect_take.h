/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_take.h - iterators that the engine runs: they put sockets into the map, and find those
 * that can be taken out of it.
 *
 * Only a program of this kind can put a socket into a sockmap at any time; sockops can only while
 * the connection is being made, which is too early to know anything of it.
 */
#ifndef BPFNET_REDIRECT_TAKE_H
#define BPFNET_REDIRECT_TAKE_H

#include "redirect_sock.h"

/* Both ends are in the map: from now on they are redirected. */
static __always_inline void meet(__u64 cookie, struct flow *other)
{
	struct flow *own = bpf_map_lookup_elem(&redirect_flows, &cookie);

	if (!own || other->peer != cookie || other->mode != MODE_ALONE)
		return;
	own->mode = other->mode = MODE_ON;
	TALLY(taken);
	notify(NOTICE_TAKEN, WHY_NONE, cookie, own->peer, &own->tuple);
}

/*
 * Neither end has anything from TCP to read. A socket in the map that has makes some kernels answer 0 to
 * FIONREAD (6.12.75, 6.18.14 to 7.1), which nginx and others believe.
 */
static __always_inline bool is_idle(const struct tcp_sock *a, const struct tcp_sock *b)
{
	return BPF_CORE_READ(a, copied_seq) == BPF_CORE_READ(b, write_seq) &&
	       BPF_CORE_READ(b, copied_seq) == BPF_CORE_READ(a, write_seq);
}

/* Makes the socket's flow; one that was let go before goes on counting. */
static __always_inline int make_flow(struct sock *sk, __u64 cookie, const struct wanted *wanted)
{
	struct flow flow = { .peer = wanted->peer, .sk = (__u64)sk, .peer_sk = wanted->peer_sk };
	const struct flow *before = bpf_map_lookup_elem(&redirect_flows, &cookie);

	flow.taken_ns = bpf_ktime_get_ns();
	flow.turns_wanted = wanted->turns_wanted;
	set_tuple(&flow.tuple, sk);
	if (before) {
		flow.redirected_bytes = before->redirected_bytes;
		flow.redirected_msgs = before->redirected_msgs;
		flow.passed_bytes = before->passed_bytes;
		flow.passed_msgs = before->passed_msgs;
	}
	return bpf_map_update_elem(&redirect_flows, &cookie, &flow, BPF_ANY);
}

static __always_inline enum why take(struct sock *sk, __u64 cookie, const struct wanted *wanted,
				     const struct config *cfg)
{
	enum why why = unfit((const void *)sk, cfg);
	struct flow *other;
	__u64 peer;
	long rc;

	if (why)
		return why;
	if (BPF_CORE_READ(sk, sk_user_data))
		return WHY_OWNED;
	if (make_flow(sk, cookie, wanted))
		return WHY_FULL;
	rc = bpf_map_update_elem(&sockets, &cookie, sk, BPF_NOEXIST);
	if (rc) {
		bpf_map_delete_elem(&redirect_flows, &cookie);
		return rc == -E2BIG ? WHY_FULL : rc == -EBUSY ? WHY_OWNED : WHY_CLOSING;
	}
	peer = wanted->peer; /* 6.1 takes no key from an iterator's memory */
	other = bpf_map_lookup_elem(&redirect_flows, &peer);
	if (other)
		meet(cookie, other);
	return WHY_NONE;
}

/* Prints a byte for each that has to wait for a better moment. */
SEC("iter/bpf_sk_storage_map")
int take_wanted(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct config *cfg = config();
	struct wanted *wanted = ctx->value;
	struct sock *sk = ctx->sk;
	__u64 cookie, peer;
	enum why why;

	if (!sk || !wanted || !cfg || cfg->stopping)
		return 0;
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	peer = wanted->peer;
	if (!bpf_map_lookup_elem(&ready, &cookie))
		return 0;
	if (!bpf_map_lookup_elem(&redirect_flows, &peer) && wanted->tries++ < cfg->tries &&
	    !is_idle((const void *)sk, (const void *)wanted->peer_sk)) {
		bpf_seq_write(ctx->meta->seq, &why, 1);
		return 0;
	}
	why = take(sk, cookie, wanted, cfg);
	if (why)
		refuse(sk, why, cookie, peer);
	bpf_map_delete_elem(&ready, &cookie);
	bpf_sk_storage_delete(&candidates, sk);
	return 0;
}

#define ALONE_NS    1000000000ULL /* the other end is not coming */
#define PATIENCE_NS 50000000ULL /* how long a good moment to leave is waited for */
#define UNREAD_NS   100000000ULL /* so long may something that came by TCP wait */
#define REMEMBER_NS 3000000000ULL /* tracing programs may still ask about a closed one */

/*
 * A sender takes its reference to the psock before it asks the program what to do. We set the mode and
 * look at the references then; where stores and loads may pass each other, that takes some time.
 */
#if defined(__TARGET_ARCH_x86)
#define FENCE_NS 0
#define fence()  __sync_fetch_and_add(&(__u64){ 0 }, 0)
#else
#define FENCE_NS 2000000ULL
#define fence()
#endif

static __always_inline void leave(struct flow *flow, enum mode mode, __u32 why, __u64 now_ns)
{
	if (!flow->why)
		flow->why = why;
	flow->left_ns = now_ns;
	flow->mode = mode;
}

static __always_inline void leave_both(struct flow *flow, struct flow *other, enum mode mode,
				       __u32 why, __u64 now_ns)
{
	leave(flow, mode, why, now_ns);
	leave(other, mode, why, now_ns);
}

static __always_inline bool is_there(const struct flow *flow, __u64 cookie)
{
	const struct sock *sk = (const void *)flow->sk;

	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == cookie;
}

/* Nothing is queued there, and no call is under way on it. */
static __always_inline bool is_calm(const struct flow *flow, __u64 cookie, const struct config *cfg)
{
	const struct sock *sk = (const void *)flow->sk;

	return !is_there(flow, cookie) || (is_quiet(sk, cfg) && queue_is_empty(sk));
}

/* Takes both ends out if this is the moment. */
static __always_inline void try_cut(struct flow *flow, struct flow *other, __u64 cookie,
				    __u64 now_ns, const struct config *cfg)
{
	__u64 since_ns = flow->left_ns, peer = flow->peer;
	bool patient = now_ns - since_ns < PATIENCE_NS;
	bool first = flow->mode == MODE_LEAVING;

	if (patient && first && !(is_calm(flow, cookie, cfg) && is_calm(other, peer, cfg)))
		return;
	if (first) {
		leave_both(flow, other, MODE_PASSING, 0, now_ns);
		fence();
	}
	if (now_ns - flow->left_ns < FENCE_NS)
		return;
	/* in this order: senders first, then what they may have left behind */
	if (is_calm(flow, cookie, cfg) && is_calm(other, peer, cfg)) {
		bpf_map_delete_elem(&sockets, &cookie);
		bpf_map_delete_elem(&sockets, &peer);
		flow->poke = other->poke = true;
		leave_both(flow, other, MODE_LEFT, 0, now_ns);
		other->turns_wanted = flow->turns_wanted =
			flow->turns_wanted < 1 << 16 ? flow->turns_wanted * 4 : 1 << 16;
		TALLY(left);
	} else if (patient && first) {
		leave_both(flow, other, MODE_LEAVING, 0, since_ns);
	}
}

/* What the engine is to do: forget a flow, or wake whoever waits for a socket. */
struct chore {
	__u64 cookie;
	__u32 netns; /* of the socket to wake; 0: forget */
	__u32 zero;
};

/* An end whose other end is gone, or never came: nothing will be put into its queue any more. */
static __always_inline void cut_single(struct flow *flow, __u64 cookie, __u64 now_ns,
				       const struct config *cfg)
{
	if (!is_calm(flow, cookie, cfg))
		return;
	bpf_map_delete_elem(&sockets, &cookie);
	leave(flow, MODE_LEFT, 0, now_ns);
}

static __always_inline void tidy(struct flow *flow, struct flow *other, __u64 cookie, __u64 now_ns,
				 const struct config *cfg)
{
	bool paired = other && other->mode != MODE_LEFT && other->mode != MODE_CLOSED;

	if (flow->mode == MODE_ALONE && (cfg->stopping || now_ns - flow->taken_ns > ALONE_NS))
		leave(flow, MODE_PASSING, cfg->stopping ? WHY_STOPPED : WHY_ALONE, now_ns);
	if (flow->mode == MODE_ON && paired && cfg->stopping) {
		leave_both(flow, other, MODE_LEAVING, WHY_STOPPED, now_ns);
	}
	if (flow->mode == MODE_ON && !paired)
		leave(flow, MODE_PASSING, WHY_ALONE, now_ns);
	if (!is_going(flow))
		return;
	if (!paired)
		cut_single(flow, cookie, now_ns, cfg);
	else if (is_going(other))
		try_cut(flow, other, cookie, now_ns, cfg);
	else
		leave(other, flow->mode, flow->why, now_ns);
}

/*
 * Some kernels answer 0 to FIONREAD of a socket in the map when something came by TCP (6.12.75, 6.18.14 to
 * 7.1), and who asks before it reads goes to sleep. So a connection is let go if such data stays, and
 * its process woken up.
 */
static __always_inline void look_for_unread(struct flow *flow, struct flow *other, __u64 now_ns)
{
	const struct tcp_sock *peer = (const void *)flow->peer_sk;
	__u32 copied = BPF_CORE_READ(peer, copied_seq);

	if (copied == BPF_CORE_READ(peer, rcv_nxt) || !is_there(other, flow->peer)) {
		flow->looked_ns = 0;
		return;
	}
	if (!flow->looked_ns || copied != flow->copied_seq || !queue_is_empty((const void *)peer)) {
		flow->looked_ns = now_ns;
		flow->copied_seq = copied;
	} else if (now_ns - flow->looked_ns > UNREAD_NS && flow->mode == MODE_ON) {
		leave_both(flow, other, MODE_PASSING, WHY_UNREAD, now_ns);
	}
}

/* It is out of the map: has it something to read that its process may not know of? */
static __always_inline void ask_to_wake(struct bpf_iter__bpf_map_elem *ctx, struct flow *flow,
					__u64 cookie)
{
	const struct tcp_sock *tp = (const void *)flow->sk;
	struct chore chore = { .cookie = cookie, .netns = flow->tuple.netns };

	flow->poke = false;
	if (BPF_CORE_READ(tp, copied_seq) != BPF_CORE_READ(tp, rcv_nxt) && is_there(flow, cookie))
		bpf_seq_write(ctx->meta->seq, &chore, sizeof(chore));
}

static __always_inline void add_up(struct amounts *sum, const struct flow *flow)
{
	sum->redirected_bytes += flow->redirected_bytes;
	sum->redirected_msgs += flow->redirected_msgs;
	sum->passed_bytes += flow->passed_bytes;
	sum->passed_msgs += flow->passed_msgs;
}

static __always_inline void count_state(struct totals *all, const struct flow *flow)
{
	add_up(&all->known, flow);
	all->live += flow->mode == MODE_ON;
	all->leaving += is_going(flow) || flow->mode == MODE_ALONE ||
			(flow->mode == MODE_LEFT && flow->poke);
	all->unread += flow->mode == MODE_ON && flow->passing;
}

/* Closed without a callback: it was there before the redirect. */
static __always_inline bool is_over(const struct flow *flow, __u64 cookie)
{
	const struct sock *sk = (const void *)flow->sk;

	return !is_there(flow, cookie) || BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE;
}

/* The other end may still be open, and what this one has sent is what that one has received. */
static __always_inline bool is_forgettable(const struct flow *flow)
{
	__u64 peer = flow->peer;
	const struct flow *other = bpf_map_lookup_elem(&redirect_flows, &peer);

	return !other || other->mode == MODE_CLOSED;
}

/*
 * Run in a namespace that has sockets of the map `waking`: tcp_set_rcvlowat() tells all who wait that
 * there is something to read, if there is. The value is the usual one, others are not taken.
 */
SEC("iter/tcp")
int wake(struct bpf_iter__tcp *ctx)
{
	struct tcp_sock *tp = ctx->sk_common ? bpf_skc_to_tcp_sock(ctx->sk_common) : NULL;
	int low = 1;
	__u64 cookie;

	if (!tp)
		return 0;
	cookie = bpf_get_socket_cookie(tp);
	if (bpf_map_lookup_elem(&waking, &cookie))
		bpf_setsockopt(tp, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	return 0;
}

/* Goes through all flows; prints chores. */
SEC("iter/bpf_map_elem")
int sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	struct flow *flow = ctx->value, *other;
	__u64 *key = ctx->key, now_ns = bpf_ktime_get_ns(), peer;
	const struct config *cfg = config();
	struct totals *all = totals();
	struct chore chore = {};

	if (!flow || !key || !cfg || !all)
		return 0;
	chore.cookie = *key;
	if (flow->mode != MODE_CLOSED && is_over(flow, chore.cookie)) {
		leave(flow, MODE_CLOSED, 0, now_ns);
		notify(NOTICE_CLOSED, flow->why, chore.cookie, flow->peer, &flow->tuple);
	}
	if (flow->mode != MODE_CLOSED) {
		peer = flow->peer; /* 6.1 takes no key from an iterator's memory */
		other = bpf_map_lookup_elem(&redirect_flows, &peer);
		if (other && flow->passing && is_on(flow))
			look_for_unread(flow, other, now_ns);
		tidy(flow, other, chore.cookie, now_ns, cfg);
		if (flow->mode == MODE_LEFT && flow->poke)
			ask_to_wake(ctx, flow, chore.cookie);
	} else if (now_ns - flow->left_ns > REMEMBER_NS && is_forgettable(flow)) {
		add_up(&all->closed, flow);
		bpf_seq_write(ctx->meta->seq, &chore, sizeof(chore));
		return 0;
	}
	count_state(all, flow);
	return 0;
}

#endif
