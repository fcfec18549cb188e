/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect - carries messages between two sockets of this host past the TCP/IP stack.
 *
 * A message may go past the stack only if the other end has read every byte that went through it:
 * then nothing can be overtaken. The other way round needs no care, for a socket in the map reads
 * what was redirected before what came by TCP. So a message that can't go past goes by TCP, always.
 */
#include "redirect_adopt.h"
#include "redirect_take.h"

/* How long no message goes past after a socket was taken: receive calls of before have ended. */
#define SETTLE_NS 20000000ULL

static __always_inline bool may_go_past(const struct config *cfg)
{
	return cfg->goes_on || bpf_ktime_get_coarse_ns() < cfg->until_ns;
}

/*
 * A receive call that began before the socket was taken sleeps until something comes by TCP, and would
 * not see what is redirected. There is none once the other end has sent a message through this
 * program, and none of its tasks sleeps in such a call.
 */
static __always_inline bool is_settled(struct flow *flow, const struct flow *other,
				       const struct config *cfg)
{
	if (flow->settled)
		return true;
	if (!other->passed_msgs || bpf_ktime_get_ns() - other->taken_ns < SETTLE_NS ||
	    sleepers((const void *)flow->peer_sk, cfg))
		return false;
	flow->settled = true;
	return true;
}

#define COUNT_ANEW_MSGS 32

/*
 * What waits there is what was sent since its queue was seen empty, which a queue seldom is just when
 * there is no more room: so it is looked at from time to time, and each time once a quarter is used.
 */
static __always_inline bool has_room(struct flow *flow, __u32 size, const struct config *cfg)
{
	bool full = flow->queued_msgs >= cfg->queue_msgs ||
		    flow->queued_bytes + size > cfg->queue_bytes;

	if (flow->queued_bytes < cfg->queue_bytes / 4 &&
	    flow->queued_msgs % COUNT_ANEW_MSGS < COUNT_ANEW_MSGS - 1 && !full)
		return true;
	if (!queue_is_empty((const void *)flow->peer_sk))
		return !full;
	flow->queued_msgs = 0;
	flow->queued_bytes = 0;
	return size <= cfg->queue_bytes;
}

/*
 * The other end has read all that went by TCP. If its socket is gone this reads anything, but then there is
 * none to redirect to.
 */
static __always_inline bool nothing_ahead(const struct flow *flow, const struct tcp_sock *tp)
{
	const struct tcp_sock *peer = (const void *)flow->peer_sk;

	return BPF_CORE_READ(peer, copied_seq) == tp->write_seq;
}

static __always_inline void let_go(struct flow *flow, struct flow *other, enum why why,
				   __u64 cookie)
{
	flow->why = other->why = why;
	flow->left_ns = other->left_ns = bpf_ktime_get_ns();
	flow->mode = other->mode = MODE_LEAVING;
	notify(NOTICE_LEAVING, why, cookie, flow->peer, &flow->tuple);
}

#define LOOK_MSGS 8

/* Of the other end something is asked with every few messages only: a look at it costs a lookup. */
static __always_inline bool is_time_to_look(const struct flow *flow)
{
	return (flow->redirected_msgs + flow->passed_msgs) % LOOK_MSGS == 0;
}

/* Counts what this end sends without an answer. True: it is a stream. */
static __always_inline bool is_stream(struct flow *flow, const struct flow *other,
				      const struct config *cfg)
{
	__u64 peer_msgs = other->redirected_msgs + other->passed_msgs;

	if (peer_msgs != flow->peer_msgs) {
		flow->peer_msgs = peer_msgs;
		flow->run_bytes = 0;
		flow->run_msgs = 0;
	}
	return flow->run_bytes > cfg->stream_bytes || flow->run_msgs > cfg->stream_msgs;
}

/*
 * What a process may have changed since. kTLS must never be met: its messages come here in plain text.
 * Who makes its socket block finds out only at the next signal, so that is asked seldom.
 */
static __always_inline enum why no_longer_fit(const struct tcp_sock *tp, const struct flow *flow,
					      const struct config *cfg)
{
	if (has_ulp(tp))
		return WHY_ULP;
	if (!cfg->blocking && is_time_to_look(flow) && is_blocking((const void *)tp))
		return WHY_BLOCKING;
	return has_odd_options(tp, true) ? WHY_OPTION : WHY_NONE;
}

#define OVERDUE_NS 500000000ULL

/* Its queue has not been empty for so long that the risk is taken: the engine wakes whoever it hits. */
static __always_inline bool is_overdue(const struct flow *flow)
{
	return flow->mode == MODE_PASSING && bpf_ktime_get_ns() - flow->left_ns > OVERDUE_NS;
}

/*
 * Whoever waits for an edge of epoll, and takes a short count for the end, does not see what came by TCP
 * behind something that was redirected and not read yet. So nothing goes back to TCP before the other
 * end has read all, unless there is no room.
 */
static __always_inline bool goes_past(struct flow *flow, const struct tcp_sock *tp, __u64 cookie,
				      __u32 size)
{
	const struct config *cfg = config();
	bool settled = !cfg || !cfg->blocking || flow->settled;
	struct flow *other;
	enum why why;

	if (!cfg || !is_inside(flow))
		return false;
	flow->run_bytes += size;
	flow->run_msgs++;
	why = no_longer_fit(tp, flow, cfg);
	if (why || !settled || is_time_to_look(flow)) {
		other = bpf_map_lookup_elem(&redirect_flows, &flow->peer);
		if (!other || !is_inside(other))
			return false;
		if (!why && is_stream(flow, other, cfg))
			why = WHY_STREAM;
		if (why && flow->mode == MODE_ON)
			let_go(flow, other, why, cookie);
		settled = settled || is_settled(flow, other, cfg);
	}
	if (why == WHY_ULP || !settled || !nothing_ahead(flow, tp))
		return false;
	if (!(is_on(flow) && may_go_past(cfg)) &&
	    (queue_is_empty((const void *)flow->peer_sk) || is_overdue(flow)))
		return false;
	return has_room(flow, size, cfg);
}

SEC("sk_msg")
int message(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	__u32 size = msg->size;
	struct flow *flow;
	__u64 cookie;

	if (!tp)
		return SK_PASS;
	cookie = ((struct sock *)tp)->__sk_common.skc_cookie.counter;
	flow = bpf_map_lookup_elem(&redirect_flows, &cookie);
	if (!flow)
		return SK_PASS;
	/* What the helper answers is no verdict: SK_DROP would lose the message. */
	if (goes_past(flow, tp, cookie, size) &&
	    bpf_msg_redirect_hash(msg, &sockets, &flow->peer, BPF_F_INGRESS) == SK_PASS) {
		flow->redirected_msgs++;
		flow->redirected_bytes += size;
		flow->queued_msgs++;
		flow->queued_bytes += size;
		flow->passing = false;
		return SK_PASS;
	}
	flow->passed_msgs++;
	flow->passed_bytes += size;
	if (!flow->passing && is_on(flow)) {
		flow->passing = true;
		notify(NOTICE_PASSING, WHY_NONE, cookie, flow->peer, &flow->tuple);
	}
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
