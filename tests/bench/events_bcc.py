# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""events_bcc.py perf|ring PID: tests/bench/events.bpf.c as a BCC tool, whose callback counts and adds
up by three keys. Prints `events N sum N lost N` when it is interrupted."""
import ctypes
import platform
import signal
import sys

from bcc import BPF

TEXT = """
#include <uapi/linux/ptrace.h>
struct event {
	u64 ts_ns, latency_ns, tx_bytes, rx_bytes, cookie, saddr[2], daddr[2];
	u32 pid;
	u16 sport, dport;
	char comm[16], peer_comm[16], zero[16];
};
OUTPUT
RAW_TRACEPOINT_PROBE(sys_enter)
{
	struct pt_regs *regs = (void *)ctx->args[0];
	struct event ev = {};
	u64 n;

	if (ctx->args[1] != NR || bpf_get_current_pid_tgid() >> 32 != PID)
		return 0;
	bpf_probe_read_kernel(&n, sizeof(n), &FIRST_ARG);
	ev.ts_ns = bpf_ktime_get_ns();
	ev.latency_ns = n;
	ev.tx_bytes = n * 3;
	ev.cookie = n;
	ev.daddr[1] = 0xa000001 + n % 32;
	ev.pid = PID;
	ev.dport = 80 + n / 32 % 4;
	bpf_get_current_comm(ev.comm, sizeof(ev.comm));
	SEND
	return 0;
}
"""

perf = sys.argv[1] == "perf"
x86 = platform.machine() == "x86_64"
bpf = BPF(text=TEXT
          .replace("OUTPUT", "BPF_PERF_OUTPUT(events);" if perf else "BPF_RINGBUF_OUTPUT(events, 2048);")
          .replace("SEND", "events.perf_submit(ctx, &ev, sizeof(ev));" if perf
                   else "events.ringbuf_output(&ev, sizeof(ev), 0);")
          .replace("NR", "110" if x86 else "173")
          .replace("FIRST_ARG", "regs->di" if x86 else "regs->regs[0]")
          .replace("PID", sys.argv[2]))
seen = total = lost = 0
sums = {}


def on_event(cpu, data, size):
    global seen, total
    ev = bpf["events"].event(data)
    key = ev.comm, tuple(ev.daddr), ev.dport
    entry = sums.get(key)
    if entry is None:
        entry = sums[key] = [0, 0]
    entry[0] += 1
    entry[1] += ev.latency_ns
    seen += 1
    total += ev.latency_ns


def on_lost(count):
    global lost
    lost += count


def stop(*_):
    global ended
    ended = True  # an exception would be lost in a callback


ended = False
signal.signal(signal.SIGINT, stop)
if perf:
    bpf["events"].open_perf_buffer(on_event, page_cnt=64, lost_cb=on_lost)
    poll = bpf.perf_buffer_poll
else:
    bpf["events"].open_ring_buffer(on_event)
    poll = bpf.ring_buffer_poll
while not ended:
    poll(200)
print(f"events {seen} sum {total} lost {lost}")
