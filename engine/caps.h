/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* caps.h - what this kernel and this user can do, found out by trying, each once and when asked. */
#ifndef BPFNET_CAPS_H
#define BPFNET_CAPS_H

#include <stdbool.h>
#include "err.h"

struct btf;

/* Can probes run at all? 0, or -EPERM / -ENOENT / -ENOSYS with what is missing and what to do. */
int caps_check(struct err *err);
/* fentry and fexit programs load here. */
bool caps_fentry(void);
/* kprobes can be attached here. */
bool caps_kprobe(void);
/* A kprobe program can be attached to many functions at once (5.18, CONFIG_FPROBE). */
bool caps_kprobe_multi(void);
/* bpf_get_attach_cookie() (5.15), and perf events that are attached by a link and bring one. */
bool caps_attach_cookie(void);
/* bpf_get_socket_cookie() from a tracing program (5.12). */
bool caps_cookie(void);
/* Atomic operations that give back what was there before (5.12). */
bool caps_fetch(void);
/* Hash maps may allocate in any context (bpf_mem_alloc, 6.1), so need not be preallocated. */
bool caps_map_alloc(void);
/*
 * Maps are charged to the memory cgroup (5.11), and not against RLIMIT_MEMLOCK, which a user without
 * CAP_SYS_RESOURCE then can't raise. 1 or 0; -EPERM if this process may not load the program that tells.
 */
int caps_memcg(void);
/* Directory of the kernel's trace events, as a descriptor for openat(); -errno if there is none. */
int caps_tracefs(void);
/* "CAP_BPF, CAP_PERFMON": those that tracing needs and this process lacks; "" if none. */
const char *caps_missing(void);
/* This process may attach programs to cgroups and sockets. */
bool caps_net_admin(void);

#endif
