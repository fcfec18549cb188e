/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* types.h - BTF made in memory, with the types that the probes use. */
#ifndef BPFNET_TEST_TYPES_H
#define BPFNET_TEST_TYPES_H

#include <stdint.h>
#include <bpf/btf.h>

/* Type ids. */
struct types {
	struct btf *btf;
	int u8, u16, u32, u64, s8, s16, s32, s64, ch, boolean;
	int be16, be32, be64, opt32, opt64, err;
	int reason, ksym, kstack, flags;
	int in_addr, in6_addr, mac;
};

static inline int types_array(struct types *t, int elem, uint32_t n)
{
	return btf__add_array(t->btf, t->u32, elem, n);
}

static inline void types_add_ints(struct types *t)
{
	struct btf *b = t->btf;

	t->u8 = btf__add_int(b, "unsigned char", 1, 0);
	t->u16 = btf__add_int(b, "unsigned short", 2, 0);
	t->u32 = btf__add_int(b, "unsigned int", 4, 0);
	t->u64 = btf__add_int(b, "unsigned long long", 8, 0);
	t->s8 = btf__add_int(b, "signed char", 1, BTF_INT_SIGNED);
	t->s16 = btf__add_int(b, "short", 2, BTF_INT_SIGNED);
	t->s32 = btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	t->s64 = btf__add_int(b, "long long", 8, BTF_INT_SIGNED);
	t->ch = btf__add_int(b, "char", 1, BTF_INT_SIGNED);
	t->boolean = btf__add_int(b, "_Bool", 1, BTF_INT_BOOL);
}

static inline void types_new(struct types *t)
{
	struct btf *b = btf__new_empty();
	int bytes;

	t->btf = b;
	types_add_ints(t);
	/* __be16 is a typedef of __u16, which is one too: the outermost name counts */
	t->be16 = btf__add_typedef(b, "__be16", btf__add_typedef(b, "__u16", t->u16));
	t->be32 = btf__add_typedef(b, "__be32", btf__add_typedef(b, "__u32", t->u32));
	t->be64 = btf__add_typedef(b, "__be64", btf__add_typedef(b, "__u64", t->u64));
	t->opt32 = btf__add_typedef(b, "opt_u32", t->u32);
	t->opt64 = btf__add_typedef(b, "opt_u64", t->u64);
	t->err = btf__add_typedef(b, "errno_t", t->s32);
	t->reason = btf__add_typedef(b, "drop_reason_t", btf__add_typedef(b, "__u32", t->u32));
	t->ksym = btf__add_typedef(b, "ksym_t", btf__add_typedef(b, "__u64", t->u64));
	t->kstack = btf__add_typedef(b, "kstack_t", btf__add_typedef(b, "__s32", t->s32));
	t->flags = btf__add_typedef(b, "tcp_flags_t", btf__add_typedef(b, "__u8", t->u8));
	t->in_addr = btf__add_struct(b, "in_addr", 4);
	btf__add_field(b, "s_addr", t->be32, 0, 0);
	bytes = types_array(t, t->u8, 16); /* first: fields go to the newest type */
	t->in6_addr = btf__add_struct(b, "in6_addr", 16);
	btf__add_field(b, "in6_u", bytes, 0, 0);
	bytes = types_array(t, t->u8, 6);
	t->mac = btf__add_struct(b, "mac_addr", 6);
	btf__add_field(b, "b", bytes, 0, 0);
}

static inline void types_free(struct types *t)
{
	btf__free(t->btf);
}

/* enum name { ... } from names up to NULL and their values */
static inline int types_enum(struct types *t, const char *name, uint32_t size,
			     const char *const *names, const int64_t *values)
{
	int id = btf__add_enum(t->btf, name, size);

	for (int i = 0; names[i]; i++)
		btf__add_enum_value(t->btf, names[i], values[i]);
	return id;
}

/* struct event of `size` bytes with one member; bit_size 0: no bit field */
static inline int types_struct(struct types *t, const char *member, int type, uint32_t size,
			       uint32_t bit_offset, uint32_t bit_size)
{
	int id = btf__add_struct(t->btf, "event", size);

	btf__add_field(t->btf, member, type, bit_offset, bit_size);
	return id;
}

#endif
