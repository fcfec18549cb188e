/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The table that says how a type is seen. */
#include <ctype.h>
#include <errno.h>
#include "reasons.h"
#include "record_priv.h"
#include "util.h"

const struct btf_type *record_resolve(const struct btf *btf, int id, const char **name)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	*name = "";
	for (int i = 0; t && (btf_is_mod(t) || btf_is_typedef(t)); i++) {
		if (i == 32) /* as in libbpf: a typedef of itself */
			return NULL;
		if (btf_is_typedef(t) && !**name)
			*name = btf__name_by_offset(btf, t->name_off);
		t = btf__type_by_id(btf, t->type);
	}
	if (t && !**name)
		*name = btf__name_by_offset(btf, t->name_off);
	return t;
}

/* "RST_SENT" of enum end { END_RST_SENT } becomes "rst_sent". */
static const char *enum_text(struct layout *layout, const char *name, const char *enum_name)
{
	size_t len = strlen(enum_name);
	char *copy;

	if (len && strncasecmp(name, enum_name, len) == 0 && name[len] == '_')
		name += len + 1;
	copy = record_keep(layout, strlen(name) + 1);
	for (size_t i = 0; copy && name[i]; i++)
		copy[i] = (char)tolower((unsigned char)name[i]);
	return copy;
}

static int set_enum(struct builder *b, struct field *f, const struct btf_type *t)
{
	const struct btf_enum *e = btf_enum(t);
	const char *own = btf__name_by_offset(b->btf, t->name_off);
	int n = btf_vlen(t);
	struct enum_name *names = record_keep(b->layout, sizeof(*names) * (size_t)(n ? n : 1));

	if (!names)
		return err_set(b->err, -ENOMEM, "out of memory");
	for (int i = 0; i < n; i++) {
		names[i].value = e[i].val;
		f->has_negative |= e[i].val < 0;
		names[i].name =
			enum_text(b->layout, btf__name_by_offset(b->btf, e[i].name_off), own);
		if (!names[i].name)
			return err_set(b->err, -ENOMEM, "out of memory");
	}
	f->kind = FIELD_ENUM;
	f->names = names;
	f->nr_names = n;
	return 0;
}

int record_no_type(struct builder *b, const struct field *f, const char *what)
{
	err_set(b->err, -EINVAL, "field '%s' of '%s' is %s, which a script can't see", f->name,
		b->layout->name, what);
	err_hint(b->err, "use integers, enums, bool, char[N], __u8[N], struct in_addr, in6_addr or "
			 "mac_addr, or an array of structs");
	return -EINVAL;
}

static int set_list(struct builder *b, struct field *f, const struct btf_array *a)
{
	int rc;

	if (b->in_list)
		return record_no_type(b, f, "a list in a list");
	if (b->layout->scalar)
		return record_no_type(b, f, "a list without its length");
	rc = record_add_entry(b, (int)a->type, f->name, &f->entry);
	if (rc)
		return err_prefix(b->err, "list '%s'", f->name);
	if (!f->entry->size || !a->nelems || a->nelems > b->layout->size / f->entry->size)
		return record_no_type(b, f, "not inside it");
	f->kind = FIELD_LIST;
	f->size = a->nelems * f->entry->size;
	f->room = a->nelems;
	return 0;
}

static int set_array(struct builder *b, struct field *f, const struct btf_type *t)
{
	const struct btf_array *a = btf_array(t);
	const char *name;
	const struct btf_type *elem = record_resolve(b->btf, (int)a->type, &name);

	if (elem && btf_is_struct(elem))
		return set_list(b, f, a);
	if (!elem || !btf_is_int(elem) || elem->size != 1 || !a->nelems)
		return record_no_type(b, f, "an array of something else than bytes or structs");
	f->size = a->nelems;
	f->kind = str_eq(name, "char") ? FIELD_STR : FIELD_BYTES;
	return 0;
}

static const struct enum_name tcp_flags[] = {
	{ "FIN", 1 << 0 }, { "SYN", 1 << 1 }, { "RST", 1 << 2 }, { "PSH", 1 << 3 },
	{ "ACK", 1 << 4 }, { "URG", 1 << 5 }, { "ECE", 1 << 6 }, { "CWR", 1 << 7 },
};

/* Typedefs of bpf/probe.h that mean something only in the size that they have there. */
static const struct {
	const char *name;
	uint32_t size;
	enum field_kind kind;
} typedefs[] = {
	{ "drop_reason_t", 4, FIELD_REASON },
	{ "tcp_flags_t", 1, FIELD_FLAGS },
	{ "ksym_t", 8, FIELD_KSYM },
	{ "kstack_t", 4, FIELD_STACK },
};

/* What a field needs besides its kind. */
static int set_names(struct builder *b, struct field *f)
{
	if (f->kind == FIELD_FLAGS) {
		f->names = tcp_flags;
		f->nr_names = ARRAY_SIZE(tcp_flags);
	}
	f->has_negative = f->kind == FIELD_STACK;
	if (f->kind != FIELD_REASON)
		return 0;
	if (reasons_read())
		return err_set(b->err, -ENOMEM, "out of memory");
	f->names = reasons_names(&f->nr_names);
	return 0;
}

static int set_int(struct builder *b, struct field *f, const struct btf_type *t, const char *name)
{
	if (btf_int_encoding(t) & BTF_INT_BOOL)
		f->kind = FIELD_BOOL;
	else if (str_eq(name, "errno_t"))
		f->kind = FIELD_ERRNO;
	else if (str_eq(name, "opt_u64") || str_eq(name, "opt_u32"))
		f->kind = FIELD_OPT;
	else if (str_starts(name, "__be"))
		f->kind = FIELD_BE;
	else
		f->kind = btf_int_encoding(t) & BTF_INT_SIGNED ? FIELD_INT : FIELD_UINT;
	for (size_t i = 0; i < ARRAY_SIZE(typedefs); i++)
		if (str_eq(name, typedefs[i].name) && t->size == typedefs[i].size)
			f->kind = typedefs[i].kind;
	return set_names(b, f);
}

bool record_set_struct(struct field *f, const struct btf_type *t, const char *name)
{
	if (str_eq(name, "in_addr") && t->size == 4)
		f->kind = FIELD_ADDR4;
	else if (str_eq(name, "in6_addr") && t->size == 16)
		f->kind = FIELD_ADDR6;
	else if (str_eq(name, "mac_addr") && t->size == 6)
		f->kind = FIELD_MAC;
	else
		return false;
	return true;
}

static bool is_word(uint32_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* By its kind, and where that is not enough, its name. */
int record_set_kind(struct builder *b, struct field *f, int type_id)
{
	const char *name;
	const struct btf_type *t = record_resolve(b->btf, type_id, &name);

	if (!t)
		return record_no_type(b, f, "of an unknown type");
	f->size = t->size;
	if ((btf_is_int(t) || btf_is_enum(t)) && !is_word(t->size))
		return record_no_type(b, f, "not of 1, 2, 4 or 8 bytes");
	switch (btf_kind(t)) {
	case BTF_KIND_INT:
		return set_int(b, f, t, name);
	case BTF_KIND_ENUM:
		return set_enum(b, f, t);
	case BTF_KIND_ARRAY:
		return set_array(b, f, t);
	case BTF_KIND_STRUCT:
		if (record_set_struct(f, t, name))
			return 0;
		return record_no_type(b, f, "a struct");
	}
	return record_no_type(b, f, "a union, pointer or function");
}
