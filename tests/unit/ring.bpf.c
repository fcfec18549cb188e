/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What test_ring.c runs, by BPF_PROG_TEST_RUN: writers of records, with bpf/probe.h's own calls. */
/* no engine puts a stage into these: every event is sent */
#define STAGE_MARK "0"
#include "probe.h"

#define MAX_SIZE 256

struct ring_event {
	__u64 words[MAX_SIZE / 8];
};

PROBE_EVENTS(struct ring_event, "a record of test_ring.c");

/* args: probe number, sequence number, bytes of the record with its header */
SEC("raw_tp")
int push(__u64 *args)
{
	__u64 record[MAX_SIZE / 8], size = args[2];

	for (int i = 0; i < MAX_SIZE / 8; i++)
		record[i] = args[1] + i;
	record[0] = args[0];
	if (size > MAX_SIZE)
		size = MAX_SIZE;
	return (int)bpf_ringbuf_output(&events, record, size, BPF_RB_NO_WAKEUP);
}

SEC("raw_tp")
int discard(__u64 *args)
{
	__u64 *record = bpf_ringbuf_reserve(&events, 48, 0);

	if (!record)
		return -1;
	record[0] = args[0];
	bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* args: ignored, first word; wakes the reader when bpf/probe.h thinks so */
SEC("raw_tp")
int submit(__u64 *args)
{
	struct ring_event ev;

	for (int i = 0; i < MAX_SIZE / 8; i++)
		ev.words[i] = args[1] + i;
	return event_send(&ev, sizeof(ev), bpf_ktime_get_ns());
}
