/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* context.h - in what a program was called: the running task's own call, or an interrupt of it. */
#ifndef BPFNET_CONTEXT_H
#define BPFNET_CONTEXT_H

#include "probe.h"

enum context {
	CONTEXT_UNKNOWN, /* the kernel's symbols are hidden */
	CONTEXT_TASK,
	CONTEXT_SOFTIRQ,
	CONTEXT_HARDIRQ,
} __attribute__((packed));

/*
 * x86 keeps the count per CPU, in a variable of its own, which from 6.2 to 6.14 was a member of
 * pcpu_hot. The engine writes their places here; 0: not known.
 */
const volatile __u64 cfg_preempt_count = 0;
const volatile __u64 cfg_pcpu_hot = 0;
const volatile __u64 cfg_per_cpu_offset = 0; /* the array __per_cpu_offset[] */

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
struct pcpu_hot {
	int preempt_count;
} __attribute__((preserve_access_index));
/* arm64: the low half of a 64-bit member */
struct thread_info {
	__u64 preempt_count;
} __attribute__((preserve_access_index));
struct task_struct___thread {
	struct thread_info thread_info;
} __attribute__((preserve_access_index));
#pragma clang diagnostic pop

/* The layout of the count: include/linux/preempt.h */
#define SOFTIRQ_SERVING 0x100
#define HARDIRQ_OR_NMI  0xff0000

static __always_inline bool preempt_count(__u32 *count)
{
#if defined(__TARGET_ARCH_x86)
	__u64 at = cfg_preempt_count, base = 0;

	if (!at && cfg_pcpu_hot && bpf_core_field_exists(struct pcpu_hot, preempt_count))
		at = cfg_pcpu_hot + bpf_core_field_offset(struct pcpu_hot, preempt_count);
	if (!at || !cfg_per_cpu_offset)
		return false;
	bpf_probe_read_kernel(&base, sizeof(base),
			      (void *)(cfg_per_cpu_offset + 8ULL * bpf_get_smp_processor_id()));
	return !bpf_probe_read_kernel(count, sizeof(*count), (void *)(base + at));
#else
	struct task_struct___thread *task = (void *)bpf_get_current_task();

	*count = (__u32)BPF_CORE_READ(task, thread_info.preempt_count);
	return true;
#endif
}

static __always_inline enum context context(void)
{
	__u32 count = 0;

	if (!preempt_count(&count))
		return CONTEXT_UNKNOWN;
	if (count & HARDIRQ_OR_NMI)
		return CONTEXT_HARDIRQ;
	return count & SOFTIRQ_SERVING ? CONTEXT_SOFTIRQ : CONTEXT_TASK;
}

#endif
