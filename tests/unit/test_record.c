/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Layouts from BTF: which members become fields, of which kind, and what is refused. */
#include <errno.h>
#include "record.h"
#include "t.h"
#include "types.h"

static struct types types;

static struct layout *layout_of(int type)
{
	struct layout *layout;
	struct err err;

	if (layout_new(&layout, types.btf, type, &err))
		FAIL("%s", err.msg);
	return layout;
}

/* The kind of a struct's only member of this type. */
static void check_kind(int type, uint32_t size, enum field_kind kind, const char *type_name)
{
	struct layout *layout = layout_of(types_struct(&types, "member", type, 64, 8 * 8, 0));
	const struct field *f = layout_field(layout, "member");

	CHECK(f);
	CHECK_INT(f->kind, kind);
	CHECK_INT(f->size, size);
	CHECK_INT(f->offset, 8);
	CHECK_INT(f->bit_size, 0);
	CHECK_STR(field_type_name(f), type_name);
	layout_free(layout);
}

static void integers(void)
{
	types_new(&types);
	check_kind(types.u8, 1, FIELD_UINT, "integer");
	check_kind(types.u16, 2, FIELD_UINT, "integer");
	check_kind(types.u32, 4, FIELD_UINT, "integer");
	check_kind(types.u64, 8, FIELD_UINT, "integer");
	check_kind(types.s8, 1, FIELD_INT, "integer");
	check_kind(types.s16, 2, FIELD_INT, "integer");
	check_kind(types.s32, 4, FIELD_INT, "integer");
	check_kind(types.s64, 8, FIELD_INT, "integer");
	check_kind(types.boolean, 1, FIELD_BOOL, "boolean");
	types_free(&types);
}

static void typedefs(void)
{
	int id;

	types_new(&types);
	check_kind(types.be16, 2, FIELD_BE, "integer");
	check_kind(types.be32, 4, FIELD_BE, "integer");
	check_kind(types.be64, 8, FIELD_BE, "integer");
	check_kind(types.opt32, 4, FIELD_OPT, "integer or nil");
	check_kind(types.opt64, 8, FIELD_OPT, "integer or nil");
	check_kind(types.err, 4, FIELD_ERRNO, "errno name");
	check_kind(types.reason, 4, FIELD_REASON, "drop reason");
	check_kind(types.ksym, 8, FIELD_KSYM, "kernel symbol");
	check_kind(types.kstack, 4, FIELD_STACK, "kernel stack");
	check_kind(types.flags, 1, FIELD_FLAGS, "TCP flags");
	/* of another size the same names mean nothing */
	check_kind(btf__add_typedef(types.btf, "ksym_t", types.u32), 4, FIELD_UINT, "integer");
	check_kind(btf__add_typedef(types.btf, "kstack_t", types.s64), 8, FIELD_INT, "integer");
	id = btf__add_const(types.btf, btf__add_volatile(types.btf, types.opt32));
	check_kind(id, 4, FIELD_OPT, "integer or nil");
	types_free(&types);
}

static void arrays_and_addresses(void)
{
	int u8, ch, id;

	types_new(&types);
	u8 = btf__add_typedef(types.btf, "__u8", types.u8);
	ch = btf__add_const(types.btf, types.ch);
	id = types_array(&types, types.ch, 16);
	check_kind(id, 16, FIELD_STR, "string");
	id = types_array(&types, ch, 1);
	check_kind(id, 1, FIELD_STR, "string");
	id = types_array(&types, u8, 20);
	check_kind(id, 20, FIELD_BYTES, "string");
	check_kind(types.in_addr, 4, FIELD_ADDR4, "address");
	check_kind(types.in6_addr, 16, FIELD_ADDR6, "address");
	check_kind(types.mac, 6, FIELD_MAC, "MAC address");
	types_free(&types);
}

static void enums(void)
{
	static const char *const names[] = { "END_RST_SENT", "END_Fin", "ENDING", "OTHER_X", NULL };
	static const int64_t values[] = { 0, 1, 2, -3 };
	static const char *const seen[] = { "rst_sent", "fin", "ending", "other_x" };
	struct layout *layout;
	const struct field *f;

	types_new(&types);
	layout = layout_of(types_struct(&types, "member",
					types_enum(&types, "end", 4, names, values), 8, 0, 0));
	f = layout_field(layout, "member");
	CHECK_INT(f->kind, FIELD_ENUM);
	CHECK_INT(f->nr_names, 4);
	for (int i = 0; i < 4; i++) {
		CHECK_STR(f->names[i].name, seen[i]);
		CHECK_INT(f->names[i].value, values[i]);
	}
	layout_free(layout);
	check_kind(types_enum(&types, "tiny", 1, names, values), 1, FIELD_ENUM, "string");
	check_kind(types_enum(&types, NULL, 4, names, values), 4, FIELD_ENUM, "string");
	types_free(&types);
}

/* struct inner { u32 a; u32 zero1; }; struct event { u64 ts; struct inner; u16 pad; u16 b; ... } */
static void nested_members(void)
{
	struct layout *layout;
	int inner, id;

	types_new(&types);
	inner = btf__add_struct(types.btf, "inner", 8);
	btf__add_field(types.btf, "a", types.u32, 0, 0);
	btf__add_field(types.btf, "zero1", types.u32, 32, 0);
	id = btf__add_struct(types.btf, "event", 24);
	btf__add_field(types.btf, "ts", types.u64, 0, 0);
	btf__add_field(types.btf, NULL, inner, 64, 0);
	btf__add_field(types.btf, "pad", types.u16, 128, 0);
	btf__add_field(types.btf, "b", types.u16, 144, 0);
	btf__add_field(types.btf, "zero", types.u32, 160, 0);
	layout = layout_of(id);
	CHECK_INT(layout->size, 24);
	CHECK_STR(layout->name, "event");
	CHECK(!layout->scalar);
	CHECK_INT(layout->nr_fields, 3);
	CHECK_STR(layout->fields[0].name, "ts");
	CHECK_STR(layout->fields[1].name, "a");
	CHECK_INT(layout->fields[1].offset, 8);
	CHECK_STR(layout->fields[2].name, "b");
	CHECK_INT(layout->fields[2].offset, 18);
	layout_free(layout);
	types_free(&types);
}

static void docs(void)
{
	struct layout *layout;
	int id;

	types_new(&types);
	id = btf__add_struct(types.btf, "event", 16);
	btf__add_field(types.btf, "a", types.u64, 0, 0);
	btf__add_field(types.btf, "b", types.u64, 64, 0);
	btf__add_decl_tag(types.btf, "optional", id, 0);
	btf__add_decl_tag(types.btf, "doc:what b is", id, 1);
	btf__add_decl_tag(types.btf, "doc:the whole", id, -1);
	btf__add_decl_tag(types.btf, "doc:another's", types.u64, -1);
	layout = layout_of(id);
	CHECK_STR(layout_field(layout, "a")->doc, "");
	CHECK_STR(layout_field(layout, "b")->doc, "what b is");
	CHECK_STR(layout->doc, "");
	CHECK_INT(layout_set_doc(layout, "about"), 0);
	CHECK_STR(layout->doc, "about");
	layout_free(layout);
	types_free(&types);
}

static void scalars(void)
{
	struct layout *layout;

	types_new(&types);
	layout = layout_of(types.u32);
	CHECK(layout->scalar);
	CHECK_INT(layout->size, 4);
	CHECK_INT(layout->nr_fields, 1);
	CHECK_INT(layout->fields[0].kind, FIELD_UINT);
	layout_free(layout);
	layout = layout_of(types.in6_addr);
	CHECK(layout->scalar);
	CHECK_INT(layout->fields[0].kind, FIELD_ADDR6);
	layout_free(layout);
	layout = layout_of(types.mac);
	CHECK(layout->scalar);
	CHECK_INT(layout->fields[0].kind, FIELD_MAC);
	layout_free(layout);
	types_free(&types);
}

static void check_refused(int struct_id, const char *message)
{
	struct layout *layout = (void *)1;
	struct err err = { 0 };

	CHECK_INT(layout_new(&layout, types.btf, struct_id, &err), -EINVAL);
	CHECK(!layout);
	CHECK_INT(err.code, -EINVAL);
	CHECK_HAS(err.msg, message);
}

static void refuse_member(int type)
{
	check_refused(types_struct(&types, "odd", type, 64, 0, 0), "field 'odd' of 'event'");
}

static void refused_types(void)
{
	int id;

	types_new(&types);
	refuse_member(btf__add_ptr(types.btf, types.u32));
	refuse_member(btf__add_float(types.btf, "double", 8));
	id = btf__add_union(types.btf, "u", 8);
	btf__add_field(types.btf, "a", types.u64, 0, 0);
	refuse_member(id);
	check_refused(types_struct(&types, NULL, id, 64, 0, 0), "union");
	id = btf__add_struct(types.btf, "inner", 8);
	btf__add_field(types.btf, "a", types.u64, 0, 0);
	refuse_member(id);
	refuse_member(types_array(&types, types.u32, 4));
	refuse_member(btf__add_int(types.btf, "__int128", 16, 0));
	refuse_member(btf__add_fwd(types.btf, "later", BTF_FWD_STRUCT));
	check_refused(types_struct(&types, "odd", 9999, 64, 0, 0), "odd");
	check_refused(9999, "9999");
	types_free(&types);
}

/* BTF that no compiler writes, but a user's file may hold, must not lead outside the record. */
static void broken_types(void)
{
	int id;

	types_new(&types);
	refuse_member(types_array(&types, types.ch, 0));
	refuse_member(types_array(&types, types.ch, 0x40000000));
	check_refused(types_struct(&types, "odd", types.u64, 8, 4 * 8, 0), "odd");
	check_refused(types_struct(&types, "odd", types.u32, 8, 100 * 8, 0), "odd");
	check_refused(types_struct(&types, "odd", types.u32, 6, 4 * 8, 3), "odd");
	check_refused(types_struct(&types, "odd", types.u16, 8, 12, 9), "odd");
	check_refused(types_struct(&types, "odd", types.u32, 8, 0, 40), "odd");
	check_refused(types_struct(&types, "odd", types.be16, 8, 0, 4), "odd");
	id = types_array(&types, types.ch, 0);
	check_refused(types_struct(&types, "odd", id, 8, 0, 3), "odd");
	id = (int)btf__type_cnt(types.btf);
	check_refused(types_struct(&types, NULL, id, 8, 0, 0), "nested too deeply");
	id = (int)btf__type_cnt(types.btf);
	btf__add_typedef(types.btf, "self", id);
	refuse_member(id);
	check_refused(types_struct(&types, NULL, id, 8, 0, 0), "event");
	types_free(&types);
}

static void many_fields(void)
{
	char name[16];
	int id;

	types_new(&types);
	id = btf__add_struct(types.btf, "event", 8 * 200);
	for (uint32_t i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		btf__add_field(types.btf, name, types.u64, i * 64, 0);
	}
	check_refused(id, "more than 128 fields");
	types_free(&types);
}

static void unknown_fields(void)
{
	struct layout *layout;
	struct err err = { 0 };
	int id;

	types_new(&types);
	id = btf__add_struct(types.btf, "event", 16);
	btf__add_field(types.btf, "duration_ns", types.u64, 0, 0);
	btf__add_field(types.btf, "dport", types.be16, 64, 0);
	layout = layout_of(id);
	CHECK(!layout_field(layout, "durration_ns"));
	CHECK(!layout_field(layout, ""));
	CHECK_INT(layout_no_field(layout, "durration_ns", &err), -EINVAL);
	CHECK_HAS(err.msg, "unknown field \"durration_ns\", did you mean \"duration_ns\"?");
	CHECK_HAS(err.msg, "(known: duration_ns, dport)");
	layout_no_field(layout, "sprot", &err);
	CHECK_HAS(err.msg, "did you mean \"dport\"?");
	layout_no_field(layout, "colour", &err);
	CHECK(!strstr(err.msg, "did you mean"));
	layout_free(layout);
	types_free(&types);
}

/* struct hop { ksym_t at; __u32 n; kstack_t stack; }; struct event { hops[3]; nr_hops; addrs[2]; ... } */
static int list_types(int len_type, int addr_len_type)
{
	int hop, hops, addrs, id;

	hop = btf__add_struct(types.btf, "hop", 16);
	btf__add_field(types.btf, "at", types.ksym, 0, 0);
	btf__add_field(types.btf, "n", types.u32, 64, 0);
	btf__add_field(types.btf, "stack", types.kstack, 96, 0);
	hops = types_array(&types, hop, 3);
	addrs = types_array(&types, types.in_addr, 2);
	id = btf__add_struct(types.btf, "event", 64);
	btf__add_field(types.btf, "hops", hops, 0, 0);
	btf__add_field(types.btf, "nr_hops", len_type, 48 * 8, 0);
	if (addr_len_type)
		btf__add_field(types.btf, "nr_addrs", addr_len_type, 52 * 8, 0);
	btf__add_field(types.btf, "addrs", addrs, 56 * 8, 0);
	return id;
}

static void free_no_texts(struct stack_texts *texts)
{
	texts->holders = 0;
}

static void lists(void)
{
	struct stack_texts texts = { NULL, free_no_texts, 1 };
	struct layout *layout;
	const struct field *hops, *addrs, *inner;
	uint8_t record[64] = { 0 };
	struct value value;
	struct err err;

	types_new(&types);
	layout = layout_of(list_types(types.u32, types.u8));
	CHECK_INT(layout->nr_fields, 4);
	hops = layout_field(layout, "hops");
	CHECK_INT(hops->kind, FIELD_LIST);
	CHECK_STR(field_type_name(hops), "list");
	CHECK_INT(hops->size, 48);
	CHECK_INT(hops->room, 3);
	CHECK_STR(hops->entry->name, "hop");
	CHECK_INT(hops->entry->nr_fields, 3);
	CHECK(hops->len == layout_field(layout, "nr_hops"));
	addrs = layout_field(layout, "addrs");
	CHECK(addrs->entry->scalar);
	CHECK_INT(addrs->entry->fields[0].kind, FIELD_ADDR4);
	for (uint32_t n = 0; n < 6; n++) {
		record[48] = (uint8_t)n;
		CHECK_INT(field_list_len(hops, record), n < 3 ? n : 3);
	}
	record[51] = 0xff; /* of 32 bits */
	CHECK_INT(field_list_len(hops, record), 3);
	record[52] = 1;
	CHECK_INT(field_list_len(addrs, record), 1);
	inner = layout_field(hops->entry, "n");
	record[2 * 16 + 8] = 77;
	field_get(inner, field_list_entry(hops, record, 2), &value);
	CHECK_INT(value.i, 77);
	field_get(hops, record, &value); /* a list has no value of its own */
	CHECK_INT(value.type, VALUE_NIL);
	CHECK_INT(field_set(hops, record, &value, &err), -EINVAL);
	CHECK_HAS(err.msg, "field \"hops\": expected list, got nil");
	layout_set_stacks(layout, &texts);
	CHECK(layout_field(hops->entry, "stack")->stacks == &texts);
	layout_free(layout);
	CHECK_INT(texts.holders, 0);
	types_free(&types);
}

static void refused_lists(void)
{
	int hop, hops, outer, id;

	types_new(&types);
	check_refused(list_types(types.s32, types.u8),
		      "list 'hops' of 'event' needs an unsigned integer 'nr_hops' beside it");
	check_refused(list_types(types.u32, 0), "needs an unsigned integer 'nr_addrs' beside it");
	check_refused(list_types(types.u32, types.opt32), "an unsigned integer 'nr_addrs'");
	/* a list in a list; of itself; of nothing; beyond the record's end */
	hop = btf__add_struct(types.btf, "hop", 8);
	btf__add_field(types.btf, "n", types.u64, 0, 0);
	hops = types_array(&types, hop, 2);
	outer = btf__add_struct(types.btf, "outer", 24);
	btf__add_field(types.btf, "hops", hops, 0, 0);
	btf__add_field(types.btf, "nr_hops", types.u64, 16 * 8, 0);
	hops = types_array(&types, outer, 2);
	check_refused(types_struct(&types, "odd", hops, 64, 0, 0),
		      "list 'odd': field 'hops' of 'outer' is a list in a list");
	id = (int)btf__type_cnt(types.btf);
	check_refused(types_struct(&types, "odd", types_array(&types, id + 1, 1), 64, 0, 0),
		      "list 'odd': field 'odd' of 'event' is a list in a list");
	refuse_member(types_array(&types, hop, 0));
	refuse_member(types_array(&types, hop, 9));
	refuse_member(types_array(&types, hop, 0x20000001));
	id = btf__add_struct(types.btf, "empty", 0);
	refuse_member(types_array(&types, id, 1));
	check_refused(types_struct(&types, "odd", types_array(&types, hop, 8), 64, 8, 0),
		      "field 'odd' of 'event' is not inside it");
	check_refused(types_array(&types, hop, 2), "a list without its length");
	hop = btf__add_struct(types.btf, "hop", 8);
	btf__add_field(types.btf, "p", btf__add_ptr(types.btf, types.u32), 0, 0);
	check_refused(types_struct(&types, "odd", types_array(&types, hop, 2), 64, 0, 0), "odd");
	types_free(&types);
}

/* Names as long as C allows: the message is cut, and nothing beyond it. */
static void long_names(void)
{
	struct layout *layout;
	struct err err;
	char name[300];
	int id;

	types_new(&types);
	id = btf__add_struct(types.btf, "event", 8 * 40);
	for (uint32_t i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "%0250u", i);
		btf__add_field(types.btf, name, types.u64, i * 64, 0);
	}
	layout = layout_of(id);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	CHECK_INT(layout_no_field(layout, name, &err), -EINVAL);
	CHECK_HAS(err.msg, "unknown field \"xxx");
	layout_free(layout);
	types_free(&types);
}

static const struct t_case cases[] = {
	{ "integers keep their size and sign", integers },
	{ "typedefs decide how integers are seen", typedefs },
	{ "byte arrays are text or bytes, in_addr and in6_addr addresses", arrays_and_addresses },
	{ "enumerators lose the enum's name and become lower-case", enums },
	{ "nameless structs are taken apart, padding is left out", nested_members },
	{ "declaration tags document fields", docs },
	{ "a type that is no struct is one field without a name", scalars },
	{ "types without a value are refused by the field's name", refused_types },
	{ "members outside their struct are refused", broken_types },
	{ "a struct has at most 128 fields", many_fields },
	{ "an array of structs is a list, as long as its nr_ says", lists },
	{ "lists without length, in lists, or outside the record are refused", refused_lists },
	{ "an unknown field is answered with the nearest one", unknown_fields },
	{ "long names fit the message", long_names },
};

T_MAIN(cases)
