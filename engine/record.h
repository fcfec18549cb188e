/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * record.h - the layout of a BPF struct, read from BTF, and its fields as values.
 *
 * The type of a field decides how a script sees it; the table is in record.c. This unit knows
 * neither Lua nor file descriptors, so it is tested with layouts built in memory. What a record has
 * only a number for, the kernel's lists (ksyms.h, reasons.h) or its owner (struct stack_texts) know.
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
	FIELD_MAC, /* struct mac_addr: "02:42:ac:11:00:02", all zero is nil */
	FIELD_REASON, /* drop_reason_t: name, 0 is nil */
	FIELD_FLAGS, /* tcp_flags_t: "SYN|ACK", 0 is nil */
	FIELD_KSYM, /* ksym_t: function and offset, 0 is nil */
	FIELD_STACK, /* kstack_t: functions and offsets, negative is nil */
	FIELD_LIST, /* struct x hops[N] beside an unsigned nr_hops; has no value, see field_list_len() */
};

struct enum_name {
	const char *name;
	int64_t value;
};

/*
 * The texts of kernel stacks by their ids. Counted: a layout holds it, and so may those that copy
 * its fields.
 */
struct stack_texts {
	/* NULL: nobody knows such a stack. Good until the next call. */
	const char *(*text)(struct stack_texts *texts, int32_t id);
	void (*free)(struct stack_texts *texts); /* by the last one that releases it */
	int holders;
};

struct field {
	const char *name;
	const char *doc; /* "" if there is none */
	enum field_kind kind;
	uint32_t offset;
	uint32_t size;
	uint8_t bit_offset; /* inside the integer at offset */
	uint8_t bit_size; /* 0: not a bit field */
	const struct enum_name *names; /* FIELD_ENUM, FIELD_REASON, FIELD_FLAGS */
	int nr_names;
	bool has_negative; /* FIELD_ENUM: one of the names' values is; FIELD_STACK */
	struct stack_texts *stacks; /* FIELD_STACK; NULL: it is seen as a number */
	const struct layout *entry; /* FIELD_LIST: of one entry */
	const struct field *len; /* FIELD_LIST: how many there are */
	uint32_t room; /* FIELD_LIST: how many fit */
};

struct layout {
	const char *name; /* of the struct */
	const char *doc;
	uint32_t size;
	struct field *fields;
	int nr_fields;
	bool scalar; /* not a struct: one field without a name */
	void *memory; /* owns names and texts */
	struct stack_texts *stacks; /* held */
	struct layout *entries; /* of its lists, linked by `next`; owned */
	struct layout *next;
};

enum value_type { VALUE_NIL, VALUE_INT, VALUE_BOOL, VALUE_STR };

struct value {
	enum value_type type;
	int64_t i; /* VALUE_INT, VALUE_BOOL */
	const char *s; /* VALUE_STR: into the record, a static name, buf, or see field_get() */
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
/* Its fields of kind FIELD_STACK, and those of its lists, become text. Takes `texts` over, which has one holder: the layout. */
void layout_set_stacks(struct layout *layout, struct stack_texts *texts);
/* NULL is fine. Hold returns what it is given. */
struct stack_texts *stack_texts_hold(struct stack_texts *texts);
void stack_texts_release(struct stack_texts *texts);
/* The field with this name, or NULL. */
const struct field *layout_field(const struct layout *layout, const char *name);
/* Sets err for a field that does not exist: names it and the nearest known ones. Returns -EINVAL. */
int layout_no_field(const struct layout *layout, const char *name, struct err *err);

/*
 * Reads one field of the record at `rec`. `value` may point into rec; the texts of symbols and stacks
 * are good until the next one is read.
 */
void field_get(const struct field *field, const void *rec, struct value *value);
/* Writes one field. Returns 0, or -EINVAL with what was expected. */
int field_set(const struct field *field, void *rec, const struct value *value, struct err *err);
/* How many entries a list has: what its nr_ says, but no more than there is room for. */
uint32_t field_list_len(const struct field *list, const void *rec);
/* A record of list->entry; i is below list->room. */
const void *field_list_entry(const struct field *list, const void *rec, uint32_t i);
/* "integer", "string", ...: what field_set() expects and field_get() gives. */
const char *field_type_name(const struct field *field);

/* Whether a value of it may be nil. */
bool field_can_be_nil(const struct field *field);
/* Whether names stand for the field's numbers: of enums, errnos, reasons, TCP flags. */
bool field_has_names(const struct field *field);
/* Name of a number, or NULL; buf has at least 48 bytes and may be used. */
const char *field_name(const struct field *field, int64_t number, char *buf);
/* The number that a name stands for. False: it is none. */
bool field_number(const struct field *field, const char *name, size_t len, int64_t *number);
/* The name that was probably meant, or NULL. */
const char *field_near_name(const struct field *field, const char *name);

/* Address as 16 bytes (IPv4 mapped) from text. Returns false if it is none. */
bool addr_parse(const char *text, uint8_t addr[16]);
/* Text of such an address; v4-mapped as IPv4. buf has at least 48 bytes. Returns buf. */
const char *addr_format(const uint8_t addr[16], char *buf);
/* "02:42:ac:11:00:02" as bytes. Returns false if it is none. */
bool mac_parse(const char *text, uint8_t mac[6]);

#endif
