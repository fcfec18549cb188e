// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * One event of 128 bytes and 12 fields for each getppid() of one process. The call's first argument, which the
 * kernel ignores, numbers the events, so that a reader can tell whether it got all of them.
 */
#include "probe.h"

#if defined(__TARGET_ARCH_x86)
#define NR_GETPPID      110
#define FIRST_ARG(regs) ((regs)->di)
#else
#define NR_GETPPID      173
#define FIRST_ARG(regs) ((regs)->user_regs.regs[0])
#endif

struct bench_event {
	__u64 ts_ns;
	__u64 latency_ns DOC("number of the event");
	__u64 tx_bytes;
	__u64 rx_bytes;
	__u64 cookie;
	struct in6_addr saddr;
	struct in6_addr daddr DOC("one of 32");
	__u32 pid;
	__u16 sport;
	__u16 dport DOC("one of 4");
	char comm[16];
	char peer_comm[16];
	__u8 zero[16];
};

PROBE_EVENTS(struct bench_event, "one event per getppid() of a process");

/* [0]: the process. An array is looked up without a call, a global can't be set from a script. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} writer SEC(".maps");

SEC("tp_btf/sys_enter")
int BPF_PROG(enter, const struct pt_regs *regs, long nr)
{
	__u32 zero = 0, tgid, *want;
	struct bench_event ev = {};
	__u64 n;

	if (nr != NR_GETPPID)
		return 0;
	want = bpf_map_lookup_elem(&writer, &zero);
	tgid = bpf_get_current_pid_tgid() >> 32;
	if (!want || tgid != *want)
		return 0;
#ifdef BENCH_EMPTY
	return 0;
#endif
	n = FIRST_ARG(regs);
	ev.ts_ns = bpf_ktime_get_ns();
	ev.latency_ns = n;
	ev.tx_bytes = n * 3;
	ev.rx_bytes = ev.ts_ns & 0xffffff;
	ev.cookie = n;
	ev.daddr.s6_addr32[2] = bpf_htonl(0xffff);
	ev.daddr.s6_addr32[3] = bpf_htonl(0x0a000001 + n % 32);
	ev.pid = tgid;
	ev.dport = 80 + n / 32 % 4;
	bpf_get_current_comm(ev.comm, sizeof(ev.comm));
#ifdef BENCH_FILTER
	/* as by hand: what `where` is compared with */
	if (!(BENCH_FILTER)) {
		COUNT(TALLY_FILTERED);
		return 0;
	}
#endif
	return event_send(&ev, sizeof(ev), ev.ts_ns);
}
