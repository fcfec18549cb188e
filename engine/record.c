/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Layouts from BTF. What a type means is in record_kind.c, the values of fields in record_value.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <bpf/btf.h>
#include "record_priv.h"
#include "util.h"

#define MAX_FIELDS 128
#define MAX_DEPTH  8

/* Names and enum tables of a layout live in one list of blocks, freed together. */
struct block {
	struct block *next;
	char bytes[];
};

void *record_keep(struct layout *layout, size_t size)
{
	struct block *block = calloc(1, sizeof(*block) + size);

	if (!block)
		return NULL;
	block->next = layout->memory;
	layout->memory = block;
	return block->bytes;
}

static const char *keep_str(struct layout *layout, const char *s)
{
	char *copy = record_keep(layout, strlen(s) + 1);

	return copy ? strcpy(copy, s) : NULL;
}

/* Text of the declaration tag "doc:..." on a type's component (-1: the type itself), or "". */
static const char *find_doc(const struct btf *btf, int type_id, int component)
{
	int n = (int)btf__type_cnt(btf);

	for (int i = 1; i < n; i++) {
		const struct btf_type *t = btf__type_by_id(btf, i);
		const char *text;

		if (!btf_is_decl_tag(t) || (int)t->type != type_id ||
		    btf_decl_tag(t)->component_idx != component)
			continue;
		text = btf__name_by_offset(btf, t->name_off);
		if (str_starts(text, "doc:"))
			return text + 4;
	}
	return "";
}

/* Padding has to be written out in a record, and is nobody's business. */
static bool is_padding(const char *name)
{
	return str_starts(name, "zero") || str_starts(name, "pad");
}

/* BTF is a part of a file, which may say anything: no field may reach beyond the record. */
static int check_place(struct builder *b, const struct field *f)
{
	if (f->size > b->layout->size || f->offset > b->layout->size - f->size)
		return record_no_type(b, f, "not inside it");
	if (!f->bit_size)
		return 0;
	if (f->kind > FIELD_ERRNO || f->kind == FIELD_BE || f->kind == FIELD_OPT)
		return record_no_type(b, f, "a bit field of another type than integers");
	if (f->bit_offset + f->bit_size > (int)f->size * 8)
		return record_no_type(b, f, "a bit field that crosses its integer");
	return 0;
}

static int add_struct(struct builder *b, int type_id, uint32_t base);

static int add_member(struct builder *b, int type_id, int i, uint32_t base)
{
	const struct btf_type *t = btf__type_by_id(b->btf, type_id);
	const struct btf_member *m = btf_members(t) + i;
	const char *name = btf__name_by_offset(b->btf, m->name_off);
	uint32_t bits = btf_member_bit_offset(t, i);
	struct field *f = &b->layout->fields[b->layout->nr_fields];
	int rc;

	if (!*name)
		return add_struct(b, (int)m->type, base + bits / 8);
	if (is_padding(name))
		return 0;
	if (b->layout->nr_fields == MAX_FIELDS)
		return err_set(b->err, -EINVAL, "'%s' has more than %d fields", b->layout->name,
			       MAX_FIELDS);
	memset(f, 0, sizeof(*f));
	f->name = keep_str(b->layout, name);
	f->doc = keep_str(b->layout, find_doc(b->btf, type_id, i));
	if (!f->name || !f->doc)
		return err_set(b->err, -ENOMEM, "out of memory");
	rc = record_set_kind(b, f, (int)m->type);
	if (rc)
		return rc;
	f->offset = base + bits / 8;
	f->bit_size = (uint8_t)btf_member_bitfield_size(t, i);
	if (f->bit_size) {
		/* read the whole integer that the bits are in */
		f->offset = base + bits / 8 / f->size * f->size;
		f->bit_offset = (uint8_t)(bits - (f->offset - base) * 8);
	}
	b->layout->nr_fields++;
	return check_place(b, f);
}

static int add_struct(struct builder *b, int type_id, uint32_t base)
{
	const char *name;
	const struct btf_type *t = record_resolve(b->btf, type_id, &name);
	int rc = 0;

	if (!t || !btf_is_struct(t))
		return err_set(b->err, -EINVAL, "'%s' has a nameless union", b->layout->name);
	while (btf__type_by_id(b->btf, type_id) != t)
		type_id = (int)btf__type_by_id(b->btf, type_id)->type;
	if (b->depth == MAX_DEPTH)
		return err_set(b->err, -EINVAL, "'%s' is nested too deeply", b->layout->name);
	b->depth++;
	for (int i = 0; i < btf_vlen(t) && !rc; i++)
		rc = add_member(b, type_id, i, base);
	b->depth--;
	return rc;
}

static int add_scalar(struct builder *b, int type_id)
{
	struct field *f = b->layout->fields;

	b->layout->scalar = true;
	b->layout->nr_fields = 1;
	f->name = f->doc = "";
	return record_set_kind(b, f, type_id);
}

static int build(struct builder *b, int type_id)
{
	const char *name;
	const struct btf_type *t = record_resolve(b->btf, type_id, &name);
	int64_t size = btf__resolve_size(b->btf, (uint32_t)type_id);

	b->layout->name = t ? keep_str(b->layout, name) : NULL;
	b->layout->fields = record_keep(b->layout, sizeof(struct field) * (MAX_FIELDS + 1));
	b->layout->doc = "";
	if (!t || size < 0)
		return err_set(b->err, -EINVAL, "BTF has no type %d with a size", type_id);
	if (!b->layout->name || !b->layout->fields)
		return err_set(b->err, -ENOMEM, "out of memory");
	b->layout->size = (uint32_t)size;
	if (btf_is_struct(t) && !record_set_struct(b->layout->fields, t, name))
		return add_struct(b, type_id, 0);
	return add_scalar(b, type_id);
}

/* A list's length stands beside it under its name. */
static int find_lengths(struct builder *b)
{
	struct layout *layout = b->layout;
	char name[256];

	for (int i = 0; i < layout->nr_fields; i++) {
		struct field *f = &layout->fields[i];

		if (f->kind != FIELD_LIST)
			continue;
		snprintf(name, sizeof(name), "nr_%s", f->name);
		f->len = layout_field(layout, name);
		if (!f->len || f->len->kind != FIELD_UINT)
			return err_set(b->err, -EINVAL,
				       "list '%s' of '%s' needs an unsigned integer '%s' beside it",
				       f->name, layout->name, name);
	}
	return 0;
}

static int new_layout(struct layout **out, const struct btf *btf, int type_id, bool in_list,
		      struct err *err)
{
	struct layout *layout = calloc(1, sizeof(*layout));
	struct builder b = { btf, layout, err, 0, in_list };
	int rc;

	*out = NULL;
	if (!layout)
		return err_set(err, -ENOMEM, "out of memory");
	rc = build(&b, type_id);
	if (!rc)
		rc = find_lengths(&b);
	if (rc) {
		layout_free(layout);
		return rc;
	}
	*out = layout;
	return 0;
}

int layout_new(struct layout **out, const struct btf *btf, int type_id, struct err *err)
{
	return new_layout(out, btf, type_id, false, err);
}

int record_add_entry(struct builder *b, int type_id, const char *name, const struct layout **entry)
{
	struct layout *layout;
	int rc = new_layout(&layout, b->btf, type_id, true, b->err);

	if (rc)
		return rc;
	if (layout->scalar) /* for messages */
		layout->fields[0].name = name;
	layout->next = b->layout->entries;
	b->layout->entries = layout;
	*entry = layout;
	return 0;
}

void layout_free(struct layout *layout)
{
	struct block *block, *next;
	struct layout *entry;

	if (!layout)
		return;
	while ((entry = layout->entries)) {
		layout->entries = entry->next;
		layout_free(entry);
	}
	stack_texts_release(layout->stacks);
	for (block = layout->memory; block; block = next) {
		next = block->next;
		free(block);
	}
	free(layout);
}

int layout_set_doc(struct layout *layout, const char *doc)
{
	const char *copy = keep_str(layout, doc);

	if (!copy)
		return -ENOMEM;
	layout->doc = copy;
	return 0;
}

struct stack_texts *stack_texts_hold(struct stack_texts *texts)
{
	if (texts)
		texts->holders++;
	return texts;
}

void stack_texts_release(struct stack_texts *texts)
{
	if (texts && --texts->holders == 0)
		texts->free(texts);
}

static void set_stacks(struct layout *layout, struct stack_texts *texts)
{
	for (int i = 0; i < layout->nr_fields; i++)
		if (layout->fields[i].kind == FIELD_STACK)
			layout->fields[i].stacks = texts;
	for (struct layout *entry = layout->entries; entry; entry = entry->next)
		set_stacks(entry, texts);
}

void layout_set_stacks(struct layout *layout, struct stack_texts *texts)
{
	layout->stacks = texts;
	set_stacks(layout, texts);
}

const struct field *layout_field(const struct layout *layout, const char *name)
{
	for (int i = 0; i < layout->nr_fields; i++)
		if (str_eq(layout->fields[i].name, name))
			return &layout->fields[i];
	return NULL;
}

static const char *next_field(const void *arg, int i)
{
	const struct layout *layout = arg;

	return i < layout->nr_fields ? layout->fields[i].name : NULL;
}

int layout_no_field(const struct layout *layout, const char *name, struct err *err)
{
	const char *near = nearest_name(name, next_field, layout);
	char known[512] = "";
	size_t len = 0;

	for (int i = 0; i < layout->nr_fields && len < sizeof(known) - 64; i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
					layout->fields[i].name);
	if (near)
		return err_set(err, -EINVAL,
			       "unknown field \"%s\", did you mean \"%s\"? (known: %s)", name, near,
			       known);
	return err_set(err, -EINVAL, "unknown field \"%s\" (known: %s)", name, known);
}
