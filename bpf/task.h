/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* task.h - from the running task to its system call's arguments and its descriptors. */
#ifndef BPFNET_TASK_H
#define BPFNET_TASK_H

#include "sock.h"

/* True if bpf_task_pt_regs() is there (5.15): a system call's arguments can be read at its exit. */
#define HAVE_TASK_REGS bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)

/* First and second argument of the system call that the current task is in. */
static __always_inline bool syscall_args(__u64 *arg1, __u64 *arg2)
{
	struct task_struct *task;
	struct pt_regs *regs;

	if (!HAVE_TASK_REGS)
		return false;
	task = (void *)bpf_get_current_task_btf();
	regs = (void *)bpf_task_pt_regs((void *)task);
#if defined(__TARGET_ARCH_x86)
	*arg1 = BPF_CORE_READ(regs, di);
	*arg2 = BPF_CORE_READ(regs, si);
#else
	/* x0 already holds the result when the call returns */
	*arg1 = BPF_CORE_READ(regs, orig_x0);
	*arg2 = BPF_CORE_READ(regs, user_regs.regs[1]);
#endif
	return true;
}

/* Is the current task in splice()? False where that can't be told (before 5.15). */
static __always_inline bool in_splice(void)
{
	struct task_struct *task;
	struct pt_regs *regs;

	if (!HAVE_TASK_REGS)
		return false;
	task = (void *)bpf_get_current_task_btf();
	regs = (void *)bpf_task_pt_regs((void *)task);
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(regs, orig_ax) == 275;
#else
	return BPF_CORE_READ(regs, user_regs.regs[8]) == 76;
#endif
}

/* The TCP socket in a file, or NULL. The pointer is not trusted: read through BPF_CORE_READ. */
static __always_inline struct sock *sock_of_file(struct file *file)
{
	struct socket *sock;
	struct sock *sk;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	sock = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(sock, sk);
	return sk && sock_is_tcp(sk, false) ? sk : NULL;
}

/* The TCP socket behind a descriptor of the current task, or NULL. */
static __always_inline struct sock *sock_of_fd(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **slot, *file = NULL;

	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	slot = BPF_CORE_READ(fdt, fd) + fd;
	bpf_probe_read_kernel(&file, sizeof(file), slot);
	return sock_of_file(file);
}

/*
 * The socket that a finished io_uring request may have accepted, or NULL. A multishot request's
 * results come without the request, so the descriptor alone has to tell.
 */
static __always_inline struct sock *sock_of_uring(struct trace_event_raw_io_uring_complete *args)
{
	enum { IORING_OP_ACCEPT = 13 };
	int res = args->res;

	if (res < 0)
		return NULL;
	if (bpf_core_field_exists(args->req)) {
		struct io_kiocb *req = args->req;

		if (req && BPF_CORE_READ(req, opcode) != IORING_OP_ACCEPT)
			return NULL;
	}
	return sock_of_fd(res);
}

#endif
