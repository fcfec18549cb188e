/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* tcpaccept - one event per accepted connection, in the process that accepted it. */
#include "filter.h"
#include "life.h"
#include "task.h"

struct tcpaccept_event {
	struct conn;
	opt_u64 queue_ns DOC("time in the accept queue: established to accepted");
	opt_u32 backlog DOC("connections left in the accept queue");
	opt_u32 backlog_max DOC("length of the accept queue: the backlog of listen()");
};

PROBE_EVENTS(struct tcpaccept_event, "one event per accepted connection, in the accepting process");

/* The listener that a thread's last accept() was about. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

static __always_inline void remember_listener(struct sock *sk)
{
	__u32 tid = bpf_get_current_pid_tgid();
	__u64 value = (__u64)sk;

	bpf_map_update_elem(&listeners, &tid, &value, BPF_ANY);
}

/*
 * The listener, held by the call that we are in. One that was blocked before we came left no
 * entry, but its system call's first argument is still there.
 */
static __always_inline struct sock *listener(void)
{
	__u32 tid = bpf_get_current_pid_tgid();
	__u64 *seen = bpf_map_lookup_elem(&listeners, &tid), fd, unused;

	if (seen)
		return (void *)*seen;
	return syscall_args(&fd, &unused) ? sock_of_fd(fd) : NULL;
}

static __always_inline void set_queue(struct tcpaccept_event *ev, const struct sock_life *life,
				      struct sock *lsk)
{
	ev->queue_ns = OPT_NONE;
	if (life && life->established_ns)
		ev->queue_ns = ev->ts_ns - life->established_ns;
	else if (life && life->birth_ns)
		ev->queue_ns = 0; /* fast open: accepted before the handshake was complete */
	ev->backlog = ev->backlog_max = (__u32)OPT_NONE;
	if (!lsk || BPF_CORE_READ(lsk, __sk_common.skc_state) != TCP_LISTEN)
		return;
	ev->backlog = BPF_CORE_READ(lsk, sk_ack_backlog);
	ev->backlog_max = BPF_CORE_READ(lsk, sk_max_ack_backlog);
}

static __always_inline int accepted(struct sock *sk, const bool trusted)
{
	struct sock_life *life = sock_life_accepted(sk, trusted);
	struct tcpaccept_event ev;
	struct conn *c = (struct conn *)&ev;

	conn_from_sock(c, sk, trusted);
	conn_owner_current(c, OWNER_ACCEPT);
	c->cookie = life ? life->cookie : sock_cookie(sk, trusted);
	if (!filter_passes(c))
		return 0;
	set_queue(&ev, life, listener());
	return event_send(&ev, sizeof(ev), ev.ts_ns);
}

SEC("fentry/security_sock_graft")
int BPF_PROG(accept__fentry, struct sock *sk)
{
	return sock_is_tcp(sk, true) ? accepted(sk, true) : 0;
}

SEC("fentry/inet_csk_accept")
int BPF_PROG(accept__fentry__listener, struct sock *sk)
{
	remember_listener(sk);
	return 0;
}

SEC("kprobe/security_sock_graft")
int BPF_KPROBE(accept__kprobe, struct sock *sk)
{
	return sock_is_tcp(sk, false) ? accepted(sk, false) : 0;
}

SEC("kprobe/inet_csk_accept")
int BPF_KPROBE(accept__kprobe__listener, struct sock *sk)
{
	remember_listener(sk);
	return 0;
}

SEC("kretprobe/inet_csk_accept")
LOSES("accepts that were already waiting when the probe came")
int BPF_KRETPROBE(accept__kretprobe, struct sock *sk)
{
	return sk && sock_is_tcp(sk, false) ? accepted(sk, false) : 0;
}

SEC("kprobe/inet_csk_accept")
int BPF_KPROBE(accept__kretprobe__listener, struct sock *sk)
{
	remember_listener(sk);
	return 0;
}

static __always_inline int accepted_fd(long fd)
{
	struct sock *sk = fd >= 0 ? sock_of_fd(fd) : NULL;

	return sk ? accepted(sk, false) : 0;
}

SEC("tp/syscalls/sys_exit_accept4")
LOSES("backlog, backlog_max through io_uring and before 5.15; io_uring's direct descriptors")
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

	return life && life->just_accepted ? accepted(sk, false) : 0;
}
