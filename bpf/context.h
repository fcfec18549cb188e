/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* context.h - in what a program was called: the running task's own call, or an interrupt of it. */
#ifndef BPFNET_CONTEXT_H
#define BPFNET_CONTEXT_H

#include "probe.h"

enum context {
	CONTEXT_UNKNOWN,
	CONTEXT_TASK,
	CONTEXT_SOFTIRQ,
	CONTEXT_HARDIRQ,
} __attribute__((packed));

/*
 * x86 keeps the count per CPU, in a variable of its own, which from 6.2 to 6.14 was a member of
 * pcpu_hot. Where such variables are says BTF (the engine writes it here, 0: there is none), but
 * not where this CPU's own area begins; another of them does that can be found from the task.
 */
const volatile __u64 cfg_preempt_count = 0;
const volatile __u64 cfg_pcpu_hot = 0;
const volatile __u64 cfg_runqueues = 0;

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pcpu_hot {
	int preempt_count;
};

struct cfs_rq {
	void *rq; /* the CPU's entry of runqueues */
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
};

/* arm64: the low half of a 64-bit member */
struct thread_info {
	__u64 preempt_count;
};

struct task_struct___sched {
	struct thread_info thread_info;
	struct sched_entity se;
};

#pragma clang attribute pop
#pragma clang diagnostic pop

/* The layout of the count: include/linux/preempt.h */
#define SOFTIRQ_SERVING 0x100
#define HARDIRQ_OR_NMI  0xff0000

#if defined(__TARGET_ARCH_x86)
#define CONTEXT_CPUS 256

__u64 cpu_areas[CONTEXT_CPUS]; /* where each CPU's own area begins; 0: not found yet */

/* The way there from the task takes reads; it never changes. 0: not found. */
static __always_inline __u64 cpu_area(const struct task_struct___sched *task)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u64 area, rq;

	area = cpu_areas[cpu & (CONTEXT_CPUS - 1)];
	if (area && cpu < CONTEXT_CPUS)
		return area;
	rq = (__u64)BPF_CORE_READ(task, se.cfs_rq, rq);
	area = rq ? rq - cfg_runqueues : 0;
	if (cpu < CONTEXT_CPUS)
		cpu_areas[cpu & (CONTEXT_CPUS - 1)] = area;
	return area;
}
#endif

static __always_inline bool preempt_count(__u32 *count)
{
	struct task_struct___sched *task = (void *)bpf_get_current_task();
#if defined(__TARGET_ARCH_x86)
	__u64 at = cfg_preempt_count, area;

	if (!at && cfg_pcpu_hot && bpf_core_field_exists(struct pcpu_hot, preempt_count))
		at = cfg_pcpu_hot + bpf_core_field_offset(struct pcpu_hot, preempt_count);
	if (!at || !cfg_runqueues || !bpf_core_field_exists(task->se.cfs_rq))
		return false;
	area = cpu_area(task);
	return area && !bpf_probe_read_kernel(count, sizeof(*count), (void *)(area + at));
#else
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
