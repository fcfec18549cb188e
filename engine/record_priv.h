/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* record_priv.h - what the parts of record share. */
#ifndef BPFNET_RECORD_PRIV_H
#define BPFNET_RECORD_PRIV_H

#include <bpf/btf.h>
#include "record.h"

/* A layout that is being read. */
struct builder {
	const struct btf *btf;
	struct layout *layout;
	struct err *err;
	int depth;
	bool in_list; /* the layout is that of a list's entries */
};

/* Zeroed memory that goes with the layout. NULL: there is none. */
void *record_keep(struct layout *layout, size_t size);
/*
 * The type without typedefs and qualifiers, or NULL; `name` gets the outermost typedef's name that
 * counts.
 */
const struct btf_type *record_resolve(const struct btf *btf, int id, const char **name);
/* Kind, size and names of a field of this type. 0, -EINVAL with what can't be seen, or -ENOMEM. */
int record_set_kind(struct builder *b, struct field *f, int type_id);
/* The kind of a struct that is a value, like an address. False: it is none. */
bool record_set_struct(struct field *f, const struct btf_type *t, const char *name);
/*
 * Reads the layout of the entries of the list `name`, which b's layout owns then. 0 or as
 * layout_new().
 */
int record_add_entry(struct builder *b, int type_id, const char *name, const struct layout **entry);
/* Says of what kind the field is instead of one that can be seen. Returns -EINVAL. */
int record_no_type(struct builder *b, const struct field *f, const char *what);

/* The field's whole integer at p, in host order: also the bits around a bit field. */
uint64_t field_load(const struct field *f, const uint8_t *p);
uint32_t field_bits(const struct field *f);
bool field_is_signed(const struct field *f);

#endif
