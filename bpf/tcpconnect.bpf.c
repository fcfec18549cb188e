/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcpconnect - one event per connect attempt, once its outcome is known.
 *
 * Two hooks share the work. The socket's state says how an attempt ended that had sent its SYN.
 * What failed before that (no route, no port left, refused by policy) shows only in what connect()
 * returns. `told` keeps the two from reporting one attempt twice: connect() also returns the
 * error of an attempt whose end the state has already shown, at once or from a later call.
 */
#include "filter.h"
#include "task.h"

struct tcpconnect_event {
	struct conn;
	opt_u64 latency_ns DOC(
		"SYN to the outcome; nil if it failed before (no route), is older, or "
		"its end was missed");
	errno_t error DOC("nil, or why it failed; ECANCELED: closed before there was an outcome");
	__u32 zero2;
};

PROBE_EVENTS(struct tcpconnect_event, "one event per connect attempt, also failed ones");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64); /* cookie */
	__type(value, __u8);
} told SEC(".maps");

/* First attempts that fail inside connect(), by thread: soon the socket forgets its addresses. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct conn);
} failing SEC(".maps");

/* ev has its connection; this tells the rest. */
static __always_inline int emit(struct tcpconnect_event *ev, __u64 latency_ns, int error)
{
	if (!filter_passes((struct conn *)ev))
		return 0;
	ev->latency_ns = latency_ns;
	ev->error = error;
	ev->zero2 = 0;
	return event_send(ev, sizeof(*ev), ev->ts_ns);
}

/* The state was changed by a first connect() that is about to return an error by itself. */
static __always_inline bool connect_will_tell(const struct sock *sk)
{
	/* of no socket, 0 is read: SS_FREE */
	return sk->sk_lock.owned && BPF_CORE_READ(sk, sk_socket, state) == SS_UNCONNECTED;
}

static __always_inline __u64 latency(__u64 ts_ns, const struct sock_life *life)
{
	return life && life->birth_ns ? ts_ns - life->birth_ns : OPT_NONE;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, const struct sock *sk, int oldstate, int newstate)
{
	struct tcpconnect_event ev;
	struct conn *c = (struct conn *)&ev;
	struct sock_life *life;
	__u8 one = 1;
	int error = 0;

	/* SYN_RECV too: two sides that connect to each other pass through it */
	if ((oldstate != TCP_SYN_SENT && oldstate != TCP_SYN_RECV) ||
	    (newstate != TCP_ESTABLISHED && newstate != TCP_CLOSE) ||
	    sk->sk_protocol != IPPROTO_TCP)
		return 0;
	life = sock_life(sk);
	if (oldstate == TCP_SYN_RECV && (!life || life->side != SIDE_CONNECT))
		return 0;
	conn_from_sock(c, sk, true);
	conn_owner(c, life);
	if (newstate == TCP_CLOSE) {
		error = sk->sk_err;
		if (!error && connect_will_tell(sk)) {
			__u32 tid = bpf_get_current_pid_tgid();

			bpf_map_update_elem(&failing, &tid, c, BPF_ANY);
			return 0;
		}
		if (error)
			bpf_map_update_elem(&told, &c->cookie, &one, BPF_ANY);
		else
			error = ECANCELED;
	}
	return emit(&ev, latency(c->ts_ns, life), error);
}

/* Results of connect() that are no outcome of an attempt. */
static __always_inline bool is_outcome(long ret)
{
	if (ret >= 0)
		return false;
	switch (-ret) {
	case EINTR:
	case EISCONN:
	case EALREADY:
	case EINPROGRESS:
	case ERESTARTSYS:
	case ERESTARTNOHAND:
		return false;
	}
	return true;
}

/* The part of struct sockaddr_in and sockaddr_in6 that we need, as user space lays it out. */
struct target {
	__u16 family;
	__be16 port;
	union {
		struct {
			__u32 flowinfo;
			struct in6_addr in6;
		} __attribute__((packed));
		__be32 in4;
	};
};

static __always_inline bool set_target(struct conn *c, const struct target *to)
{
	c->dport = bpf_ntohs(to->port);
	switch (to->family) {
	case AF_INET:
		c->family = FAMILY_IPV4;
		set_mapped(&c->daddr, to->in4);
		break;
	case AF_INET6:
		__builtin_memcpy(&c->daddr, &to->in6, sizeof(c->daddr));
		c->family = is_mapped(&c->daddr) ? FAMILY_IPV4 : FAMILY_IPV6;
		break;
	default:
		return false; /* AF_UNSPEC: not a connect */
	}
	return true;
}

/* connect() on sk has returned an error, in the task that called it. */
static __always_inline int failed(struct sock *sk, const bool trusted, const struct target *to,
				  long ret)
{
	struct sock_life *life = sock_life(sk);
	__u32 tid = bpf_get_current_pid_tgid();
	struct conn *seen = bpf_map_lookup_elem(&failing, &tid);
	struct tcpconnect_event ev;
	struct conn *c = (struct conn *)&ev;

	if (seen) {
		*c = *seen;
		bpf_map_delete_elem(&failing, &tid);
		/* else of a call whose return was not seen, as through io_uring */
		if (life && life->cookie == c->cookie)
			return emit(&ev, latency(c->ts_ns, life), -ret);
	}
	conn_from_sock(c, sk, trusted);
	conn_owner_current(c, OWNER_CONNECT);
	c->cookie = life ? life->cookie : made_up_cookie();
	if (!bpf_map_delete_elem(&told, &c->cookie))
		return 0;
	if (!set_target(c, to))
		return 0;
	return emit(&ev, OPT_NONE, -ret);
}

SEC("fexit/inet_stream_connect")
int BPF_PROG(fail__fexit, struct socket *sock, struct sockaddr *addr, int len, int flags, int ret)
{
	struct target to = {};
	struct sock *sk = sock->sk;

	if (!is_outcome(ret) || !sk || !sock_is_tcp(sk, true))
		return 0;
	bpf_probe_read_kernel(&to, sizeof(to), addr);
	return failed(sk, true, &to, ret);
}

struct call {
	struct socket *sock; /* or the descriptor */
	struct sockaddr *addr;
};

/* connect() calls under way, by thread: at its return a kprobe can't see the arguments. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

SEC("kprobe/inet_stream_connect")
int BPF_KPROBE(fail__kretprobe__enter, struct socket *sock, struct sockaddr *addr)
{
	struct call call = { sock, addr };
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&calls, &tid, &call, BPF_ANY);
	return 0;
}

SEC("kretprobe/inet_stream_connect")
int BPF_KRETPROBE(fail__kretprobe, int ret)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &tid);
	struct target to = {};
	struct sock *sk;

	if (!call || !is_outcome(ret))
		return 0;
	sk = BPF_CORE_READ(call, sock, sk);
	bpf_probe_read_kernel(&to, sizeof(to), call->addr);
	bpf_map_delete_elem(&calls, &tid);
	return sk && sock_is_tcp(sk, false) ? failed(sk, false, &to, ret) : 0;
}

/* Only where the exit can't look at the arguments any more. */
SEC("tp/syscalls/sys_enter_connect")
int fail__tp__enter(struct syscall_enter_args *args)
{
	struct call call = { (void *)args->args[0], (void *)args->args[1] };
	__u32 tid = bpf_get_current_pid_tgid();

	if (!HAVE_TASK_REGS)
		bpf_map_update_elem(&calls, &tid, &call, BPF_ANY);
	return 0;
}

/* Descriptor and address of the connect() that the current task is in. */
static __always_inline bool connect_args(__u64 *fd, __u64 *addr)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *call;

	if (HAVE_TASK_REGS)
		return syscall_args(fd, addr);
	call = bpf_map_lookup_elem(&calls, &tid);
	if (!call)
		return false;
	*fd = (__u64)call->sock;
	*addr = (__u64)call->addr;
	return true;
}

SEC("tp/syscalls/sys_exit_connect")
LOSES("attempts through io_uring that fail before a SYN is sent")
int fail__tp(struct syscall_exit_args *args)
{
	struct target to = {};
	struct sock *sk;
	__u64 fd, addr;

	if (!is_outcome(args->ret) || !connect_args(&fd, &addr))
		return 0;
	sk = sock_of_fd(fd);
	if (!sk || bpf_probe_read_user(&to, sizeof(__u16) * 2 + 4, (void *)addr))
		return 0;
	if (to.family == AF_INET6)
		bpf_probe_read_user(&to, sizeof(to), (void *)addr);
	return failed(sk, false, &to, args->ret);
}
