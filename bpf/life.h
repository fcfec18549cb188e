/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* life.h - writing the life of a socket: for socks.bpf.c, and for probes that can't wait for it. */
#ifndef BPFNET_LIFE_H
#define BPFNET_LIFE_H

#include "sock.h"

static __always_inline __u64 sock_cookie(const struct sock *sk, const bool trusted)
{
	__u64 cookie;

	if (trusted && cfg_cookie)
		return bpf_get_socket_cookie((void *)sk);
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	return cookie ?: made_up_cookie();
}

static __always_inline void owned_by_current(struct sock_life *life, enum owner how)
{
	__u64 id = bpf_get_current_pid_tgid();

	life->pid = id >> 32;
	life->tid = id;
	life->uid = bpf_get_current_uid_gid();
	life->task_cgroup = bpf_get_current_cgroup_id();
	life->owner = how;
	bpf_get_current_comm(life->comm, sizeof(life->comm));
}

static __always_inline void sock_born(const struct sock *sk, const struct sock_life *life)
{
	__u64 key = (__u64)sk;

	if (bpf_map_update_elem(&socks, &key, life, BPF_ANY))
		COUNT(TALLY_UNTRACKED);
}

/*
 * An accepted socket has been given to the current task. Called by every program at that hook,
 * because their order differs: programs at a function run newest first, at a tracepoint oldest
 * first. The first one makes the entry, the others find it.
 */
static __always_inline struct sock_life *sock_life_accepted(struct sock *sk, const bool trusted)
{
	struct sock_life *life = sock_life(sk), older = { .side = SIDE_ACCEPT };

	if (life) {
		owned_by_current(life, OWNER_ACCEPT);
		return life;
	}
	/* It came into the queue before we came; or by fast open, and is not established yet. */
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_SYN_RECV)
		older.birth_ns = bpf_ktime_get_ns();
	older.cookie = sock_cookie(sk, trusted);
	owned_by_current(&older, OWNER_ACCEPT);
	sock_born(sk, &older);
	return sock_life(sk);
}

#endif
