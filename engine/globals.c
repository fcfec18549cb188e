/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <sys/mman.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "globals.h"
#include "util.h"

/* A section's map is named after the object as well: "tcpclose.bss". */
static struct bpf_map *find_section(const struct bpf_object *obj, const char *section)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);
		size_t len = strlen(name), tail = strlen(section);

		if (len >= tail && str_eq(name + len - tail, section))
			return map;
	}
	return NULL;
}

void *globals_find(const struct bpf_object *obj, const char *section, const char *name, size_t size)
{
	const struct btf *btf = bpf_object__btf(obj);
	int id = btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	struct bpf_map *map = find_section(obj, section);
	char *base;
	size_t room;

	if (!t || !map)
		return NULL;
	base = (char *)bpf_map__initial_value(map, &room);
	for (int i = 0; base && i < btf_vlen(t); i++) {
		const struct btf_var_secinfo *var = btf_var_secinfos(t) + i;
		const struct btf_type *v = btf__type_by_id(btf, var->type);

		if (str_eq(btf__name_by_offset(btf, v->name_off), name))
			return var->size == size ? base + var->offset : NULL;
	}
	return NULL;
}

/*
 * libbpf keeps the initial values in memory of its own; only for a skeleton does it map the kernel's
 * in their place (bpf_object__load_skeleton; from 1.5 on for all, and then this changes nothing).
 */
int globals_go_live(const struct bpf_object *obj)
{
	static const char *const sections[] = { ".bss", ".data" };

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		struct bpf_map *map = find_section(obj, sections[i]);
		size_t size;
		void *base = map ? (void *)bpf_map__initial_value(map, &size) : NULL;

		if (base && mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				 bpf_map__fd(map), 0) == MAP_FAILED)
			return -errno;
	}
	return 0;
}
