/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "kbtf.h"
#include "util.h"

#define MIN_KERNEL_MAJOR 5
#define MIN_KERNEL_MINOR 8 /* ring buffer, CAP_BPF */

static uint64_t effective_caps(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &hdr, data))
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

const char *caps_missing(void)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = { { CAP_BPF, "CAP_BPF" }, { CAP_PERFMON, "CAP_PERFMON" } };
	static char text[64];
	uint64_t have = effective_caps();

	text[0] = '\0';
	if (have & 1ULL << CAP_SYS_ADMIN)
		return text;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (have & 1ULL << needed[i].cap)
			continue;
		if (text[0])
			strcat(text, ", ");
		strcat(text, needed[i].name);
	}
	return text;
}

bool caps_net_admin(void)
{
	return effective_caps() & (1ULL << CAP_NET_ADMIN | 1ULL << CAP_SYS_ADMIN);
}

static int check_kernel(struct err *err)
{
	struct utsname u;
	int major = 0, minor = 0;

	if (uname(&u) || sscanf(u.release, "%d.%d", &major, &minor) != 2)
		return 0;
	if (major > MIN_KERNEL_MAJOR || (major == MIN_KERNEL_MAJOR && minor >= MIN_KERNEL_MINOR))
		return 0;
	return err_set(err, -ENOSYS, "kernel %s is too old: bpfnet needs %d.%d or newer", u.release,
		       MIN_KERNEL_MAJOR, MIN_KERNEL_MINOR);
}

/* The kernel asks for capabilities in the first user namespace, whose number is fixed (proc_ns.h). */
static bool in_user_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != 0xEFFFFFFDU;
}

int caps_check(struct err *err)
{
	const char *missing = caps_missing();
	int rc = check_kernel(err);

	if (rc)
		return rc;
	if (access("/sys/kernel/btf/vmlinux", R_OK)) {
		err_sys(err, -errno,
			"no type information (BTF) of the running kernel at "
			"/sys/kernel/btf/vmlinux");
		err_hint(err, "the kernel must be built with CONFIG_DEBUG_INFO_BTF=y, and /sys be "
			      "mounted");
		return err->code;
	}
	if (in_user_namespace()) {
		err_set(err, -EPERM,
			"not permitted to trace: capabilities in a user namespace do not count");
		err_hint(err, "run as root of the host, not in a rootless container");
		return -EPERM;
	}
	if (missing[0]) {
		err_set(err, -EPERM, "not permitted to trace: lacks %s", missing);
		err_hint(
			err,
			"run as root, or: setcap "
			"cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_syslog+ep bpfnet");
		return -EPERM;
	}
	return 0;
}

enum answer { UNKNOWN, NO, YES };

/* Loads a program of `n` instructions that is attached to BTF type `btf_id`; does it get in? */
static bool loads(const struct bpf_insn *insns, size_t n, enum bpf_attach_type type, int btf_id)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type,
		    .attach_btf_id = (uint32_t)btf_id);
	int fd;

	if (btf_id <= 0)
		return false;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "try", "GPL", insns, n, &opts);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

bool caps_fentry(void)
{
	static enum answer known;
	const struct bpf_insn ret0[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	if (!known) {
		int id = kbtf_find("tcp_set_state", BTF_KIND_FUNC);

		known = loads(ret0, ARRAY_SIZE(ret0), BPF_TRACE_FENTRY, id) ? YES : NO;
	}
	return known == YES;
}

bool caps_cookie(void)
{
	static enum answer known;
	/* r1 = the tracepoint's sk; call; the verifier refuses a helper that is not for tracing */
	const struct bpf_insn insns[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_1 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_socket_cookie },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	if (!known) {
		int id = kbtf_find("btf_trace_tcp_destroy_sock", BTF_KIND_TYPEDEF);

		known = loads(insns, ARRAY_SIZE(insns), BPF_TRACE_RAW_TP, id) ? YES : NO;
	}
	return known == YES;
}

bool caps_fetch(void)
{
	static enum answer known;
	const struct bpf_insn insns[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
		  .dst_reg = BPF_REG_10,
		  .src_reg = BPF_REG_0,
		  .off = -8,
		  .imm = BPF_ADD | BPF_FETCH },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	if (!known) {
		int fd = bpf_prog_load(BPF_PROG_TYPE_TRACEPOINT, "try", "GPL", insns,
				       ARRAY_SIZE(insns), NULL);

		known = fd < 0 ? NO : YES;
		if (fd >= 0)
			close(fd);
	}
	return known == YES;
}

bool caps_kprobe(void)
{
	return access("/sys/bus/event_source/devices/kprobe/type", R_OK) == 0;
}

/* Loads a kprobe program that calls a helper with its context; a descriptor or -errno. */
static int load_kprobe(int helper, enum bpf_attach_type type)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);
	const struct bpf_insn insns[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = helper },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "try", "GPL", insns, ARRAY_SIZE(insns), &opts);
}

/* There is no function at address 1, but who has no multi at all does not look so far. */
bool caps_kprobe_multi(void)
{
	static enum answer known;
	const unsigned long nowhere = 1;
	LIBBPF_OPTS(bpf_link_create_opts, opts, .kprobe_multi.cnt = 1,
		    .kprobe_multi.addrs = &nowhere);
	int fd, link;

	if (known)
		return known == YES;
	fd = load_kprobe(BPF_FUNC_get_attach_cookie, BPF_TRACE_KPROBE_MULTI);
	link = fd < 0 ? -EOPNOTSUPP : bpf_link_create(fd, 0, BPF_TRACE_KPROBE_MULTI, &opts);
	known = link == -EOPNOTSUPP ? NO : YES;
	if (fd >= 0)
		close(fd);
	if (link >= 0)
		close(link);
	return known == YES;
}

bool caps_attach_cookie(void)
{
	static enum answer known;

	if (!known) {
		int fd = load_kprobe(BPF_FUNC_get_attach_cookie, 0);

		known = fd < 0 ? NO : YES;
		if (fd >= 0)
			close(fd);
	}
	return known == YES;
}

bool caps_map_alloc(void)
{
	static enum answer known;

	if (!known)
		known = kbtf_find("bpf_mem_alloc_init", BTF_KIND_FUNC) > 0 ? YES : NO;
	return known == YES;
}

/* No type and no function says so, but bpf_ktime_get_coarse_ns() came with the same release. */
int caps_memcg(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ktime_get_coarse_ns },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "try", "GPL", insns, ARRAY_SIZE(insns),
			       NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 1 : errno == EPERM ? -EPERM : 0;
}

static int open_dir(const char *path, long magic)
{
	struct statfs fs;
	int fd;

	if (statfs(path, &fs) || fs.f_type != magic)
		return -ENOENT;
	fd = open(path, O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A mount that is in nobody's tree and goes away with the descriptor: nothing is left behind. */
static int private_tracefs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tracefs", 1 /* FSOPEN_CLOEXEC */), fd;

	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0)) {
		close(fs);
		return -errno;
	}
	fd = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
	close(fs);
	return fd < 0 ? -errno : fd;
}

int caps_tracefs(void)
{
	static int fd = -1;

	if (fd >= 0)
		return fd;
	fd = open_dir("/sys/kernel/tracing", TRACEFS_MAGIC);
	if (fd < 0)
		fd = open_dir("/sys/kernel/debug/tracing", TRACEFS_MAGIC);
	if (fd < 0)
		fd = private_tracefs();
	return fd;
}
