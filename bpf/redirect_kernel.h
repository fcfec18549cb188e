/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_kernel.h - the kernel's types that only the redirect reads, written down by hand as in
 * kernel.h, and the contexts of its programs, which are user-space ABI.
 */
#ifndef BPFNET_REDIRECT_KERNEL_H
#define BPFNET_REDIRECT_KERNEL_H

#include "kernel.h"

enum { SK_DROP, SK_PASS };
enum { BPF_F_INGRESS = 1 };
enum { SOL_SOCKET = 1, SO_RCVLOWAT = 18 };
enum { BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };

/* What a sockops program is called for, and the flags that ask for it. */
enum {
	BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4,
	BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5,
	BPF_SOCK_OPS_STATE_CB = 10,
	BPF_SOCK_OPS_RTT_CB = 12,
};
enum {
	BPF_SOCK_OPS_STATE_CB_FLAG = 4,
	BPF_SOCK_OPS_RTT_CB_FLAG = 8,
};

struct bpf_sock;

struct bpf_sock_ops {
	__u32 op;
	__u32 args[4];
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 is_fullsock;
	__u32 snd_cwnd;
	__u32 srtt_us;
	__u32 bpf_sock_ops_cb_flags;
	__u32 not_read[20];
	__u64 bytes_received;
	__u64 bytes_acked;
	struct bpf_sock *sk;
};

struct sk_msg_md {
	void *data;
	void *data_end;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 size;
	struct bpf_sock *sk;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	__u32 uid;
	__u32 zero;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	void *map;
	struct sock *sk;
	void *value;
};

/* Only asked for by name: the kernel's own numbers are put in. */
enum sock_flags___redirect {
	SOCK_URGINLINE = 2,
	SOCK_RCVTSTAMP = 11,
	SOCK_ZEROCOPY = 18,
};

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	atomic_t refs;
} refcount_t;

struct list_head {
	struct list_head *next;
};

struct sk_psock {
	struct list_head ingress_msg;
	refcount_t refcnt;
};

struct wait_queue_entry {
	void *func;
	struct list_head entry;
};

struct wait_queue_head {
	struct list_head head;
};

struct socket_wq {
	struct wait_queue_head wait;
};

#pragma clang attribute pop
#pragma clang diagnostic pop

#endif
