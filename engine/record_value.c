/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reading one field of a record, by the field's kind; record_set.c writes it. */
#include <arpa/inet.h>
#include <endian.h>
#include "ksyms.h"
#include "record_priv.h"
#include "util.h"

static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

const char *addr_format(const uint8_t addr[16], char *buf)
{
	if (memcmp(addr, v4_prefix, sizeof(v4_prefix)) == 0)
		return inet_ntop(AF_INET, addr + 12, buf, 48);
	return inet_ntop(AF_INET6, addr, buf, 48);
}

uint64_t field_load(const struct field *f, const uint8_t *p)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (f->size) {
	case 1:
		return *p;
	case 2:
		memcpy(&u16, p, 2);
		return f->kind == FIELD_BE ? be16toh(u16) : u16;
	case 4:
		memcpy(&u32, p, 4);
		return f->kind == FIELD_BE ? be32toh(u32) : u32;
	default:
		memcpy(&u64, p, 8);
		return f->kind == FIELD_BE ? be64toh(u64) : u64;
	}
}

uint32_t field_bits(const struct field *f)
{
	return f->bit_size ? f->bit_size : f->size * 8;
}

bool field_is_signed(const struct field *f)
{
	return f->kind == FIELD_INT || f->kind == FIELD_ERRNO || f->has_negative;
}

static int64_t get_int(const struct field *f, const uint8_t *rec)
{
	uint64_t v = field_load(f, rec + f->offset) >> f->bit_offset;
	uint32_t unused = 64 - field_bits(f);

	if (field_is_signed(f))
		return (int64_t)(v << unused) >> unused;
	return (int64_t)(v << unused >> unused);
}

static void set_str(struct value *value, const char *s, size_t len)
{
	value->type = VALUE_STR;
	value->s = s;
	value->len = len;
}

/* The name of the number that value has, if it has one. */
static void set_name_of(const struct field *f, struct value *value)
{
	const char *name = field_name(f, value->i, value->buf);

	if (name)
		set_str(value, name, strlen(name));
}

static void set_stack(const struct field *f, struct value *value)
{
	const char *text = f->stacks ? f->stacks->text(f->stacks, (int32_t)value->i) : NULL;

	if (text)
		set_str(value, text, strlen(text));
}

static void set_ksym(struct value *value)
{
	const char *text = ksyms_text((uint64_t)value->i, NULL);

	set_str(value, text, strlen(text));
}

/* All ones in the field's own width. */
static bool is_all_ones(const struct field *f, int64_t i)
{
	return f->size == 8 ? i == -1 : (uint64_t)i == (1ULL << f->size * 8) - 1;
}

bool field_can_be_nil(const struct field *f)
{
	return f->kind == FIELD_OPT || f->kind == FIELD_ERRNO ||
	       (f->kind >= FIELD_MAC && f->kind <= FIELD_STACK);
}

/* Of a kind that is nil for 0. */
static void set_text(const struct field *f, struct value *value)
{
	if (!value->i)
		value->type = VALUE_NIL;
	else if (f->kind == FIELD_KSYM)
		set_ksym(value);
	else
		set_name_of(f, value);
}

static void get_number(const struct field *f, const uint8_t *rec, struct value *value)
{
	value->type = VALUE_INT;
	value->i = get_int(f, rec);
	switch (f->kind) {
	case FIELD_BOOL:
		value->type = VALUE_BOOL;
		value->i = !!value->i;
		break;
	case FIELD_ENUM:
		set_name_of(f, value);
		break;
	case FIELD_ERRNO:
	case FIELD_REASON:
	case FIELD_FLAGS:
	case FIELD_KSYM:
		set_text(f, value);
		break;
	case FIELD_OPT:
		if (is_all_ones(f, value->i))
			value->type = VALUE_NIL;
		break;
	case FIELD_STACK:
		if (value->i < 0)
			value->type = VALUE_NIL;
		else
			set_stack(f, value);
		break;
	default:
		break;
	}
}

static void get_mac(const uint8_t *mac, struct value *value)
{
	static const char digits[] = "0123456789abcdef";
	static const uint8_t none[6];
	char *to = value->buf;

	value->type = VALUE_NIL;
	if (memcmp(mac, none, 6) == 0)
		return;
	for (int i = 0; i < 6; i++) {
		*to++ = digits[mac[i] >> 4];
		*to++ = digits[mac[i] & 15];
		*to++ = ':';
	}
	*--to = '\0';
	set_str(value, value->buf, 17);
}

void field_get(const struct field *f, const void *rec, struct value *value)
{
	const char *p = (const char *)rec + f->offset;
	uint8_t mapped[16];

	switch (f->kind) {
	case FIELD_STR:
		set_str(value, p, strnlen(p, f->size));
		break;
	case FIELD_BYTES:
		set_str(value, p, f->size);
		break;
	case FIELD_ADDR4:
		memcpy(mapped, v4_prefix, sizeof(v4_prefix));
		memcpy(mapped + 12, p, 4);
		addr_format(mapped, value->buf);
		set_str(value, value->buf, strlen(value->buf));
		break;
	case FIELD_ADDR6:
		addr_format((const uint8_t *)p, value->buf);
		set_str(value, value->buf, strlen(value->buf));
		break;
	case FIELD_LIST:
		value->type = VALUE_NIL;
		break;
	case FIELD_MAC:
		get_mac((const uint8_t *)p, value);
		break;
	default:
		get_number(f, rec, value);
	}
}

uint32_t field_list_len(const struct field *list, const void *rec)
{
	uint64_t n = (uint64_t)get_int(list->len, rec);

	return n < list->room ? (uint32_t)n : list->room;
}

const void *field_list_entry(const struct field *list, const void *rec, uint32_t i)
{
	return (const char *)rec + list->offset + (size_t)i * list->entry->size;
}

const char *field_type_name(const struct field *f)
{
	switch (f->kind) {
	case FIELD_BOOL:
		return "boolean";
	case FIELD_ENUM:
	case FIELD_STR:
	case FIELD_BYTES:
		return "string";
	case FIELD_ERRNO:
		return "errno name";
	case FIELD_ADDR4:
	case FIELD_ADDR6:
		return "address";
	case FIELD_OPT:
		return "integer or nil";
	case FIELD_MAC:
		return "MAC address";
	case FIELD_REASON:
		return "drop reason";
	case FIELD_FLAGS:
		return "TCP flags";
	case FIELD_KSYM:
		return "kernel symbol";
	case FIELD_STACK:
		return "kernel stack";
	case FIELD_LIST:
		return "list";
	default:
		return "integer";
	}
}
