/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include "kbtf_module.h"
#include "kbtf_subset.h"
#include "util.h"

/* Types and strings of the module are numbered behind those of the kernel. */
struct split {
	const struct kbtf *kernel;
	uint32_t kernel_strings; /* bytes */
	char *data;
	const char *types, *types_end;
	const char *strings;
};

/* The kernel hands such files out a page at a time. */
static int read_split(struct split *s, const char *module)
{
	char path[100];
	struct stat st;
	ssize_t n, done = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", module);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	s->data = fstat(fd, &st) ? NULL : malloc((size_t)st.st_size);
	while (s->data && (n = read(fd, s->data + done, (size_t)(st.st_size - done))) > 0)
		done += n;
	close(fd);
	return done && done == st.st_size ? 0 : -EIO;
}

static int open_split(struct split *s, const char *module)
{
	const struct btf_header *hdr;
	int rc;

	*s = (struct split){ .kernel = kbtf_kernel() };
	if (!s->kernel)
		return -ENOENT;
	hdr = (const void *)s->kernel->data;
	s->kernel_strings = hdr->str_len;
	rc = read_split(s, module);
	hdr = (const void *)s->data;
	if (rc || hdr->magic != BTF_MAGIC)
		return rc ? rc : -EINVAL;
	s->types = s->data + hdr->hdr_len + hdr->type_off;
	s->types_end = s->types + hdr->type_len;
	s->strings = s->data + hdr->hdr_len + hdr->str_off;
	return 0;
}

static const char *name_of(const struct split *s, const struct btf_type *t)
{
	return t->name_off < s->kernel_strings ? s->kernel->strings + t->name_off :
						 s->strings + (t->name_off - s->kernel_strings);
}

/* The type with that id, or the function of that name and its id. NULL: there is none. */
static const struct btf_type *find(const struct split *s, const char *name, uint32_t *id)
{
	uint32_t i = s->kernel->n;

	if (!name && *id < i)
		return kbtf_type(s->kernel, *id);
	for (const char *p = s->types; p < s->types_end; i++) {
		const struct btf_type *t = (const void *)p;

		if (name ? btf_is_func(t) && str_eq(name_of(s, t), name) : i == *id) {
			*id = i;
			return t;
		}
		p += kbtf_type_size(t);
	}
	return NULL;
}

/* BTF objects are found by number only. */
static int open_btf(const char *module)
{
	uint32_t id = 0;

	while (!bpf_btf_get_next_id(id, &id)) {
		char name[64] = "";
		struct bpf_btf_info info = { .name = (uint64_t)name, .name_len = sizeof(name) };
		uint32_t size = sizeof(info);
		int fd = bpf_btf_get_fd_by_id(id);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) && str_eq(name, module))
			return fd;
		close_fd(&fd);
	}
	return -ENOENT;
}

int kbtf_module_function(const char *module, const char *name, struct kbtf_function *out)
{
	const struct btf_type *t = NULL;
	struct split s;
	uint32_t id = 0, proto;
	int rc = open_split(&s, module);

	if (!rc)
		t = find(&s, name, &id);
	if (t) {
		proto = t->type;
		t = find(&s, NULL, &proto);
	}
	if (t && btf_is_func_proto(t)) {
		*out = (struct kbtf_function){ (int)id, btf_vlen(t), open_btf(module) };
		rc = out->btf_fd < 0 ? out->btf_fd : 0;
	} else if (!rc) {
		rc = -ENOENT;
	}
	free(s.data);
	return rc;
}

static int member_offset(const struct split *s, const struct btf_type *t, const char *member)
{
	const struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++, m++) {
		struct btf_type named = { .name_off = m->name_off };

		if (str_eq(name_of(s, &named), member))
			return (int)(btf_member_bit_offset(t, (uint32_t)i) / 8);
	}
	return -ENOENT;
}

int kbtf_module_member(const char *module, const char *type, const char *member)
{
	struct split s;
	int rc = open_split(&s, module), offset = -ENOENT;

	for (const char *p = s.types; !rc && p < s.types_end && offset < 0;) {
		const struct btf_type *t = (const void *)p;

		if (btf_is_struct(t) && str_eq(name_of(&s, t), type))
			offset = member_offset(&s, t, member);
		p += kbtf_type_size(t);
	}
	free(s.data);
	return rc ? rc : offset;
}
