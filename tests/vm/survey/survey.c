// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// survey features | survey functions < NAMES
//
// What BPF tracing can do on the running kernel.  "features": one line for each
// kind of attachment, "NAME ok" when the program was attached and ran, else
// "NAME load|attach|silent (ERRNO)".  "functions": for each name on standard
// input "NAME STATE KPROBE FENTRY FEXIT BTF", where STATE is yes, a list of
// compiler-made variants, or "no"; the next three are ok or an errno name; BTF
// is the module that describes it, or "-".  Load the modules first.
//
// Build (both files in one directory):
//   clang -g -O2 -target bpf -I/usr/include/$(cc -dumpmachine) -c survey.bpf.c
//   cc -D_GNU_SOURCE -O1 -o survey survey.c -lbpf
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FENTRY, FEXIT, KPROBE, KRETPROBE, KMULTI, TPBTF, TP, CK_FENTRY, CK_KPROBE, CK_KMULTI,
       CK_TPBTF, CK_TP, RINGBUF, SOCKOPS, SKMSG, REDIRECTED, ITER, NHITS };
static const char *const names[NHITS] = {
	"fentry", "fexit", "kprobe", "kretprobe", "kmulti", "tpbtf", "tp", "ck_fentry", "ck_kprobe",
	"ck_kmulti", "ck_tpbtf", "ck_tp", "ringbuf", "sockops", "skmsg", "redirected", "iter",
};

static const char *errname(int err)
{
	const char *s = err == 524 ? "ENOTSUPP" : strerrorname_np(err);
	return s ? s : "E?";
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	return getenv("DEBUG") ? vfprintf(stderr, fmt, ap) : 0;
}

static int listener = -1;
static struct sockaddr_in addr = {.sin_family = AF_INET};

// One loopback connection that carries five bytes; the ends are left in fd.
static void converse(int fd[2])
{
	char buf[8];
	socklen_t len = sizeof addr;
	if (listener < 0) {
		addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listener = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listener, (void *)&addr, sizeof addr) || listen(listener, 8) ||
		    getsockname(listener, (void *)&addr, &len))
			perror("listen"), exit(1);
	}
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd[0], (void *)&addr, sizeof addr))
		perror("connect");
	fd[1] = accept(listener, NULL, NULL);
	struct timeval tv = {.tv_sec = 5};
	setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	if (write(fd[0], "hello", 5) != 5 || read(fd[1], buf, sizeof buf) != 5)
		perror("converse");
}

static struct bpf_program *program(struct bpf_object *o, int i)
{
	char name[32];
	snprintf(name, sizeof name, "t_%s", names[i]);
	return bpf_object__find_program_by_name(o, name);
}

static int drained;
static int on_sample(void *ctx, void *data, size_t size)
{
	(void)ctx, (void)data, (void)size;
	return drained++, 0;
}

static int raw_link = -1;
static struct bpf_link *attach(struct bpf_program *p, int i)
{
	LIBBPF_OPTS(bpf_kprobe_opts, kp, .bpf_cookie = 77);
	LIBBPF_OPTS(bpf_kprobe_multi_opts, km);
	LIBBPF_OPTS(bpf_tracepoint_opts, tp, .bpf_cookie = 77);
	LIBBPF_OPTS(bpf_trace_opts, tr, .cookie = 77);
	static union bpf_attr raw;
	const char *sym = "tcp_v4_connect";
	__u64 cookie = 77;
	switch (i) {
	case CK_KMULTI:
		km.syms = &sym, km.cnt = 1, km.cookies = &cookie;
		return bpf_program__attach_kprobe_multi_opts(p, NULL, &km);
	case CK_TPBTF: // libbpf before 1.5 has no call for this
		raw.link_create.prog_fd = bpf_program__fd(p);
		raw.link_create.attach_type = BPF_TRACE_RAW_TP;
		raw.link_create.tracing.cookie = 77;
		raw_link = syscall(SYS_bpf, BPF_LINK_CREATE, &raw, sizeof raw);
		return NULL;
	case CK_FENTRY:
		return bpf_program__attach_trace_opts(p, &tr);
	case CK_KPROBE:
		return bpf_program__attach_kprobe_opts(p, sym, &kp);
	case CK_TP:
		return bpf_program__attach_tracepoint_opts(p, "sock", "inet_sock_set_state", &tp);
	}
	return bpf_program__attach(p);
}

// Opens the object with only the programs of mask to load; NULL if they do not load.
static struct bpf_object *load(const char *dir, unsigned mask)
{
	char path[4096];
	struct bpf_program *p;
	snprintf(path, sizeof path, "%s/survey.bpf.o", dir);
	struct bpf_object *o = bpf_object__open_file(path, NULL);
	if (!o)
		perror(path), exit(1);
	bpf_object__for_each_program(p, o) {
		bpf_program__set_autoload(p, false);
		for (int i = 0; i < NHITS; i++)
			if ((mask & 1u << i) && !strcmp(names[i], bpf_program__name(p) + 2))
				bpf_program__set_autoload(p, true);
	}
	int err = bpf_object__load(o);
	if (err) {
		bpf_object__close(o);
		errno = -err;
		return NULL;
	}
	return o;
}

static __u64 count(struct bpf_object *o, int i)
{
	__u64 hits[NHITS] = {0};
	int zero = 0;
	struct bpf_map *m;
	bpf_object__for_each_map(m, o)
		if (strstr(bpf_map__name(m), ".bss"))
			bpf_map_lookup_elem(bpf_map__fd(m), &zero, hits);
	return hits[i];
}

static void verdict(int i, const char *what, int err)
{
	printf("%-10s %s%s%s\n", names[i], what, err ? " " : "", err ? errname(err) : "");
}

static void features(const char *dir)
{
	int fd[2];
	for (int i = 0; i <= RINGBUF; i++) {
		struct bpf_object *o = load(dir, 1u << i);
		if (!o) {
			verdict(i, "load", errno);
			continue;
		}
		struct bpf_link *l = attach(program(o, i), i);
		if (!l && raw_link < 0) {
			verdict(i, "attach", errno);
		} else {
			struct ring_buffer *rb = i != RINGBUF ? NULL :
				ring_buffer__new(bpf_object__find_map_fd_by_name(o, "ring"), on_sample, NULL, NULL);
			converse(fd);
			close(fd[0]), close(fd[1]);
			if (rb)
				ring_buffer__consume(rb);
			verdict(i, (i == RINGBUF ? drained : (int)count(o, i)) ? "ok" : "silent", 0);
			ring_buffer__free(rb);
			bpf_link__destroy(l);
			if (raw_link >= 0)
				close(raw_link);
			raw_link = -1;
		}
		bpf_object__close(o);
	}

	struct bpf_object *o = load(dir, 1u << SOCKOPS | 1u << SKMSG);
	int cg = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	if (!o) {
		verdict(SOCKOPS, "load", errno);
	} else {
		int map = bpf_object__find_map_fd_by_name(o, "socks");
		int ops = bpf_program__fd(program(o, SOCKOPS));
		int msg = bpf_program__fd(program(o, SKMSG));
		if (bpf_prog_attach(ops, cg, BPF_CGROUP_SOCK_OPS, 0))
			verdict(SOCKOPS, "attach", errno);
		if (bpf_prog_attach(msg, map, BPF_SK_MSG_VERDICT, 0))
			verdict(SKMSG, "attach", errno);
		converse(fd);
		for (int i = SOCKOPS; i <= REDIRECTED; i++)
			verdict(i, count(o, i) ? "ok" : "silent", 0);
		struct bpf_object *io = load(dir, 1u << ITER);
		if (!io) {
			verdict(ITER, "load", errno);
		} else {
			union bpf_iter_link_info info = {.map.map_fd = map};
			LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof info);
			struct bpf_link *l = bpf_program__attach_iter(program(io, ITER), &opts);
			int it = l ? bpf_iter_create(bpf_link__fd(l)) : -1;
			char buf[16];
			if (it < 0)
				verdict(ITER, "attach", errno);
			else
				while (read(it, buf, sizeof buf) > 0) {}
			if (it >= 0)
				verdict(ITER, count(io, ITER) ? "ok" : "silent", 0);
			bpf_link__destroy(l);
			bpf_object__close(io);
		}
		close(fd[0]), close(fd[1]);
		bpf_prog_detach2(ops, cg, BPF_CGROUP_SOCK_OPS);
		bpf_object__close(o);
	}
}

// An empty tracing program on the function; the result of attaching it.
static const char *try_tracing(const char *name, enum bpf_attach_type type, char module[64])
{
	static struct btf *vmlinux;
	struct bpf_insn body[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
				  {.code = BPF_JMP | BPF_EXIT}};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);
	__u32 id = 0;
	int modfd = -1, n;
	strcpy(module, "-");
	if (!vmlinux && !(vmlinux = btf__load_vmlinux_btf()))
		return "nobtf";
	n = btf__find_by_name_kind(vmlinux, name, BTF_KIND_FUNC);
	if (n > 0)
		strcpy(module, "vmlinux");
	while (n <= 0 && !bpf_btf_get_next_id(id, &id)) {
		struct bpf_btf_info info = {0};
		__u32 len = sizeof info;
		char buf[64] = "";
		int fd = bpf_btf_get_fd_by_id(id);
		info.name = (unsigned long)buf, info.name_len = sizeof buf;
		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.kernel_btf && strcmp(buf, "vmlinux")) {
			struct btf *b = btf__load_from_kernel_by_id_split(id, vmlinux);
			n = b ? btf__find_by_name_kind(b, name, BTF_KIND_FUNC) : -1;
			btf__free(b);
			if (n > 0) {
				strcpy(module, buf);
				modfd = fd;
				break;
			}
		}
		close(fd);
	}
	if (n <= 0)
		return "nobtf";
	opts.attach_btf_id = n;
	if (modfd >= 0)
		opts.attach_btf_obj_fd = modfd;
	int prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "t", "GPL", body, 2, &opts);
	const char *res = prog < 0 ? errname(errno) : "ok";
	if (prog >= 0) {
		int l = bpf_raw_tracepoint_open(NULL, prog);
		if (l < 0)
			res = errname(errno);
		close(l);
		close(prog);
	}
	if (modfd >= 0)
		close(modfd);
	return res;
}

static const char *try_kprobe(const char *name)
{
	char cmd[160];
	int fd = open("/sys/kernel/tracing/kprobe_events", O_WRONLY | O_APPEND);
	snprintf(cmd, sizeof cmd, "p:survey/t %s\n", name);
	const char *res = fd < 0 || write(fd, cmd, strlen(cmd)) < 0 ? errname(errno) : "ok";
	if (!strcmp(res, "ok") && write(fd, "-:survey/t\n", 11) < 0)
		perror("kprobe_events");
	close(fd);
	return res;
}

static void functions(void)
{
	char name[128], line[512], module[64];
	while (fscanf(stdin, "%127s", name) == 1) {
		char state[512] = "";
		size_t len = strlen(name);
		FILE *f = fopen("/sys/kernel/tracing/available_filter_functions", "r");
		int same = 0;
		while (f && fgets(line, sizeof line, f)) {
			line[strcspn(line, " \n")] = 0;
			if (!strcmp(line, name))
				same++;
			else if (!strncmp(line, name, len) && line[len] == '.' && strlen(state) < 400)
				sprintf(state + strlen(state), "%s%s", *state ? "," : "", line + len);
		}
		if (f)
			fclose(f);
		if (same > 1)
			snprintf(state, sizeof state, "yes*%d", same);
		else if (same)
			strcpy(state, "yes");
		const char *kp = try_kprobe(name);
		const char *fe = try_tracing(name, BPF_TRACE_FENTRY, module);
		const char *fx = strcmp(fe, "nobtf") ? try_tracing(name, BPF_TRACE_FEXIT, module) : fe;
		printf("%s %s %s %s %s %s\n", name, *state ? state : "no", kp, fe, fx, module);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	char *slash = strrchr(argv[0], '/');
	libbpf_set_print(quiet);
	if (slash)
		*slash = 0;
	if (argc == 2 && !strcmp(argv[1], "features"))
		features(slash ? argv[0] : ".");
	else if (argc == 2 && !strcmp(argv[1], "functions"))
		functions();
	else
		return fprintf(stderr, "usage: survey features|functions\n"), 2;
	return 0;
}
