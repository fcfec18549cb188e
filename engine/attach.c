/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <bpf/libbpf.h>
#include "attach.h"
#include "caps.h"
#include "util.h"

/* The number of trace event "category/name", or -errno. */
static int event_id(const char *event)
{
	char path[128], text[24] = "";
	int dir = caps_tracefs(), fd;
	ssize_t n;

	if (dir < 0)
		return dir;
	snprintf(path, sizeof(path), "events/%s/id", event);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? atoi(text) : -EIO;
}

/*
 * As bpf_program__attach_tracepoint(), which looks for tracefs only where it is usually mounted;
 * ours may be a mount that only we have.
 */
static int attach_tracepoint(struct bpf_link **link, struct bpf_program *prog, const char *event)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.wakeup_events = 1,
	};
	int id = event_id(event), fd;

	if (id < 0)
		return id;
	attr.config = (uint64_t)id;
	/* CPU 0 stands for all: the program runs from the event itself, on any CPU. */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	*link = bpf_program__attach_perf_event(prog, fd);
	if (*link)
		return 0;
	id = -errno;
	close(fd);
	return id;
}

int attach_program(struct bpf_link **link, struct bpf_program *prog)
{
	const char *sec = bpf_program__section_name(prog);

	if (str_starts(sec, "tp/"))
		return attach_tracepoint(link, prog, sec + strlen("tp/"));
	if (str_starts(sec, "tp_btf/") || str_starts(sec, "fentry/") || str_starts(sec, "fexit/"))
		*link = bpf_program__attach_trace(prog);
	else
		*link = bpf_program__attach(prog);
	return *link ? 0 : -errno;
}
