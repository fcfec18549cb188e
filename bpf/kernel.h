/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * kernel.h - the part of the kernel's types that our programs read.
 *
 * Written down by hand instead of generated, so that a build needs neither kernel headers nor
 * the BTF of the build machine. Every struct carries preserve_access_index: the offsets below
 * mean nothing, libbpf puts in those of the kernel that runs. Only names and types must agree.
 * Helper ids and map types are user-space ABI and never change.
 */
#ifndef BPFNET_KERNEL_H
#define BPFNET_KERNEL_H

/* Makes <bpf/bpf_tracing.h> use the kernel's register names instead of user space's. */
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

enum { BPF_ANY, BPF_NOEXIST, BPF_EXIST };

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_SOCKHASH = 18,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1 << 10 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };

/* Only asked for by name with bpf_core_enum_value_exists(): is the helper there? */
enum bpf_func_id { BPF_FUNC_task_pt_regs = 175 };

enum { AF_INET = 2, AF_INET6 = 10 };
enum { IPPROTO_TCP = 6 };
enum { S_IFMT = 0170000, S_IFSOCK = 0140000 };
typedef enum { SS_FREE, SS_UNCONNECTED } socket_state;
enum { SOCK_DONE = 1 }; /* enum sock_flags: set by tcp_fin(), when a FIN has come in */

enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

enum {
	EINTR = 4,
	E2BIG = 7,
	EBUSY = 16,
	EISCONN = 106,
	ECONNABORTED = 103,
	ETIMEDOUT = 110,
	EALREADY = 114,
	EINPROGRESS = 115,
	ECANCELED = 125,
	ERESTARTSYS = 512,
	ERESTARTNOHAND = 514,
};

struct in_addr {
	__be32 s_addr;
};

struct in6_addr {
	union {
		__u8 s6_addr[16];
		__be32 s6_addr32[4];
		__u64 s6_addr64[2];
	};
};

/* Only events must be free of holes; these are the kernel's own layouts. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct net___before512 {
	atomic64_t net_cookie;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	unsigned long skc_flags;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

typedef struct {
	int owned;
} socket_lock_t;

struct kernfs_node {
	__u64 id;
};

struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct cgroup_subsys_state self;
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

/* Until 5.14 a pointer to the cgroup, unless a low bit said that it was something else. */
struct sock_cgroup_data___before515 {
	__u64 val;
};

struct socket;
struct socket_wq;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	__u16 sk_protocol;
	int sk_err;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	struct socket *sk_socket;
	struct socket_wq *sk_wq;
	void *sk_user_data;
	int sk_rcvlowat;
	int sk_peek_off;
	__u16 sk_tsflags; /* 32 bits since 6.7; these are the lower ones */
	__u8 sk_userlocks : 4;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
	__be16 inet_sport;
};

struct tcp_sock {
	__u8 repair : 1;
	__u8 recvmsg_inq : 1;
	bool is_mptcp;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 rcv_nxt;
	__u16 tcp_header_len;
	__u32 data_segs_in;
	__u32 data_segs_out;
	__u64 bytes_acked;
	__u32 segs_in;
	__u32 segs_out;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u32 srtt_us;
	__u32 total_retrans;
};

struct inet_connection_sock {
	const void *icsk_ulp_ops;
};

struct socket {
	socket_state state;
	struct file *file;
	struct sock *sk;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
	void *private_data;
	unsigned int f_flags;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct css_set {
	struct cgroup *dfl_cgrp; /* where the task is in the hierarchy of v2 */
};

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
	const struct cred *cred;
	struct files_struct *files;
	struct css_set *cgroups;
	unsigned int flags;
	__u64 start_time;
};

struct io_kiocb {
	__u8 opcode;
};

struct trace_event_raw_io_uring_complete {
	void *req;
	int res;
};

struct sockaddr;

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};
struct pt_regs {
	struct user_pt_regs user_regs;
	__u64 orig_x0;
};
#else
#error "kernel.h: write down struct pt_regs for this architecture"
#endif

#pragma clang attribute pop

/* What a syscalls:sys_enter_* program gets. */
struct syscall_enter_args {
	__u64 unused;
	int nr;
	__u64 args[6];
};

/* What a syscalls:sys_exit_* program gets; fixed since 4.7 (kernel/trace/trace_syscalls.c). */
struct syscall_exit_args {
	__u64 unused;
	int nr;
	long ret;
};

/* Context of an iter/task_file program: the members are pointers and a number, 8 bytes each. */
struct bpf_iter__task_file {
	void *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

/* Context of an iter/bpf_map_elem program. */
struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *map;
	void *key;
	void *value;
};

#pragma clang diagnostic pop

#endif
