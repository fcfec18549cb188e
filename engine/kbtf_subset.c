/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Cuts the types out of the kernel's BTF that CO-RE relocations of one object can touch.
 *
 * A relocation starts at a struct or enum by name and follows members, never a pointer: the next
 * step is a relocation of its own. So pointers become pointers to void, and what is embedded comes
 * along; that keeps struct sock at a few hundred types.
 */
#include <errno.h>
#include <stdlib.h>
#include <bpf/btf.h>
#include "kbtf_subset.h"
#include "util.h"

#define MAX_NAMES 1024 /* slots of the hash of wanted names: a power of two */

struct cut {
	const struct kbtf *k;
	const char *names[MAX_NAMES];
	uint8_t lengths[MAX_NAMES];
	uint32_t *new_id; /* by the kernel's id; 0: not taken */
	uint32_t *taken; /* the kernel's ids in the order of the new ones, from 1 */
	uint32_t n;
	char *types, *strings;
	size_t types_size, types_room, strings_size, strings_room;
	bool failed; /* no memory */
};

/* The slot of a name, or the empty one where it would go. */
static uint32_t find_slot(const struct cut *c, const char *name, size_t len)
{
	uint32_t i = name_hash(name, len) & (MAX_NAMES - 1);

	while (c->names[i] && (c->lengths[i] != len || memcmp(c->names[i], name, len)))
		i = (i + 1) & (MAX_NAMES - 1);
	return i;
}

static bool is_root_kind(int kind)
{
	return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
	       kind == BTF_KIND_ENUM64;
}

/* What the object names; "sock_cgroup_data___before515" is a flavour of "sock_cgroup_data". */
static void collect_names(struct cut *c, const struct btf *local)
{
	int n = (int)btf__type_cnt(local), used = 0;

	for (int id = 1; id < n && used < MAX_NAMES / 2; id++) {
		const struct btf_type *t = btf__type_by_id(local, (uint32_t)id);
		const char *name = btf__name_by_offset(local, t->name_off), *flavour;
		size_t len;
		uint32_t slot;

		if (!is_root_kind(btf_kind(t)) || !*name)
			continue;
		flavour = strstr(name, "___");
		len = flavour ? (size_t)(flavour - name) : strlen(name);
		slot = find_slot(c, name, len);
		if (len > UINT8_MAX || c->names[slot])
			continue;
		c->names[slot] = name;
		c->lengths[slot] = (uint8_t)len;
		used++;
	}
}

/* New id of the kernel's type; it is written later, in order. */
static uint32_t take(struct cut *c, uint32_t id)
{
	if (id && !c->new_id[id]) {
		c->new_id[id] = ++c->n;
		c->taken[c->n] = id;
	}
	return id ? c->new_id[id] : 0;
}

static void *grow(struct cut *c, char **buf, size_t *size, size_t *room, size_t more)
{
	if (*size + more > *room) {
		size_t bigger = (*size + more) * 2;
		char *p = realloc(*buf, bigger);

		if (!p) {
			c->failed = true;
			return NULL;
		}
		*buf = p;
		*room = bigger;
	}
	*size += more;
	return *buf + *size - more;
}

static uint32_t add_string(struct cut *c, uint32_t off)
{
	const char *s = c->k->strings + off;
	size_t len = strlen(s) + 1;
	char *to;

	if (len == 1)
		return 0; /* the empty string is at 0 */
	to = grow(c, &c->strings, &c->strings_size, &c->strings_room, len);
	if (!to)
		return 0;
	memcpy(to, s, len);
	return (uint32_t)(to - c->strings);
}

static void fix_members(struct cut *c, struct btf_type *t)
{
	struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++) {
		m[i].name_off = add_string(c, m[i].name_off);
		m[i].type = take(c, m[i].type);
	}
}

/* struct btf_enum and btf_enum64 both begin with the name */
static void fix_enum(struct cut *c, struct btf_type *t, size_t step)
{
	char *p = (char *)(t + 1);

	for (int i = 0; i < btf_vlen(t); i++, p += step)
		*(uint32_t *)p = add_string(c, *(uint32_t *)p);
}

static void write_type(struct cut *c, uint32_t id)
{
	const struct btf_type *from = kbtf_type(c->k, id);
	size_t size = kbtf_type_size(from);
	struct btf_type *t = grow(c, &c->types, &c->types_size, &c->types_room, size);

	if (!t)
		return;
	memcpy(t, from, size);
	t->name_off = add_string(c, t->name_off);
	switch (btf_kind(t)) {
	case BTF_KIND_PTR:
		t->type = 0;
		break;
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_CONST:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		t->type = take(c, t->type);
		break;
	case BTF_KIND_ARRAY:
		btf_array(t)->type = take(c, btf_array(t)->type);
		btf_array(t)->index_type = take(c, btf_array(t)->index_type);
		break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		fix_members(c, t);
		break;
	case BTF_KIND_ENUM:
		fix_enum(c, t, sizeof(struct btf_enum));
		break;
	case BTF_KIND_ENUM64:
		fix_enum(c, t, sizeof(struct btf_enum64));
		break;
	}
}

static void take_roots(struct cut *c)
{
	for (uint32_t id = 1; id < c->k->n; id++) {
		const struct btf_type *t = kbtf_type(c->k, id);
		const char *name = c->k->strings + t->name_off;

		if (is_root_kind(btf_kind(t)) && *name &&
		    c->names[find_slot(c, name, strlen(name))])
			take(c, id);
	}
}

static int assemble(struct cut *c, struct kbtf_bytes *out)
{
	struct btf_header hdr = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(hdr),
		.type_len = (uint32_t)c->types_size,
		.str_off = (uint32_t)c->types_size,
		.str_len = (uint32_t)c->strings_size,
	};

	out->size = sizeof(hdr) + c->types_size + c->strings_size;
	out->data = malloc(out->size);
	if (!out->data)
		return -ENOMEM;
	memcpy(out->data, &hdr, sizeof(hdr));
	memcpy(out->data + sizeof(hdr), c->types, c->types_size);
	memcpy(out->data + sizeof(hdr) + c->types_size, c->strings, c->strings_size);
	return 0;
}

int kbtf_make_subset(const struct kbtf *k, const struct btf *local, struct kbtf_bytes *out)
{
	struct cut *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (!c)
		return rc;
	c->k = k;
	c->new_id = calloc(k->n, sizeof(*c->new_id));
	c->taken = calloc(k->n + 1, sizeof(*c->taken));
	if (c->new_id && c->taken && grow(c, &c->strings, &c->strings_size, &c->strings_room, 1)) {
		c->strings[0] = '\0';
		collect_names(c, local);
		take_roots(c);
		/* what is written may take more */
		for (uint32_t i = 1; i <= c->n && !c->failed; i++)
			write_type(c, c->taken[i]);
		if (!c->failed)
			rc = assemble(c, out);
	}
	free(c->new_id);
	free(c->taken);
	free(c->types);
	free(c->strings);
	free(c);
	return rc;
}
