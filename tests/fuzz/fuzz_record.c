/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_record.c - BTF as a broken file could hold it, and what a script could say (libFuzzer).
 *
 * The input is read as a list of types, made with libbpf, whose own parser is not what is tested;
 * then as a record, whose fields are read and written; then as text, for filters and names.
 */
#include <stdlib.h>
#include <string.h>
#include "filter.h"
#include "record.h"
#include "types.h"

struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static uint32_t word(struct input *in)
{
	uint32_t b = byte(in);

	/* small numbers mostly: they are what fits together */
	return b < 0xf0 ? b : b << 24 | (uint32_t)byte(in) << 16 | byte(in);
}

static const char *name(struct input *in)
{
	static const char *const names[] = { "",
					     "a",
					     "nr_a",
					     "b",
					     "char",
					     "errno_t",
					     "__be16",
					     "opt_u32",
					     "opt_u64",
					     "in_addr",
					     "in6_addr",
					     "mac_addr",
					     "drop_reason_t",
					     "ksym_t",
					     "kstack_t",
					     "tcp_flags_t",
					     "pad",
					     "zero1",
					     "event",
					     "filter_kind",
					     "FILTER_PID",
					     "FILTER_COMM",
					     "FILTER_ADDR",
					     "FILTER_FAMILY",
					     "FILTER_NETNS",
					     "end",
					     "END_X" };

	return names[byte(in) % (sizeof(names) / sizeof(names[0]))];
}

static void add_members(struct input *in, struct btf *btf)
{
	for (int n = byte(in) % 12; n; n--) {
		const char *member = name(in);
		int type = (int)(word(in) % (btf__type_cnt(btf) + 4));
		uint32_t at = word(in), bits = byte(in);

		btf__add_field(btf, *member ? member : NULL, type, at,
			       bits < 0x80 ? 0 : bits - 0x80);
	}
}

static void add_values(struct input *in, struct btf *btf)
{
	for (int n = byte(in) % 8; n; n--) {
		const char *value = name(in);

		btf__add_enum_value(btf, *value ? value : "x", (int32_t)word(in));
	}
}

static void add_type(struct input *in, struct types *t)
{
	struct btf *btf = t->btf;
	uint8_t kind = byte(in);
	const char *type_name = name(in);
	int ref = (int)(word(in) % (btf__type_cnt(btf) + 2));

	switch (kind % 10) {
	case 0:
		btf__add_struct(btf, type_name, word(in));
		add_members(in, btf);
		break;
	case 1:
		btf__add_union(btf, type_name, word(in));
		add_members(in, btf);
		break;
	case 2:
		btf__add_enum(btf, type_name, 1u << byte(in) % 4);
		add_values(in, btf);
		break;
	case 3:
		btf__add_array(btf, t->u32, ref, word(in));
		break;
	case 4:
		btf__add_typedef(btf, type_name, ref);
		break;
	case 5:
		btf__add_int(btf, *type_name ? type_name : "x", 1u << byte(in) % 5, byte(in) % 8);
		break;
	case 6:
		btf__add_ptr(btf, ref);
		break;
	case 7:
		btf__add_const(btf, ref);
		break;
	case 8:
		btf__add_decl_tag(btf, "doc:text", ref, (int)(byte(in) % 8) - 1);
		break;
	case 9:
		btf__add_float(btf, "float", 1u << byte(in) % 5);
		break;
	}
}

/* Text that ends with the allocation, as the sanitizer sees it. */
static struct value text_value(struct input *in)
{
	struct value v = { .type = VALUE_STR };
	size_t n = byte(in) % 80;
	char *copy;

	n = n < in->left ? n : in->left;
	copy = memcpy(malloc(n + 1), in->p, n);
	copy[n] = '\0';
	in->p += n;
	in->left -= n;
	v.s = copy;
	v.len = n;
	return v;
}

static void use_field(struct input *in, const struct field *field, uint8_t *record)
{
	struct value v, text = text_value(in);
	struct err err;

	field_get(field, record, &v);
	/* what was read can be written, unless it is a name that nothing has */
	if (field_set(field, record, &v, &err) && v.type == VALUE_INT)
		abort();
	field_set(field, record, &text, &err);
	v = (struct value){ .type = VALUE_INT, .i = (int32_t)word(in) };
	field_set(field, record, &v, &err);
	v.type = (enum value_type)(byte(in) % 3);
	field_set(field, record, &v, &err);
	field_type_name(field);
	free((void *)text.s);
}

static void use_list(struct input *in, const struct field *list, uint8_t *record)
{
	for (uint32_t i = 0; i < field_list_len(list, record) && i < 4; i++) {
		uint8_t *entry = (uint8_t *)field_list_entry(list, record, i);

		for (int k = 0; k < list->entry->nr_fields; k++)
			use_field(in, &list->entry->fields[k], entry);
	}
}

static void use_layout(struct input *in, const struct btf *btf, int type)
{
	struct layout *layout;
	struct err err;
	uint8_t *record;

	if (layout_new(&layout, btf, type, &err))
		return;
	if (layout->size > 1 << 20) {
		layout_free(layout);
		return;
	}
	record = malloc(layout->size ? layout->size : 1);
	for (uint32_t i = 0; i < layout->size; i++)
		record[i] = byte(in);
	for (int i = 0; i < layout->nr_fields; i++) {
		if (layout->fields[i].kind == FIELD_LIST)
			use_list(in, &layout->fields[i], record);
		use_field(in, &layout->fields[i], record);
	}
	layout_no_field(layout, name(in), &err);
	free(record);
	layout_free(layout);
}

static void use_filters(struct input *in, const struct btf *btf)
{
	static const char *const names[] = { "daddr", "comm", "family", "pid",
					     "dport", "uid",  "nope" };
	struct filter_kinds kinds;
	struct filter *filter;
	struct err err;

	filter_kinds_read(&kinds, btf);
	if (!kinds.n) {
		kinds.n = 6;
		for (int i = 0; i < kinds.n; i++) {
			kinds.kind[i].name = names[i];
			kinds.kind[i].number = i;
		}
	}
	filter = filter_new(&kinds);
	while (in->left) {
		int which = byte(in) % (kinds.n + 1);
		struct value v = text_value(in);

		filter_add(filter, which < kinds.n ? kinds.kind[which].name : v.s, &v, &err);
		free((void *)v.s);
	}
	filter_free(filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct types types;
	int first;

	types_new(&types);
	first = (int)btf__type_cnt(types.btf);
	for (int n = byte(&in) % 12; n; n--)
		add_type(&in, &types);
	for (int id = first; id < (int)btf__type_cnt(types.btf) + 1; id++)
		use_layout(&in, types.btf, id);
	use_filters(&in, types.btf);
	types_free(&types);
	return 0;
}
