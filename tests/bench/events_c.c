// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * events_c OBJECT PID: a reader of tests/bench/events.bpf.c with nothing but libbpf. It adds one
 * number up, and looks by itself every 2 ms, so that no program ever has to wake it: what can be
 * had at best. Prints `events N sum N lost N` when it is interrupted.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING (8 << 20)

struct event_hdr {
	uint32_t probe, zero;
};

struct wakeup {
	uint64_t until_ns;
	uint64_t gap_ns;
	uint64_t full_bytes;
	uint64_t rest[13];
};

static volatile sig_atomic_t ended;
static uint64_t events, sum;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static int on_event(void *arg, void *data, size_t size)
{
	const uint64_t *words = data;

	(void)arg;
	(void)size;
	events++;
	sum += words[sizeof(struct event_hdr) / 8 + 1]; /* latency_ns */
	return 0;
}

static int map_fd(struct bpf_object *obj, const char *name)
{
	return bpf_object__find_map_fd_by_name(obj, name);
}

int main(int argc, char **argv)
{
	struct wakeup never = { .until_ns = INT64_MAX, .full_bytes = RING };
	struct bpf_object *obj = argc == 3 ? bpf_object__open_file(argv[1], NULL) : NULL;
	struct ring_buffer *ring;
	uint32_t zero = 0, pid;

	if (!obj)
		return 2;
	pid = (uint32_t)atoi(argv[2]);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "events"), RING);
	if (bpf_object__load(obj) || bpf_map_update_elem(map_fd(obj, "writer"), &zero, &pid, 0) ||
	    bpf_map_update_elem(map_fd(obj, "wakeups"), &zero, &never, 0) ||
	    !bpf_program__attach(bpf_object__find_program_by_name(obj, "enter")))
		return 1;
	ring = ring_buffer__new(map_fd(obj, "events"), on_event, NULL, NULL);
	if (!ring)
		return 1;
	signal(SIGINT, on_signal);
	while (!ended) {
		usleep(2000);
		ring_buffer__consume(ring);
	}
	printf("events %llu sum %llu\n", (unsigned long long)events, (unsigned long long)sum);
	return 0;
}
