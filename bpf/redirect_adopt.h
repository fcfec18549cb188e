/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_adopt.h - connections that were there before the redirect: no callback can be asked for them
 * any more, so the engine has their counters sampled.
 */
#ifndef BPFNET_REDIRECT_ADOPT_H
#define BPFNET_REDIRECT_ADOPT_H

#include "redirect_watch.h"

#define MAX_DEPTH 32 /* of cgroups */

/* The socket's cgroup is one of those, or below. */
static __always_inline bool cgroup_in_scope(const struct sock *sk)
{
	const struct cgroup *cgrp = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	__u64 id;

	for (int i = 0; i < MAX_DEPTH && cgrp; i++) {
		id = BPF_CORE_READ(cgrp, kn, id);
		if (bpf_map_lookup_elem(&scopes, &id))
			return true;
		/* self is the first member */
		cgrp = (const void *)BPF_CORE_READ(cgrp, self.parent);
	}
	return false;
}

static __always_inline bool is_tcp(const struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP &&
	       BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_ESTABLISHED;
}

/* Run once, when the callbacks are there already. */
SEC("iter/task_file")
int adopt(struct bpf_iter__task_file *ctx)
{
	const struct config *cfg = config();
	struct watch fresh = { .sampled = true };
	struct socket *socket;
	struct sock *sk;

	if (!ctx->task || !ctx->file || !cfg)
		return 0;
	socket = bpf_sock_from_file(ctx->file);
	sk = socket ? socket->sk : NULL;
	if (!sk || !is_tcp(sk) || !cgroup_in_scope(sk) ||
	    !ports_in_scope(bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport)),
			    bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)), cfg))
		return 0;
	fresh.wanted = cfg->turns;
	bpf_sk_storage_get(&watched, sk, &fresh, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

/*
 * Of a sample: as many turns as segments with data went the way that had fewer, if they were small on
 * the average.
 */
static __always_inline void count_turns(struct watch *w, const struct tcp_sock *tp,
					const struct config *cfg)
{
	__u32 in = BPF_CORE_READ(tp, data_segs_in), out = BPF_CORE_READ(tp, data_segs_out);
	__u32 turns = in - w->in_segs < out - w->out_segs ? in - w->in_segs : out - w->out_segs;
	__u64 bytes = BPF_CORE_READ(tp, bytes_received) + BPF_CORE_READ(tp, bytes_acked);
	bool first = !w->in_bytes;

	if (bytes == w->in_bytes)
		return;
	if (!first)
		w->turns = bytes - w->in_bytes <= cfg->turn_bytes * turns ? w->turns + turns : 0;
	w->in_bytes = bytes;
	w->in_segs = in;
	w->out_segs = out;
}

SEC("iter/bpf_sk_storage_map")
int sample(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct config *cfg = config();
	struct totals *all = totals();
	struct watch *w = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_sock *tp;
	__u64 cookie;

	if (!sk || !w || !cfg || !all || !w->sampled)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED)
		return 0;
	all->sampled++;
	count_turns(w, tp, cfg);
	if (!is_due(w))
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	if (w->asked)
		watch_again(w, cookie);
	else
		ask(sk, tp, cookie, w, cfg);
	return 0;
}

#endif
