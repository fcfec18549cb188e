/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* By descriptor, not through libbpf: what is attached is often not the program of the object. */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <bpf/bpf.h>
#include "attach.h"
#include "caps.h"
#include "util.h"

#define KPROBE_DIR "/sys/bus/event_source/devices/kprobe/"

/* The number that a file begins with, after `prefix`; -errno. */
static int read_number(int dir, const char *path, const char *prefix)
{
	char text[64] = "";
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && str_starts(text, prefix) ? atoi(text + strlen(prefix)) : -EIO;
}

/* An event's program runs from the event itself, on any CPU: CPU 0 stands for all. */
static int open_event(struct perf_event_attr *attr)
{
	int fd;

	attr->size = sizeof(*attr);
	attr->sample_period = 1;
	attr->wakeup_events = 1;
	fd = (int)syscall(SYS_perf_event_open, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Runs prog_fd at an event, which is closed if that fails. The event or -errno. */
static int use_event(int fd, int prog_fd)
{
	int rc;

	if (fd < 0)
		return fd;
	if (!ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd) && !ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* "category/name"; tracefs may be a mount that only we have. */
static int attach_tracepoint(int prog_fd, const char *event)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT };
	int dir = caps_tracefs(), id;
	char path[128];

	snprintf(path, sizeof(path), "events/%s/id", event);
	id = dir < 0 ? dir : read_number(dir, path, "");
	if (id < 0)
		return id;
	attr.config = (uint64_t)id;
	return use_event(open_event(&attr), prog_fd);
}

/* These don't change while the system runs. */
static int kprobe_type(void)
{
	static int type = -1;

	if (type < 0)
		type = read_number(AT_FDCWD, KPROBE_DIR "type", "");
	return type;
}

static int kprobe_return_bit(void)
{
	static int bit = -1;

	if (bit < 0)
		bit = read_number(AT_FDCWD, KPROBE_DIR "format/retprobe", "config:");
	return bit;
}

/* By address the kernel does not have to search its symbols, which takes some versions 10 ms. */
static int open_kprobe(const struct attach_kprobe *at)
{
	struct perf_event_attr attr = { 0 };
	int type = kprobe_type(), bit = at->at_return ? kprobe_return_bit() : 0;

	if (type < 0 || bit < 0)
		return type < 0 ? type : bit;
	attr.type = (uint32_t)type;
	attr.config = at->at_return ? 1ULL << bit : 0;
	attr.config1 = at->address ? 0 : (uint64_t)at->function;
	attr.config2 = at->address;
	return open_event(&attr);
}

int attach_kprobe(int prog_fd, const struct attach_kprobe *at, int *event, int *link)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = at->cookie);
	int rc = 0;

	*link = -1;
	*event = open_kprobe(at);
	if (*event >= 0 && !at->has_cookie)
		*event = use_event(*event, prog_fd);
	if (*event < 0 || !at->has_cookie)
		return *event < 0 ? *event : 0;
	*link = bpf_link_create(prog_fd, *event, BPF_PERF_EVENT, &opts);
	if (*link < 0)
		rc = *link;
	else if (ioctl(*event, PERF_EVENT_IOC_ENABLE, 0))
		rc = -errno;
	if (rc) {
		close_fd(link);
		close_fd(event);
	}
	return rc;
}

static int attach_tracing(int prog_fd, const char *target)
{
	int fd;

	(void)target; /* the program knows, since it was loaded */
	fd = bpf_raw_tracepoint_open(NULL, prog_fd);
	return fd < 0 ? -errno : fd;
}

/* A link holds its event, and counts what was missed; before 5.15 there is the event alone. */
static int attach_function(int prog_fd, const char *function, bool at_return)
{
	const struct attach_kprobe at = {
		.function = function,
		.at_return = at_return,
		.has_cookie = caps_attach_cookie(),
	};
	int event, link, rc = attach_kprobe(prog_fd, &at, &event, &link);

	if (rc || link < 0)
		return rc ? rc : event;
	close(event);
	return link;
}

static int attach_kprobe_enter(int prog_fd, const char *function)
{
	return attach_function(prog_fd, function, false);
}

static int attach_kprobe_return(int prog_fd, const char *function)
{
	return attach_function(prog_fd, function, true);
}

static bool has_tracefs(void)
{
	return caps_tracefs() >= 0;
}

static const char no_fentry[] = "this kernel refuses fentry and fexit programs";
static const char no_kprobe[] = "this kernel has no kprobes";
static const char no_tracefs[] = "no access to the trace events in tracefs";

static const struct kind {
	const char *prefix;
	int (*attach)(int prog_fd, const char *target);
	bool (*works)(void); /* NULL: only trying tells */
	const char *why_not;
} kinds[] = {
	{ "tp_btf/", attach_tracing, NULL, NULL },
	{ "fentry/", attach_tracing, caps_fentry, no_fentry },
	{ "fexit/", attach_tracing, caps_fentry, no_fentry },
	{ "tp/", attach_tracepoint, has_tracefs, no_tracefs },
	{ "kprobe/", attach_kprobe_enter, caps_kprobe, no_kprobe },
	{ "kretprobe/", attach_kprobe_return, caps_kprobe, no_kprobe },
};

static const struct kind *find_kind(const char *sec)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_starts(sec, kinds[i].prefix))
			return &kinds[i];
	return NULL;
}

/* struct bpf_link_info of 6.7, as far as it is wanted. */
struct event_info {
	uint32_t link_type, id, prog_id, pad;
	uint32_t event_type, pad2;
	uint64_t name;
	uint32_t name_len, offset;
	uint64_t address;
	uint64_t missed;
	uint64_t cookie;
};

#define LINK_TYPE_PERF_EVENT 7
#define PERF_EVENT_KPROBE    3
#define PERF_EVENT_KRETPROBE 4

uint64_t attach_missed(int fd)
{
	struct event_info info = { 0 };
	uint32_t size = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) ||
	    info.link_type != LINK_TYPE_PERF_EVENT ||
	    (info.event_type != PERF_EVENT_KPROBE && info.event_type != PERF_EVENT_KRETPROBE))
		return 0;
	return info.missed;
}

bool attach_knows(const char *sec)
{
	return find_kind(sec);
}

const char *attach_refusal(const char *sec)
{
	const struct kind *kind = find_kind(sec);

	return kind && kind->works && !kind->works() ? kind->why_not : NULL;
}

int attach_program(int prog_fd, const char *sec)
{
	const struct kind *kind = find_kind(sec);

	return kind ? kind->attach(prog_fd, sec + strlen(kind->prefix)) : -EOPNOTSUPP;
}
