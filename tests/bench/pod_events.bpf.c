// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* An event with the fields of a socket's for each getppid() of one process, which passes the filters. */
#include "filter.h"

#if defined(__TARGET_ARCH_x86)
#define NR_GETPPID 110
#else
#define NR_GETPPID 173
#endif

struct pod_bench_event {
	struct conn;
	__u64 n DOC("number of the event");
};

PROBE_EVENTS(struct pod_bench_event, "one event per getppid() of a process");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} writer SEC(".maps");

SEC("tp_btf/sys_enter")
int BPF_PROG(enter, const struct pt_regs *regs, long nr)
{
	__u32 zero = 0, *want;
	struct pod_bench_event ev = {};
	struct conn *c = (struct conn *)&ev;

	if (nr != NR_GETPPID)
		return 0;
	want = bpf_map_lookup_elem(&writer, &zero);
	conn_owner_current(c, OWNER_CONNECT);
	if (!want || c->pid != *want)
		return 0;
	c->ts_ns = bpf_ktime_get_ns();
	c->cgroup = c->task_cgroup;
	c->dport = 80;
	set_mapped(&c->daddr, bpf_htonl(0x0a000001));
	if (!filter_passes(c))
		return 0;
	ev.n = 1;
	return event_send(&ev, sizeof(ev), c->ts_ns);
}
