/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sock.h - what every event about a TCP socket says, and how to read it from a struct sock.
 *
 * The socks object (socks.bpf.c) follows every TCP socket from its birth and keeps a struct
 * sock_life of it in the map `socks`. A probe that includes this file shares that map: it never
 * takes an owner from the task that happens to run.
 */
#ifndef BPFNET_SOCK_H
#define BPFNET_SOCK_H

#include "probe.h"
#include "addr.h"

enum family {
	FAMILY_IPV4 = AF_INET,
	FAMILY_IPV6 = AF_INET6,
} __attribute__((packed));

/* How the owner of a socket is known. */
enum owner {
	OWNER_UNKNOWN, /* never accepted, or the table of sockets was full */
	OWNER_CONNECT, /* the task that called connect() */
	OWNER_ACCEPT, /* the task that called accept() */
	OWNER_SCAN, /* a process that held a descriptor when tracing began */
	OWNER_TASK, /* not the owner: the task that sent or read (tcprequest) */
} __attribute__((packed));

enum side {
	SIDE_UNKNOWN, /* older than the tracer */
	SIDE_CONNECT,
	SIDE_ACCEPT,
} __attribute__((packed));

enum closed_by {
	CLOSED_BY_UNKNOWN,
	CLOSED_BY_LOCAL,
	CLOSED_BY_REMOTE,
	CLOSED_BY_KERNEL, /* neither: it timed out */
} __attribute__((packed));

struct sock_life {
	__u64 birth_ns; /* SYN sent or child made; 0: before the tracer came */
	__u64 established_ns; /* 0: not seen */
	__u64 cookie;
	__u64 task_cgroup; /* of the owner, when it became that; 0: unknown */
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__u32 closer_pid; /* who closed or shut it down first on this side */
	char comm[16];
	char closer_comm[16];
	enum owner owner;
	enum side side;
	enum closed_by closed_by; /* whose FIN or RST came first */
	bool rst_received;
	bool just_accepted; /* by the io_uring completion that is being traced */
	enum side older; /* what can be told of one whose side is unknown, because it was there before */
	__u8 zero[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* address of the struct sock, until tcp_destroy_sock */
	__type(value, struct sock_life);
} socks SEC(".maps");

static __always_inline struct sock_life *sock_life(const void *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&socks, &key);
}

/* The first fields of every socket event. */
struct conn {
	__u64 ts_ns DOC("time of the event, CLOCK_MONOTONIC");
	__u64 cookie DOC("the socket's cookie, as ss -e and SO_COOKIE show it");
	__u64 cgroup DOC("cgroup v2 id of the socket");
	__u64 task_cgroup DOC("cgroup v2 id of the process, when it got the socket; 0: unknown");
	__u64 netns_cookie DOC("the namespace's cookie, which is never used again; 0: unknown");
	struct in6_addr saddr DOC("address of this host's socket");
	struct in6_addr daddr DOC("address of the peer");
	__u32 pid DOC("process that owns the socket");
	__u32 tid DOC("thread that connected or accepted");
	__u32 uid DOC("user of that process");
	__u32 netns DOC("inode of the network namespace");
	__u32 cpu DOC("where the event happened");
	__u16 sport DOC("port of this host's socket");
	__u16 dport DOC("port of the peer");
	char comm[16] DOC("name of the owning process");
	enum family family DOC("ipv4 (v4-mapped too) or ipv6");
	enum owner owner DOC("how the owner is known");
	__u8 zero[6];
};

/* A TCP socket, for hooks that see other families too, whose protocol numbers mean other things. */
static __always_inline bool sock_is_tcp(const struct sock *sk, const bool trusted)
{
	__u16 family = GET(trusted, sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) &&
	       GET(trusted, sk, sk_protocol) == IPPROTO_TCP;
}

static __always_inline __u64 sock_cgroup(const struct sock *sk)
{
	const struct cgroup *cgrp;
	__u64 val;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		cgrp = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	} else {
		struct sock_cgroup_data___before515 *old = (void *)&sk->sk_cgrp_data;

		val = BPF_CORE_READ(old, val);
		cgrp = val & 1 ? NULL : (void *)(val & ~3ULL);
	}
	return cgrp ? BPF_CORE_READ(cgrp, kn, id) : 0;
}

/*
 * A namespace's number is used again soon after its end, the cookie never is. 5.10 makes one only for
 * who asks (net_gen_cookie()), in a member of another type.
 */
static __always_inline __u64 net_cookie(struct net *net)
{
	if (bpf_core_field_exists(net->net_cookie))
		return BPF_CORE_READ(net, net_cookie);
	return BPF_CORE_READ((struct net___before512 *)net, net_cookie.counter);
}

/* For kernels that can't give a tracing program the cookie: unique, in a range of its own. */
static __always_inline __u64 made_up_cookie(void)
{
	return 1ULL << 62 | (bpf_ktime_get_ns() & ((1ULL << 53) - 1)) << 8 |
	       (bpf_get_smp_processor_id() & 0xff);
}

/* Addresses, ports, namespace and cgroup of a socket; the caller knows the owner. */
static __always_inline void conn_from_sock(struct conn *c, const struct sock *sk,
					   const bool trusted)
{
	c->ts_ns = bpf_ktime_get_ns();
	c->cpu = bpf_get_smp_processor_id();
	c->cgroup = sock_cgroup(sk);
	c->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	c->netns_cookie = net_cookie(BPF_CORE_READ(sk, __sk_common.skc_net.net));
	/* not skc_num, which is 0 again when the state becomes TCP_CLOSE */
	c->sport = bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
	c->dport = bpf_ntohs(GET(trusted, sk, __sk_common.skc_dport));
	c->family = FAMILY_IPV4;
	if (GET(trusted, sk, __sk_common.skc_family) == AF_INET6 &&
	    bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
		BPF_CORE_READ_INTO(&c->saddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&c->daddr, sk, __sk_common.skc_v6_daddr);
		if (!is_mapped(&c->daddr))
			c->family = FAMILY_IPV6;
		return;
	}
	set_mapped(&c->saddr, GET(trusted, sk, __sk_common.skc_rcv_saddr));
	set_mapped(&c->daddr, GET(trusted, sk, __sk_common.skc_daddr));
}

static __always_inline void conn_owner(struct conn *c, const struct sock_life *life)
{
	__builtin_memset(c->zero, 0, sizeof(c->zero));
	if (!life) {
		c->cookie = c->task_cgroup = c->pid = c->tid = c->uid = 0;
		c->owner = OWNER_UNKNOWN;
		__builtin_memset(c->comm, 0, sizeof(c->comm));
		return;
	}
	c->cookie = life->cookie;
	c->task_cgroup = life->task_cgroup;
	c->pid = life->pid;
	c->tid = life->tid;
	c->uid = life->uid;
	c->owner = life->owner;
	__builtin_memcpy(c->comm, life->comm, sizeof(c->comm));
}

/* Only in a hook that surely runs in the task that makes the call. */
static __always_inline void conn_owner_current(struct conn *c, enum owner how)
{
	__u64 id = bpf_get_current_pid_tgid();

	__builtin_memset(c->zero, 0, sizeof(c->zero));
	c->pid = id >> 32;
	c->tid = id;
	c->uid = bpf_get_current_uid_gid();
	c->task_cgroup = bpf_get_current_cgroup_id();
	c->owner = how;
	bpf_get_current_comm(c->comm, sizeof(c->comm));
}

#endif
