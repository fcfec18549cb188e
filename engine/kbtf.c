/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "kbtf.h"
#include "kbtf_subset.h"
#include "patch.h"
#include "util.h"

static struct kbtf kernel; /* data NULL: not read */

/* Newer kernels (6.16) can map the file, older ones have to copy it. */
static int read_file(void)
{
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC), rc = 0;
	struct stat st;
	size_t done = 0;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st)) {
		rc = -errno;
		goto out;
	}
	kernel.size = (size_t)st.st_size;
	kernel.data = mmap(NULL, kernel.size, PROT_READ, MAP_PRIVATE, fd, 0);
	kernel.mapped = kernel.data != MAP_FAILED;
	if (kernel.mapped)
		goto out;
	kernel.data = malloc(kernel.size);
	while (kernel.data && done < kernel.size) {
		n = read(fd, kernel.data + done, kernel.size - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (!kernel.data || done < kernel.size)
		rc = -EIO;
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Bytes that follow struct btf_type (Documentation/bpf/btf.rst). */
static size_t extra_size(const struct btf_type *t)
{
	switch (btf_kind(t)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return 8ULL * btf_vlen(t);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case BTF_KIND_ENUM64:
		return 12ULL * btf_vlen(t);
	}
	return 0;
}

size_t kbtf_type_size(const struct btf_type *t)
{
	return sizeof(*t) + extra_size(t);
}

/* Where each type starts; types have different sizes, and refer to each other by number. */
static int index_types(void)
{
	const struct btf_header *hdr = (const void *)kernel.data;
	const char *types, *end;
	size_t room = 0;

	if (kernel.size < sizeof(*hdr) || hdr->magic != BTF_MAGIC)
		return -EINVAL;
	types = kernel.data + hdr->hdr_len + hdr->type_off;
	end = types + hdr->type_len;
	kernel.strings = kernel.data + hdr->hdr_len + hdr->str_off;
	kernel.types = types;
	kernel.n = 1; /* type 0 is void */
	for (const char *p = types; p < end;) {
		if (kernel.n >= room) {
			uint32_t *bigger;

			room = room ? 2 * room : 1 << 17;
			bigger = realloc(kernel.at, room * sizeof(*bigger));
			if (!bigger)
				return -ENOMEM;
			kernel.at = bigger;
		}
		kernel.at[kernel.n++] = (uint32_t)(p - types);
		p += kbtf_type_size((const void *)p);
	}
	return 0;
}

static int use_kernel(void)
{
	int rc;

	if (kernel.at)
		return 0;
	rc = read_file();
	if (!rc)
		rc = index_types();
	if (rc)
		kbtf_release();
	return rc;
}

const struct kbtf *kbtf_kernel(void)
{
	return use_kernel() ? NULL : &kernel;
}

void kbtf_release(void)
{
	if (kernel.mapped)
		munmap(kernel.data, kernel.size);
	else
		free(kernel.data);
	free(kernel.at);
	memset(&kernel, 0, sizeof(kernel));
}

int kbtf_find(const char *name, int kind)
{
	int rc = use_kernel();

	if (rc)
		return rc;
	for (uint32_t id = 1; id < kernel.n; id++) {
		const struct btf_type *t = kbtf_type(&kernel, id);

		if (btf_kind(t) == kind && str_eq(kernel.strings + t->name_off, name))
			return (int)id;
	}
	return -ENOENT;
}

/* Ids found before, by name: searching for one takes a millisecond, and some are wanted often. */
static struct {
	char name[64];
	int id;
} known[128];

static void remember(const char *name, int id)
{
	static unsigned int next;

	if (strlen(name) >= sizeof(known[0].name))
		return;
	next = (next + 1) % ARRAY_SIZE(known);
	strcpy(known[next].name, name);
	known[next].id = id;
}

int kbtf_find_all(struct kbtf_query *list, int n)
{
	int rc = use_kernel();

	for (int i = 0; i < n; i++)
		list[i].id = -ENOENT;
	for (uint32_t id = 1; !rc && id < kernel.n; id++) {
		const struct btf_type *t = kbtf_type(&kernel, id);
		int kind = btf_kind(t);

		if (kind != BTF_KIND_FUNC && kind != BTF_KIND_TYPEDEF)
			continue;
		for (int i = 0; i < n; i++) {
			if (list[i].kind != kind || list[i].id > 0 ||
			    !str_eq(kernel.strings + t->name_off, list[i].name))
				continue;
			list[i].id = (int)id;
			remember(list[i].name, (int)id);
		}
	}
	return rc;
}

int kbtf_nr_args(int id)
{
	int rc = use_kernel();
	const struct btf_type *t;

	if (rc)
		return rc;
	if (id <= 0 || (uint32_t)id >= kernel.n)
		return -ENOENT;
	t = kbtf_type(&kernel, (uint32_t)id);
	return btf_is_func(t) ? btf_vlen(kbtf_type(&kernel, t->type)) : -EINVAL;
}

static int name_index(const char *const *names, int n, const char *name)
{
	while (n && !str_eq(names[n - 1], name))
		n--;
	return n - 1;
}

int kbtf_enums(const char *const *names, int n,
	       int (*each)(void *arg, int i, const char *name, uint32_t value), void *arg)
{
	bool was_read = kernel.at;
	int rc = use_kernel();

	for (uint32_t id = 1; !rc && id < kernel.n; id++) {
		const struct btf_type *t = kbtf_type(&kernel, id);
		const struct btf_enum *e = btf_enum(t);
		int i = btf_is_enum(t) ? name_index(names, n, kernel.strings + t->name_off) : -1;

		for (int k = 0; i >= 0 && !rc && k < btf_vlen(t); k++)
			rc = each(arg, i, kernel.strings + e[k].name_off, (uint32_t)e[k].val);
	}
	if (!was_read)
		kbtf_release();
	return rc;
}

static int write_all(int fd, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n <= 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int kbtf_subset(const struct bpf_object *obj, struct err *err)
{
	struct kbtf_bytes bytes = { 0 };
	int rc = use_kernel(), fd;

	if (rc)
		return err_sys(err, rc, "can't read the kernel's BTF from /sys/kernel/btf/vmlinux");
	rc = kbtf_make_subset(&kernel, bpf_object__btf(obj), &bytes);
	fd = rc ? rc : memfd_create("btf", MFD_CLOEXEC);
	if (!rc && fd < 0)
		rc = -errno;
	if (!rc)
		rc = write_all(fd, bytes.data, bytes.size);
	free(bytes.data);
	if (!rc)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_sys(err, rc, "can't prepare the kernel's types");
}

static const struct kind {
	const char *prefix; /* of section names */
	const char *entity; /* how the kernel's type is named after the rest */
	int btf_kind;
	enum bpf_attach_type type;
} kinds[] = {
	{ "tp_btf/", "btf_trace_", BTF_KIND_TYPEDEF, BPF_TRACE_RAW_TP },
	{ "fentry/", "", BTF_KIND_FUNC, BPF_TRACE_FENTRY },
	{ "fexit/", "", BTF_KIND_FUNC, BPF_TRACE_FEXIT },
	{ "iter/", "bpf_iter_", BTF_KIND_FUNC, BPF_TRACE_ITER },
};

static const struct kind *find_kind(const char *sec)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_starts(sec, kinds[i].prefix))
			return &kinds[i];
	return NULL;
}

/*
 * The shared programs of points are for no function: copies of them are. They are loaded for one
 * that every kernel has.
 */
static const char *real_target(const char *target)
{
	return str_eq(target, "point") ? "tcp_set_state" : target;
}

static int attach_id(const struct kind *kind, const char *target)
{
	char name[128];
	int id;

	snprintf(name, sizeof(name), "%s%s", kind->entity, real_target(target));
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (str_eq(known[i].name, name))
			return known[i].id;
	id = kbtf_find(name, kind->btf_kind);
	if (id > 0)
		remember(name, id);
	return id;
}

int kbtf_attach_opts(const char *sec, struct bpf_prog_load_opts *opts)
{
	const struct kind *kind = find_kind(sec);
	int id = kind ? attach_id(kind, sec + strlen(kind->prefix)) : 0;

	if (id < 0 || !kind)
		return id;
	opts->expected_attach_type = kind->type;
	opts->attach_btf_id = (uint32_t)id;
	return 0;
}

/* The program becomes one for tracing only here: before, libbpf would have read all of the BTF. */
static int prepare_tracing(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long unused)
{
	int rc = kbtf_attach_opts(bpf_program__section_name(prog), opts);

	(void)unused;
	if (!rc)
		rc = bpf_program__set_type(prog, BPF_PROG_TYPE_TRACING);
	return rc ? rc : patch_program(prog, opts);
}

static int prepare_other(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long unused)
{
	(void)unused;
	return patch_program(prog, opts);
}

void kbtf_register_handlers(void)
{
	static const struct {
		const char *sec;
		enum bpf_prog_type type;
		libbpf_prog_prepare_load_fn_t prepare;
		enum bpf_attach_type attach_type;
	} handlers[] = {
		{ "tp_btf+", BPF_PROG_TYPE_RAW_TRACEPOINT, prepare_tracing, 0 },
		{ "fentry+", BPF_PROG_TYPE_RAW_TRACEPOINT, prepare_tracing, 0 },
		{ "fexit+", BPF_PROG_TYPE_RAW_TRACEPOINT, prepare_tracing, 0 },
		{ "iter+", BPF_PROG_TYPE_RAW_TRACEPOINT, prepare_tracing, 0 },
		{ "kprobe+", BPF_PROG_TYPE_KPROBE, prepare_other, 0 },
		{ "kretprobe+", BPF_PROG_TYPE_KPROBE, prepare_other, 0 },
		{ "kprobe.multi+", BPF_PROG_TYPE_KPROBE, prepare_other, BPF_TRACE_KPROBE_MULTI },
		{ "kretprobe.multi+", BPF_PROG_TYPE_KPROBE, prepare_other, BPF_TRACE_KPROBE_MULTI },
		{ "tp+", BPF_PROG_TYPE_TRACEPOINT, prepare_other, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		LIBBPF_OPTS(libbpf_prog_handler_opts, opts,
			    .prog_prepare_load_fn = handlers[i].prepare);

		libbpf_register_prog_handler(handlers[i].sec, handlers[i].type,
					     handlers[i].attach_type, &opts);
	}
}
