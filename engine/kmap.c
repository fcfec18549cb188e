/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "kmap.h"
#include "util.h"

struct kmap {
	int fd;
	int copies;
	struct layout *key;
	struct layout *value;
};

static bool is_percpu(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/*
 * Type ids of the map's key and value as its definition in the object says. Not libbpf's
 * bpf_map__btf_key_type_id(): for a shared map those are ids in the other object's BTF.
 */
static void find_types(const struct btf *btf, const char *name, int *key, int *value)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_VAR);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	*key = *value = 0;
	t = t ? btf__type_by_id(btf, t->type) : NULL;
	for (int i = 0; t && btf_is_struct(t) && i < btf_vlen(t); i++) {
		const struct btf_member *m = btf_members(t) + i;
		const char *what = btf__name_by_offset(btf, m->name_off);
		const struct btf_type *ptr = btf__type_by_id(btf, m->type);

		if (str_eq(what, "key"))
			*key = (int)ptr->type;
		else if (str_eq(what, "value"))
			*value = (int)ptr->type;
	}
}

static int read_layouts(struct kmap *map, const struct btf *btf, const char *name, struct err *err)
{
	int key, value, rc;

	find_types(btf, name, &key, &value);
	if (!key || !value)
		return err_set(err, -EINVAL, "map '%s' has no described key and value", name);
	rc = layout_new(&map->key, btf, key, err);
	if (!rc)
		rc = layout_new(&map->value, btf, value, err);
	return rc ? err_prefix(err, "map '%s'", name) : 0;
}

int kmap_open(struct kmap **out, struct bpf_object *obj, const char *name, struct err *err)
{
	struct bpf_map *m = bpf_object__find_map_by_name(obj, name);
	struct kmap *map;
	int rc;

	*out = NULL;
	if (!m)
		return err_set(err, -ENOENT, "no map '%s'", name);
	map = calloc(1, sizeof(*map));
	if (!map)
		return err_set(err, -ENOMEM, "out of memory");
	map->fd = bpf_map__fd(m);
	map->copies = is_percpu(bpf_map__type(m)) ? libbpf_num_possible_cpus() : 1;
	rc = read_layouts(map, bpf_object__btf(obj), name, err);
	if (rc) {
		kmap_close(map);
		return rc;
	}
	*out = map;
	return 0;
}

void kmap_close(struct kmap *map)
{
	if (!map)
		return;
	layout_free(map->key);
	layout_free(map->value);
	free(map);
}

const struct layout *kmap_key(const struct kmap *map)
{
	return map->key;
}

const struct layout *kmap_value(const struct kmap *map)
{
	return map->value;
}

int kmap_copies(const struct kmap *map)
{
	return map->copies;
}

size_t kmap_values_size(const struct kmap *map)
{
	return (map->value->size + 7ULL) / 8 * 8 * (size_t)map->copies;
}

int kmap_get(const struct kmap *map, const void *key, void *values)
{
	return bpf_map_lookup_elem(map->fd, key, values) ? -errno : 0;
}

int kmap_set(const struct kmap *map, const void *key, const void *values)
{
	return bpf_map_update_elem(map->fd, key, values, BPF_ANY) ? -errno : 0;
}

int kmap_delete(const struct kmap *map, const void *key)
{
	return bpf_map_delete_elem(map->fd, key) ? -errno : 0;
}

int kmap_next(const struct kmap *map, const void *key, void *next)
{
	return bpf_map_get_next_key(map->fd, key, next) ? -errno : 0;
}
