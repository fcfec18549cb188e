/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * socks - follows every TCP socket from birth to destruction; no probe of its own.
 *
 * The engine loads it once, before the first probe that has a map `socks`, attaches it first, so
 * that at a shared hook the life is up to date when a probe looks at it, and unloads it with the
 * last such probe. Sockets that are already there are found through the descriptor tables.
 *
 * A hash keyed by the struct sock's address, not socket storage: kprobes and plain tracepoints
 * can't reach socket storage, nor can 5.10's tracing programs, and a hash entry costs no more.
 * The address is safe as a key because tcp_destroy_sock, which every full TCP socket passes,
 * deletes the entry before the memory can be used again.
 */
#include "life.h"
#include "older.h"
#include "task.h"

/* connect() sets SYN_SENT in the caller's own context, before it even has a source port. */
static __always_inline void on_connect(const struct sock *sk)
{
	struct sock_life life = { .side = SIDE_CONNECT };

	life.birth_ns = bpf_ktime_get_ns();
	life.cookie = sock_cookie(sk, true);
	owned_by_current(&life, OWNER_CONNECT);
	sock_born(sk, &life);
}

static __always_inline void on_established(const struct sock *sk, struct sock_life *life)
{
	struct sock_life child = { .side = SIDE_ACCEPT };

	if (life) {
		life->established_ns = bpf_ktime_get_ns();
		return;
	}
	/* Nobody's yet: this is a softirq, whose task has nothing to do with it. */
	child.birth_ns = child.established_ns = bpf_ktime_get_ns();
	child.cookie = sock_cookie(sk, true);
	sock_born(sk, &child);
}

/*
 * The lock's owner is the task that made the call; without one this is a softirq or a timer. Only
 * a listener's close does away with the connections in its queue without owning their locks.
 */
static __always_inline void closed_by_current(struct sock_life *life, const struct sock *sk)
{
	bool in_queue = life->side == SIDE_ACCEPT && !life->owner && !sk->sk_err;

	if (life->closer_pid || (!sk->sk_lock.owned && !in_queue))
		return;
	life->closer_pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(life->closer_comm, sizeof(life->closer_comm));
}

static __always_inline void on_closing(struct sock_life *life, const struct sock *sk, int newstate)
{
	if (newstate == TCP_CLOSE_WAIT) {
		if (!life->closed_by)
			life->closed_by = CLOSED_BY_REMOTE;
		return;
	}
	if (newstate == TCP_CLOSE && life->rst_received) {
		if (!life->closed_by)
			life->closed_by = CLOSED_BY_REMOTE;
		return;
	}
	if (newstate == TCP_CLOSE && sk->sk_err == ETIMEDOUT) {
		if (!life->closed_by)
			life->closed_by = CLOSED_BY_KERNEL;
		return;
	}
	closed_by_current(life, sk);
	if (!life->closed_by)
		life->closed_by = CLOSED_BY_LOCAL;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, const struct sock *sk, int oldstate, int newstate)
{
	struct sock_life *life;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (newstate == TCP_SYN_SENT) {
		on_connect(sk);
		return 0;
	}
	life = sock_life(sk);
	if (life && !life->cookie)
		life->cookie = sock_cookie(sk, true);
	switch (newstate) {
	case TCP_ESTABLISHED:
		on_established(sk, life);
		break;
	case TCP_FIN_WAIT1:
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
	case TCP_CLOSE:
		if (life)
			on_closing(life, sk, newstate);
		break;
	}
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset, struct sock *sk)
{
	struct sock_life *life = sock_life(sk);

	if (life)
		life->rst_received = true;
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy, struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&socks, &key);
	return 0;
}

static __always_inline int accepted(struct sock *sk, const bool trusted)
{
	sock_life_accepted(sk, trusted);
	return 0;
}

/*
 * Every accept() ends in sock_graft(), after any waiting and in the task that gets the socket:
 * this sees an accept() that was blocked before we came, and those of io_uring.
 */
SEC("fentry/security_sock_graft")
int BPF_PROG(accept__fentry, struct sock *sk)
{
	return sock_is_tcp(sk, true) ? accepted(sk, true) : 0;
}

SEC("kprobe/security_sock_graft")
int BPF_KPROBE(accept__kprobe, struct sock *sk)
{
	return sock_is_tcp(sk, false) ? accepted(sk, false) : 0;
}

SEC("kretprobe/inet_csk_accept")
int BPF_KRETPROBE(accept__kretprobe, struct sock *sk)
{
	return sk && sock_is_tcp(sk, false) ? accepted(sk, false) : 0;
}

static __always_inline int accepted_fd(long fd)
{
	struct sock *sk = fd >= 0 ? sock_of_fd(fd) : NULL;

	return sk ? accepted(sk, false) : 0;
}

SEC("tp/syscalls/sys_exit_accept4")
int accept__tp(struct syscall_exit_args *args)
{
	return accepted_fd(args->ret);
}

SEC("tp/syscalls/sys_exit_accept")
int accept__tp__accept(struct syscall_exit_args *args)
{
	return accepted_fd(args->ret);
}

SEC("tp/io_uring/io_uring_complete")
OPTIONAL int accept__tp__uring(struct trace_event_raw_io_uring_complete *args)
{
	struct sock *sk = sock_of_uring(args);
	struct sock_life *life = sk ? sock_life(sk) : NULL;

	if (!life)
		return 0;
	/* Any result may look like a descriptor of ours: only the first one is the accept. */
	life->just_accepted = life->side == SIDE_ACCEPT && !life->owner;
	if (life->just_accepted)
		owned_by_current(life, OWNER_ACCEPT);
	return 0;
}

/*
 * What was accepted from a queue of length 0 may look as if it had connected, see older_side(): so the ports
 * of such listeners are noted. One may come behind its connections: if there are any, the engine looks twice.
 */
struct port {
	__u32 netns;
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct port);
	__type(value, __u8);
} short_listeners SEC(".maps");

__u32 nr_short_listeners;

static __always_inline struct port port_of(const struct sock *sk)
{
	struct port p;

	p.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	p.port = bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
	return p;
}

static __always_inline void found_listener(const struct sock *sk)
{
	struct port p = port_of(sk);
	__u8 one = 1;

	if (BPF_CORE_READ(sk, sk_max_ack_backlog))
		return;
	bpf_map_update_elem(&short_listeners, &p, &one, BPF_ANY);
	nr_short_listeners++;
}

static __always_inline enum side side_found(const struct sock *sk)
{
	enum side side = older_side(sk);
	struct port p = port_of(sk);

	if (side != SIDE_UNKNOWN || bpf_map_lookup_elem(&short_listeners, &p))
		return side;
	return SIDE_CONNECT;
}

/* Run once by the engine: the sockets that were there before us, and who holds them. */
SEC("iter/task_file")
int scan(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sock_life life = { .owner = OWNER_SCAN }, *known;
	struct sock *sk;
	__u64 key;
	__u8 state;

	if (!task || !file)
		return 0;
	sk = sock_of_file(file);
	if (!sk)
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == TCP_LISTEN)
		found_listener(sk);
	if (state == TCP_CLOSE || state == TCP_LISTEN)
		return 0;
	life.older = side_found(sk);
	known = sock_life(sk);
	if (known && known->owner == OWNER_SCAN)
		known->older = life.older;
	if (state == TCP_SYN_SENT)
		life.side = SIDE_CONNECT;
	life.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	life.pid = BPF_CORE_READ(task, tgid);
	life.tid = BPF_CORE_READ(task, pid);
	life.uid = BPF_CORE_READ(task, cred, uid.val);
	life.task_cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	BPF_CORE_READ_STR_INTO(&life.comm, task, comm);
	key = (__u64)sk;
	/* A process that forked comes first, and whatever we saw live is better than this. */
	if (bpf_map_update_elem(&socks, &key, &life, BPF_NOEXIST) == -7 /* E2BIG: full */)
		COUNT(TALLY_UNTRACKED);
	return 0;
}
