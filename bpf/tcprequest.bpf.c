/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * tcprequest - one event per request and response on a TCP connection, at each end that is here.
 *
 * Nothing is known of protocols: who connected asks, who accepted answers. A request begins with the
 * first bytes that are sent after the last response, a response with the first bytes back.
 */
#include "request_io.h"
#include "skb.h"
#include "task.h"

enum { MSG_PEEK = 2, MSG_ERRQUEUE = 0x2000 };

/* The sends and reads of all sockets pass here. */
static __always_inline bool is_read(int ret, int flags)
{
	return ret > 0 && !(flags & (MSG_PEEK | MSG_ERRQUEUE));
}

static __always_inline int socket_send_begins(struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (sk && sock_is_tcp(sk, true))
		send_begins(sk, true, false);
	return 0;
}

static __always_inline int socket_sent(struct socket *sock, __s64 ret)
{
	struct sock *sk = sock->sk;

	if (sk && sock_is_tcp(sk, true))
		send_ends(sk, ret, true, false);
	return 0;
}

static __always_inline int socket_read(struct socket *sock, __s64 ret, int flags)
{
	struct sock *sk = sock->sk;

	if (sk && is_read(ret, flags) && sock_is_tcp(sk, true))
		have_read(sk, ret, true, false);
	return 0;
}

SEC("fentry/inet_sendmsg")
int BPF_PROG(send__fentry, struct socket *sock)
{
	return socket_send_begins(sock);
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(send__fentry__end, struct socket *sock, void *msg, __u64 size, int ret)
{
	return socket_sent(sock, ret);
}

SEC("fentry/inet6_sendmsg")
OPTIONAL int BPF_PROG(send__fentry__v6, struct socket *sock)
{
	return socket_send_begins(sock);
}

SEC("fexit/inet6_sendmsg")
OPTIONAL int BPF_PROG(send__fentry__end6, struct socket *sock, void *msg, __u64 size, int ret)
{
	return socket_sent(sock, ret);
}

/* sendfile() and splice() to a socket, before 6.5; since then they are sends */
SEC("fentry/inet_sendpage")
OPTIONAL int BPF_PROG(send__fentry__page, struct socket *sock)
{
	return socket_send_begins(sock);
}

SEC("fexit/inet_sendpage")
OPTIONAL int BPF_PROG(send__fentry__page_end, struct socket *sock, void *page, int offset,
		      __u64 size, int flags, __s64 ret)
{
	return socket_sent(sock, ret);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(recv__fentry, struct socket *sock, void *msg, __u64 size, int flags, int ret)
{
	return socket_read(sock, ret, flags);
}

SEC("fexit/inet6_recvmsg")
OPTIONAL int BPF_PROG(recv__fentry__v6, struct socket *sock, void *msg, __u64 size, int flags,
		      int ret)
{
	return socket_read(sock, ret, flags);
}

SEC("fexit/tcp_splice_read")
OPTIONAL int BPF_PROG(recv__fentry__splice, struct socket *sock, void *ppos, void *pipe, __u64 len,
		      __u32 flags, __s64 ret)
{
	return socket_read(sock, ret, 0);
}

/* sk_stream_wait_memory() is called only where there is no room */
SEC("fentry/sk_stream_wait_memory")
OPTIONAL int BPF_PROG(send__fentry__wait, struct sock *sk)
{
	send_waits(sk);
	return 0;
}

/*
 * A kretprobe is out of places when some ten calls wait in it, as threads that read do. So both
 * are seen near their ends, where the sequence numbers have moved: each send that has handed something over
 * passes tcp_push(), each read tcp_cleanup_rbuf().
 */
SEC("kprobe/inet_sendmsg")
LOSES("what a redirect carries")
int BPF_KPROBE(send__kprobe, struct socket *sock)
{
	struct sock *sk = BPF_CORE_READ(sock, sk);

	if (sk && sock_is_tcp(sk, false))
		send_begins(sk, false, false);
	return 0;
}

SEC("kprobe/inet6_sendmsg")
OPTIONAL int BPF_KPROBE(send__kprobe__v6, struct socket *sock)
{
	struct sock *sk = BPF_CORE_READ(sock, sk);

	if (sk && sock_is_tcp(sk, false))
		send_begins(sk, false, false);
	return 0;
}

SEC("kprobe/tcp_push")
int BPF_KPROBE(send__kprobe__end, struct sock *sk)
{
	if (sock_is_tcp(sk, false))
		send_ends(sk, 0, false, true);
	return 0;
}

SEC("kprobe/sk_stream_wait_memory")
OPTIONAL int BPF_KPROBE(send__kprobe__wait, struct sock *sk)
{
	send_waits(sk);
	return 0;
}

SEC("tp_btf/sock_send_length")
LOSES("before 6.16: start_ns, ttfb_ns by the time that a send takes; pipelined, duplex")

int BPF_PROG(send__tp, struct sock *sk, int ret)
{
	if (sock_is_tcp(sk, true))
		send_ends(sk, ret, true, false);
	return 0;
}

SEC("tp_btf/tcp_sendmsg_locked")
OPTIONAL int BPF_PROG(send__tp__part, const struct sock *sk)
{
	send_begins(sk, true, true);
	return 0;
}

/* Who reads in a softirq, as sockmap does, is nobody's task: then no task owns the lock. */
SEC("kprobe/tcp_cleanup_rbuf")
int BPF_KPROBE(recv__kprobe, struct sock *sk, int copied)
{
	if (BPF_CORE_READ(sk, sk_lock.owned) && sock_is_tcp(sk, false))
		have_read(sk, copied > 0 ? copied : 0, false, true);
	return 0;
}

SEC("tp_btf/sock_recv_length")
LOSES("what is read by splice() through io_uring")
int BPF_PROG(recv__tp, struct sock *sk, int ret, int flags)
{
	if (is_read(ret, flags) && sock_is_tcp(sk, true))
		have_read(sk, ret, true, false);
	return 0;
}

/* Each skb that is read passes here; with splice() nothing else tells of it. */
SEC("tp_btf/tcp_rcv_space_adjust")
OPTIONAL int BPF_PROG(recv__tp__splice, struct sock *sk)
{
	if (in_splice())
		have_read(sk, 0, true, true);
	return 0;
}

/* Each segment passes here, before it is queued: most of them bring nothing that somebody waits for. */
SEC("tp_btf/tcp_probe")
OPTIONAL int BPF_PROG(arrive, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct turns *t;

	if (!tp || skb->len <= tp->tcp_header_len || tp->rcv_nxt != tp->copied_seq)
		return 0;
	t = turns_of(sk, true);
	if (!t)
		return 0;
	t->arrival_ns = bpf_ktime_get_ns();
	t->fresh = false;
	return 0;
}

/* By FIN or by RST: tcpclose tells more. A connection that timed out counts as reset. */
static __always_inline enum request_end how_closed(const struct sock *sk, int oldstate)
{
	struct sock_life *life = sock_life(sk);

	if (sk->sk_err || (life && life->rst_received))
		return REQUEST_END_RESET;
	switch (oldstate) {
	case TCP_LAST_ACK:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_TIME_WAIT:
		return REQUEST_END_CLOSED;
	}
	return REQUEST_END_RESET;
}

/* Who has sent his FIN first may still read what came before the other one: then it is told when the socket goes. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, const struct sock *sk, int oldstate, int newstate)
{
	__u64 key = (__u64)sk, now = bpf_ktime_get_ns();
	enum request_end ended;
	struct tcp_sock *tp;
	struct turns *t;
	struct seqs s;

	if (newstate != TCP_CLOSE || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	t = bpf_map_lookup_elem(&requests, &key);
	tp = bpf_skc_to_tcp_sock((void *)sk);
	if (!t || !tp || t->phase == PHASE_IDLE)
		return 0;
	read_seqs(&s, sk, tp, true);
	ended = how_closed(sk, oldstate);
	if (ended != REQUEST_END_CLOSED || t->ev.side != SIDE_CONNECT || !s.unread)
		tell(t, key, ended, now);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy, struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct turns *t = bpf_map_lookup_elem(&requests, &key);

	if (!t)
		return 0;
	tell(t, key, REQUEST_END_CLOSED, bpf_ktime_get_ns());
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

/* The engine runs this a few times in a second, and with 0 when nothing is attached any more. */
volatile __u64 sweep_after_ns = 500000000;

/* A copy: what is in the map may be changed by its tasks as soon as it is told. */
__u64 swept[sizeof(struct tcprequest_event) / sizeof(__u64)];

static __always_inline bool is_over(const struct turns *t, __u64 now)
{
	enum { STUCK_NS = 10000000000ULL };

	if (t->phase == PHASE_IDLE || t->told == t->ev.start_ns)
		return false;
	if (!sweep_after_ns)
		return true;
	if (t->sending_ns && since(now, t->sending_ns) < STUCK_NS)
		return false;
	return t->phase == PHASE_RESPONSE && since(now, t->last_ns) >= sweep_after_ns;
}

static __always_inline void sweep_one(struct turns *t, __u64 key, __u64 now)
{
	struct tcprequest_event *ev = (void *)swept;
	bool answered = t->phase == PHASE_RESPONSE;
	enum request_end ended = sweep_after_ns ? REQUEST_END_IDLE : REQUEST_END_DETACHED;
	__u64 last_ns = t->last_ns;

	*ev = t->ev;
	sum_up(t, ev);
	if (ended == REQUEST_END_IDLE)
		t->told_idle = ev->start_ns;
	if (!claim(t, key))
		return;
	is_told(t, ev);
	ev->duplex = t->duplex;
	finish(ev, answered, last_ns, ended, now);
	send(ev);
}

SEC("iter/bpf_map_elem")
int sweep_requests(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 now = bpf_ktime_get_ns(), *at = ctx->key, key;
	struct turns *t;

	if (!at || !ctx->value)
		return 0;
	key = *at;
	t = bpf_map_lookup_elem(&requests, &key); /* what the iterator gives may not be sent */
	if (!t)
		return 0;
	if (is_over(t, now))
		sweep_one(t, key, now);
	if (!sweep_after_ns)
		bpf_map_delete_elem(&requests, &key);
	return 0;
}
