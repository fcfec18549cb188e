/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * cgroups - one event for each directory that is made or removed in the tree of cgroup v2.
 *
 * The kernel makes the directory visible after the tracepoint, so the event stands in the ring before
 * any event of what runs in it. In that tree nothing can be renamed.
 */
#include "probe.h"
#include "addr.h"

/*
 * Half of the kernel's own buffer: the longest that runtimes make, containers within containers of systemd, have
 * some 320 bytes, and what comes in bursts must fit into the ring.
 */
#define PATH 512

enum op {
	OP_MADE,
	OP_REMOVED,
} __attribute__((packed));

struct cgroups_event {
	__u64 ts_ns DOC("time of the event, CLOCK_MONOTONIC");
	__u64 cgroup DOC("cgroup v2 id of the directory");
	__u64 parent DOC("cgroup v2 id of the directory that it is in");
	__u32 level DOC("how many directories it is below the root");
	__u32 pid DOC("process that made or removed it");
	__u32 cpu DOC("where the event happened");
	enum op op DOC("made or removed");
	__u8 zero[3];
	char path[PATH] DOC(
		"its path from the root of the tree; the end is missing above 511 bytes");
};

PROBE_EVENTS(struct cgroups_event, "one event per cgroup v2 directory made or removed");

/*
 * One entry is enough: the kernel writes the path into a buffer that it has once, and keeps a lock
 * with interrupts off (trace_cgroup_path_lock) until the tracepoint is done.
 */
struct scratch {
	struct event_hdr hdr;
	struct cgroups_event ev;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

static __always_inline int send(const struct cgroup *cgrp, const char *path, enum op op)
{
	const struct cgroup *parent;
	__u32 zero = 0;
	struct scratch *s;
	struct cgroups_event *ev;

	/* cgroup v1 has the same tracepoints; the tree of v2 is number 0. */
	if (BPF_CORE_READ(cgrp, root, hierarchy_id))
		return 0;
	s = bpf_map_lookup_elem(&scratch, &zero);
	if (!s)
		return 0;
	ev = &s->ev;
	ev->ts_ns = bpf_ktime_get_ns();
	ev->cgroup = BPF_CORE_READ(cgrp, kn, id);
	/* `self` is the first member: where the parent's is, the parent is */
	parent = (const void *)BPF_CORE_READ(cgrp, self.parent);
	ev->parent = BPF_CORE_READ(parent, kn, id);
	ev->level = BPF_CORE_READ(cgrp, level);
	ev->pid = bpf_get_current_pid_tgid() >> 32;
	ev->cpu = bpf_get_smp_processor_id();
	ev->op = op;
	bpf_probe_read_kernel_str(ev->path, sizeof(ev->path), path);
	/* a container's files may be gone in some ten milliseconds, and with them its name */
	return event_send_at_once(&s->hdr, sizeof(*ev));
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(made, const struct cgroup *cgrp, const char *path)
{
	return send(cgrp, path, OP_MADE);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(removed, const struct cgroup *cgrp, const char *path)
{
	return send(cgrp, path, OP_REMOVED);
}
