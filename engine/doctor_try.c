/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btf.h>
#include <stdio.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "attach.h"
#include "cgroup.h"
#include "doctor_try.h"
#include "kbtf.h"
#include "util.h"

#define FUNCTION "tcp_set_state" /* in every kernel, and seldom called */

/* What iterators and all that traces return, and what sockops and sk_msg do when all is well. */
enum { NOTHING = 0, PASS = 1 };

static int load(enum bpf_prog_type type, enum bpf_attach_type attach, int btf_id, int verdict)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach,
		    .attach_btf_id = (uint32_t)btf_id);
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(type, "try", "GPL", insns, ARRAY_SIZE(insns), &opts);

	return fd < 0 ? -errno : fd;
}

static int load_tracing(enum bpf_attach_type attach, const char *target, int kind)
{
	int id = kbtf_find(target, kind);

	return id < 0 ? id : load(BPF_PROG_TYPE_TRACING, attach, id, NOTHING);
}

static int try_tracing(enum bpf_attach_type attach, const char *target, int kind)
{
	int prog = load_tracing(attach, target, kind);

	return prog < 0 ? prog : bpf_raw_tracepoint_open(NULL, prog);
}

static int try_tp_btf(void)
{
	return try_tracing(BPF_TRACE_RAW_TP, "btf_trace_tcp_destroy_sock", BTF_KIND_TYPEDEF);
}

static int try_fentry(void)
{
	return try_tracing(BPF_TRACE_FENTRY, FUNCTION, BTF_KIND_FUNC);
}

static int try_fexit(void)
{
	return try_tracing(BPF_TRACE_FEXIT, FUNCTION, BTF_KIND_FUNC);
}

static int try_section(enum bpf_prog_type type, const char *sec)
{
	int prog = load(type, 0, 0, NOTHING);

	return prog < 0 ? prog : attach_program(prog, sec);
}

static int try_tracepoint(void)
{
	return try_section(BPF_PROG_TYPE_TRACEPOINT, "tp/sock/inet_sock_set_state");
}

static int try_syscall(void)
{
	return try_section(BPF_PROG_TYPE_TRACEPOINT, "tp/syscalls/sys_exit_accept4");
}

static int try_kprobe(void)
{
	return try_section(BPF_PROG_TYPE_KPROBE, "kprobe/" FUNCTION);
}

static int try_kretprobe(void)
{
	return try_section(BPF_PROG_TYPE_KPROBE, "kretprobe/" FUNCTION);
}

static int try_multi(void)
{
	const char *names[] = { FUNCTION };
	LIBBPF_OPTS(bpf_link_create_opts, opts, .kprobe_multi.cnt = 1, .kprobe_multi.syms = names);
	int prog = load(BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI, 0, NOTHING);

	return prog < 0 ? prog : bpf_link_create(prog, 0, BPF_TRACE_KPROBE_MULTI, &opts);
}

static int try_cookie(void)
{
	const struct attach_kprobe at = { .function = FUNCTION, .has_cookie = true, .cookie = 1 };
	int prog = load(BPF_PROG_TYPE_KPROBE, 0, 0, NOTHING), event, link;

	return prog < 0 ? prog : attach_kprobe(prog, &at, &event, &link);
}

static int try_iterator(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	int prog = load_tracing(BPF_TRACE_ITER, "bpf_iter_task_file", BTF_KIND_FUNC);

	return prog < 0 ? prog : bpf_link_create(prog, 0, BPF_TRACE_ITER, &opts);
}

static int try_ring(void)
{
	return bpf_map_create(BPF_MAP_TYPE_RINGBUF, "try", 0, 0, (uint32_t)getpagesize(), NULL);
}

/* Our own cgroup, or if it is not to be seen in the mount, the mount's top; a descriptor or -errno. */
static int open_cgroup(void)
{
	const char *root = cgroup_root();
	char line[PATH_MAX], path[PATH_MAX * 2];
	FILE *f = root ? fopen("/proc/self/cgroup", "re") : NULL;
	int fd = -1;

	if (!root)
		return -ENOENT;
	while (f && fd < 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!str_starts(line, "0::"))
			continue;
		snprintf(path, sizeof(path), "%s%s", root, line + 3);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (f)
		fclose(f);
	if (fd < 0)
		fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int try_sockops(void)
{
	int prog = load(BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, 0, PASS);
	int cgroup = prog < 0 ? prog : open_cgroup();

	return cgroup < 0 ? cgroup : bpf_link_create(prog, cgroup, BPF_CGROUP_SOCK_OPS, NULL);
}

static int try_sk_msg(void)
{
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "try", sizeof(uint64_t), sizeof(uint64_t),
				 1, NULL);
	int prog = map < 0 ? -errno : load(BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT, 0, PASS);

	return prog < 0 ? prog : bpf_prog_attach(prog, map, BPF_SK_MSG_VERDICT, 0);
}

static const struct {
	const char *name;
	int (*try)(void);
} ways[] = {
	{ "ringbuf", try_ring },          { "tp_btf", try_tp_btf },
	{ "tracepoint", try_tracepoint }, { "syscall", try_syscall },
	{ "fentry", try_fentry },         { "fexit", try_fexit },
	{ "kprobe", try_kprobe },         { "kretprobe", try_kretprobe },
	{ "kprobe.multi", try_multi },    { "attach cookie", try_cookie },
	{ "iterator", try_iterator },     { "sockops", try_sockops },
	{ "sk_msg", try_sk_msg },
};

const char *doctor_way(int i)
{
	return i < (int)ARRAY_SIZE(ways) ? ways[i].name : NULL;
}

/* libbpf's calls give -1 and errno, or -errno, by its version and ours. */
int doctor_try(int i)
{
	int rc;

	errno = 0;
	rc = ways[i].try();
	return rc == -1 && errno ? -errno : rc < 0 ? rc : 0;
}
