/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* redirect_sock.h - what the redirect has to know of a socket, read from the kernel's structs. */
#ifndef BPFNET_REDIRECT_SOCK_H
#define BPFNET_REDIRECT_SOCK_H

#include "addr.h"
#include "redirect.h"

#define O_NONBLOCK 04000

static __always_inline struct config *config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&configs, &zero);
}

static __always_inline struct totals *totals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

#define TALLY(what)                                                                                \
	do {                                                                                       \
		struct totals *all = totals();                                                     \
		if (all)                                                                           \
			__sync_fetch_and_add(&all->what, 1);                                       \
	} while (0)

static __always_inline bool is_on(const struct flow *flow)
{
	return flow->mode == MODE_ON || flow->mode == MODE_LEAVING;
}

static __always_inline bool is_going(const struct flow *flow)
{
	return flow->mode == MODE_LEAVING || flow->mode == MODE_PASSING;
}

static __always_inline bool is_inside(const struct flow *flow)
{
	return is_on(flow) || is_going(flow);
}

static __always_inline void set_tuple(struct tuple *t, const struct sock *sk)
{
	t->sport = bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
	t->dport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	t->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&t->saddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&t->daddr, sk, __sk_common.skc_v6_daddr);
		return;
	}
	set_mapped(&t->saddr, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	set_mapped(&t->daddr, BPF_CORE_READ(sk, __sk_common.skc_daddr));
}

/* 0: it is no process's */
static __always_inline __u64 sock_ino(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

static __always_inline void send_notice(struct notice *n)
{
	n->ts_ns = bpf_ktime_get_ns();
	if (bpf_ringbuf_output(&notices, n, sizeof(*n), 0))
		TALLY(lost_notices);
}

static __always_inline void notify(__u32 kind, __u32 why, __u64 cookie, __u64 peer,
				   const struct tuple *tuple)
{
	struct notice n = { .kind = kind, .why = why, .cookie = cookie, .peer = peer };

	n.tuple = *tuple;
	send_notice(&n);
}

static __always_inline void refuse(const struct sock *sk, __u32 why, __u64 cookie, __u64 peer)
{
	struct refusal refusal = { .peer = peer, .why = why };

	set_tuple(&refusal.tuple, sk);
	bpf_map_update_elem(&refused, &cookie, &refusal, BPF_ANY);
	TALLY(refused);
	notify(NOTICE_REFUSED, why, cookie, peer, &refusal.tuple);
}

static __always_inline bool is_loopback(const struct sock *sk)
{
	__u32 v4 = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	struct in6_addr v6;

	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		return (v4 & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	BPF_CORE_READ_INTO(&v6, sk, __sk_common.skc_v6_daddr);
	if (is_mapped(&v6))
		return (v6.s6_addr32[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !v6.s6_addr64[0] && !v6.s6_addr32[2] && v6.s6_addr32[3] == bpf_htonl(1);
}

/*
 * Options that tcp_bpf_recvmsg() or tcp_bpf_sendmsg() do not know, or know differently. Here and below
 * trusted says that the verifier knows the pointer, so that no helper has to read.
 */
static __always_inline bool has_odd_options(const struct tcp_sock *tp, const bool trusted)
{
	const struct sock *sk = (const void *)tp;
	unsigned long flags = GET(trusted, sk, __sk_common.skc_flags), odd = 0;

	odd |= 1UL << bpf_core_enum_value(enum sock_flags___redirect, SOCK_URGINLINE);
	odd |= 1UL << bpf_core_enum_value(enum sock_flags___redirect, SOCK_RCVTSTAMP);
	odd |= 1UL << bpf_core_enum_value(enum sock_flags___redirect, SOCK_ZEROCOPY);
	return flags & odd || GET(trusted, sk, sk_rcvlowat) > 1 ||
	       GET(trusted, sk, sk_peek_off) >= 0 || GET(trusted, sk, sk_tsflags);
}

/* Pointers are always read through the helper: the verifier takes long over them otherwise. */
static __always_inline bool is_blocking(const struct sock *sk)
{
	return !(BPF_CORE_READ(sk, sk_socket, file, f_flags) & O_NONBLOCK);
}

static __always_inline bool has_ulp(const struct tcp_sock *tp)
{
	return BPF_CORE_READ((const struct inet_connection_sock *)tp, icsk_ulp_ops);
}

/* May this socket be in a sockmap without its process noticing? WHY_NONE: yes. */
static __always_inline enum why unfit(const struct tcp_sock *tp, const struct config *cfg)
{
	const struct sock *sk = (const void *)tp;

	if (has_ulp(tp) || (bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp)))
		return WHY_ULP;
	if (!BPF_CORE_READ(sk, sk_socket, file))
		return WHY_NO_FILE;
	if (BPF_CORE_READ_BITFIELD_PROBED(tp, repair) ||
	    BPF_CORE_READ_BITFIELD_PROBED(tp, recvmsg_inq))
		return WHY_OPTION;
	if (!cfg->blocking && is_blocking(sk))
		return WHY_BLOCKING;
	return has_odd_options(tp, false) ? WHY_OPTION : WHY_NONE;
}

static __always_inline const struct sk_psock *psock_of(const struct sock *sk)
{
	/* the low bits are flags, SK_USER_DATA_* */
	return (const void *)((__u64)BPF_CORE_READ(sk, sk_user_data) & ~7ULL);
}

/* Nothing that was redirected waits to be read. */
static __always_inline bool queue_is_empty(const struct sock *sk)
{
	const struct sk_psock *psock = psock_of(sk);
	const void *head = __builtin_preserve_access_index(&psock->ingress_msg);

	/* none: it is out of the map, or being closed */
	return !psock || BPF_CORE_READ(psock, ingress_msg.next) == head;
}

#define MAX_WAITERS 16

/*
 * How many tasks sleep in a receive or send call on the socket; those in poll() or epoll_wait() do not
 * count. MAX_WAITERS: too many to tell. A function of its own, which the verifier checks once.
 */
__noinline int count_sleepers(__u64 socket, __u64 sleep_function)
{
	const struct sock *sk = (const void *)socket;
	const struct socket_wq *wq = BPF_CORE_READ(sk, sk_wq);
	const struct list_head *head = __builtin_preserve_access_index(&wq->wait.head), *at;
	const struct wait_queue_entry *entry = NULL;
	const __u64 offset = (__u64)__builtin_preserve_access_index(&entry->entry);
	int n = 0;

	if (!wq)
		return MAX_WAITERS;
	at = BPF_CORE_READ(head, next);
	for (int i = 0; i < MAX_WAITERS; i++) {
		if (!at || at == head)
			return n;
		entry = (const void *)at - offset;
		n += (__u64)BPF_CORE_READ(entry, func) == sleep_function;
		at = BPF_CORE_READ(at, next);
	}
	return MAX_WAITERS;
}

/* Non-blocking sockets have none, and if they are all that are taken nobody looks up the function. */
static __always_inline int sleepers(const struct sock *sk, const struct config *cfg)
{
	return cfg->sleep_function ? count_sleepers((__u64)sk, cfg->sleep_function) : 0;
}

/*
 * No call is under way on the socket that may still put a message into the other end's queue: each
 * holds a reference to the psock, beside the map's own. Sleepers hold one too, but have decided
 * nothing: a receiver never does, and a sender that wakes up asks the program anew.
 */
static __always_inline bool is_quiet(const struct sock *sk, const struct config *cfg)
{
	const struct sk_psock *psock = psock_of(sk);
	int refs = BPF_CORE_READ(psock, refcnt.refs.counter), asleep = sleepers(sk, cfg);

	return asleep < MAX_WAITERS && refs - asleep <= 1;
}

#endif
