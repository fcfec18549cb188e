/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * record.h - the layout of a BPF struct, read from BTF, and its fields as values.
 *
 * The type of a field decides how a script sees it; the table is in record.c. This unit knows
 * neither Lua nor file descriptors, so it is tested with layouts built in memory.
 */
#ifndef BPFNET_RECORD_H
#define BPFNET_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"

struct btf;

enum field_kind {
	FIELD_UINT, /* unsigned integer of 1, 2, 4 or 8 bytes, or bits of one */
	FIELD_INT, /* signed */
	FIELD_OPT, /* opt_u32, opt_u64: all ones is nil */
	FIELD_BE, /* __be16, __be32, __be64 */
	FIELD_BOOL,
	FIELD_ENUM, /* lower-case name without the enum's own name */
	FIELD_ERRNO, /* errno_t: name, 0 is nil */
	FIELD_STR, /* char[N]: text up to the first NUL */
	FIELD_BYTES, /* __u8[N] */
	FIELD_ADDR4, /* struct in_addr */
	FIELD_ADDR6, /* struct in6_addr; v4-mapped is written as IPv4 */
};

struct enum_name {
	const char *name;
	int64_t value;
};

struct field {
	const char *name;
	const char *doc; /* "" if there is none */
	enum field_kind kind;
	uint32_t offset;
	uint32_t size;
	uint8_t bit_offset; /* inside the integer at offset */
	uint8_t bit_size; /* 0: not a bit field */
	const struct enum_name *names; /* FIELD_ENUM */
	int nr_names;
	bool has_negative; /* one of the names' values is */
};

struct layout {
	const char *name; /* of the struct */
	const char *doc;
	uint32_t size;
	struct field *fields;
	int nr_fields;
	bool scalar; /* not a struct: one field without a name */
	void *memory; /* owns names and texts */
};

enum value_type { VALUE_NIL, VALUE_INT, VALUE_BOOL, VALUE_STR };

struct value {
	enum value_type type;
	int64_t i; /* VALUE_INT, VALUE_BOOL */
	const char *s; /* VALUE_STR: into the record, a static name, or buf */
	size_t len;
	char buf[48];
};

/*
 * Reads the layout of type `type_id`; a struct's anonymous members are taken apart.
 * Returns 0, or -EINVAL with the member that can't be shown to a script.
 */
int layout_new(struct layout **layout, const struct btf *btf, int type_id, struct err *err);
void layout_free(struct layout *layout);
/* Copies the text that says what the record is about. 0 or -ENOMEM. */
int layout_set_doc(struct layout *layout, const char *doc);
/* The field with this name, or NULL. */
const struct field *layout_field(const struct layout *layout, const char *name);
/* Sets err for a field that does not exist: names it and the nearest known ones. Returns -EINVAL. */
int layout_no_field(const struct layout *layout, const char *name, struct err *err);

/* Reads one field of the record at `rec`. `value` may point into rec. */
void field_get(const struct field *field, const void *rec, struct value *value);
/* Writes one field. Returns 0, or -EINVAL with what was expected. */
int field_set(const struct field *field, void *rec, const struct value *value, struct err *err);
/* "integer", "string", ...: what field_set() expects and field_get() gives. */
const char *field_type_name(const struct field *field);

/* Address as 16 bytes (IPv4 mapped) from text. Returns false if it is none. */
bool addr_parse(const char *text, uint8_t addr[16]);
/* Text of such an address; v4-mapped as IPv4. buf has at least 48 bytes. Returns buf. */
const char *addr_format(const uint8_t addr[16], char *buf);

#endif
