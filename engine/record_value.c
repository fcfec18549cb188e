/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reading and writing one field of a record, by the field's kind. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include "record.h"
#include "util.h"

static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

bool addr_parse(const char *text, uint8_t addr[16])
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		memcpy(addr, v4_prefix, sizeof(v4_prefix));
		memcpy(addr + 12, &v4, 4);
		return true;
	}
	return inet_pton(AF_INET6, text, addr) == 1;
}

const char *addr_format(const uint8_t addr[16], char *buf)
{
	if (memcmp(addr, v4_prefix, sizeof(v4_prefix)) == 0)
		return inet_ntop(AF_INET, addr + 12, buf, 48);
	return inet_ntop(AF_INET6, addr, buf, 48);
}

static uint64_t load(const struct field *f, const uint8_t *p)
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

static void store(const struct field *f, uint8_t *p, uint64_t v)
{
	uint16_t u16 = (uint16_t)v;
	uint32_t u32 = (uint32_t)v;

	switch (f->size) {
	case 1:
		*p = (uint8_t)v;
		break;
	case 2:
		u16 = f->kind == FIELD_BE ? htobe16(u16) : u16;
		memcpy(p, &u16, 2);
		break;
	case 4:
		u32 = f->kind == FIELD_BE ? htobe32(u32) : u32;
		memcpy(p, &u32, 4);
		break;
	default:
		v = f->kind == FIELD_BE ? htobe64(v) : v;
		memcpy(p, &v, 8);
	}
}

static uint32_t field_bits(const struct field *f)
{
	return f->bit_size ? f->bit_size : f->size * 8;
}

static bool is_signed(const struct field *f)
{
	return f->kind == FIELD_INT || f->kind == FIELD_ERRNO || f->has_negative;
}

static int64_t get_int(const struct field *f, const uint8_t *rec)
{
	uint64_t v = load(f, rec + f->offset) >> f->bit_offset;
	uint32_t unused = 64 - field_bits(f);

	if (is_signed(f))
		return (int64_t)(v << unused) >> unused;
	return (int64_t)(v << unused >> unused);
}

static void set_str(struct value *value, const char *s, size_t len)
{
	value->type = VALUE_STR;
	value->s = s;
	value->len = len;
}

static void set_enum(const struct field *f, struct value *value)
{
	for (int i = 0; i < f->nr_names; i++) {
		if (f->names[i].value == value->i) {
			set_str(value, f->names[i].name, strlen(f->names[i].name));
			return;
		}
	}
}

static void set_errno(struct value *value)
{
	const char *name;

	if (!value->i) {
		value->type = VALUE_NIL;
		return;
	}
	name = errno_name((int)value->i);
	if (name)
		set_str(value, name, strlen(name));
}

/* All ones in the field's own width. */
static bool is_none(const struct field *f, int64_t i)
{
	return f->size == 8 ? i == -1 : (uint64_t)i == (1ULL << f->size * 8) - 1;
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
		set_enum(f, value);
		break;
	case FIELD_ERRNO:
		set_errno(value);
		break;
	case FIELD_OPT:
		if (is_none(f, value->i))
			value->type = VALUE_NIL;
		break;
	default:
		break;
	}
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
	default:
		get_number(f, rec, value);
	}
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
	default:
		return "integer";
	}
}

static int wrong(const struct field *f, const struct value *v, struct err *err)
{
	static const char *const got[] = { "nil", "integer", "boolean", "string" };

	if (v->type == VALUE_STR)
		return err_set(err, -EINVAL, "field \"%s\": expected %s, got \"%.*s\"", f->name,
			       field_type_name(f), (int)v->len, v->s);
	return err_set(err, -EINVAL, "field \"%s\": expected %s, got %s", f->name,
		       field_type_name(f), got[v->type]);
}

static int set_int(const struct field *f, uint8_t *rec, int64_t i, struct err *err)
{
	uint32_t bits = field_bits(f);
	uint64_t mask = bits == 64 ? ~0ULL : (1ULL << bits) - 1;
	int64_t top = is_signed(f) ? i >> (bits - 1) : (int64_t)((uint64_t)i & ~mask);
	uint64_t v;

	if (top != 0 && !(is_signed(f) && top == -1))
		return err_set(err, -EINVAL, "field \"%s\": %" PRId64 " does not fit %u bits",
			       f->name, i, bits);
	v = (uint64_t)i & mask;
	if (f->bit_size)
		v = (load(f, rec + f->offset) & ~(mask << f->bit_offset)) | v << f->bit_offset;
	store(f, rec + f->offset, v);
	return 0;
}

static int set_name(const struct field *f, uint8_t *rec, const struct value *v, struct err *err)
{
	int number;

	for (int i = 0; i < f->nr_names; i++)
		if (strlen(f->names[i].name) == v->len && !memcmp(f->names[i].name, v->s, v->len))
			return set_int(f, rec, f->names[i].value, err);
	number = f->kind == FIELD_ERRNO && strlen(v->s) == v->len ? errno_number(v->s) : 0;
	return number ? set_int(f, rec, number, err) : wrong(f, v, err);
}

static int set_addr(const struct field *f, uint8_t *rec, const struct value *v, struct err *err)
{
	uint8_t addr[16];

	if (v->type != VALUE_STR || strlen(v->s) != v->len || !addr_parse(v->s, addr))
		return wrong(f, v, err);
	if (f->kind == FIELD_ADDR6)
		memcpy(rec + f->offset, addr, 16);
	else if (memcmp(addr, v4_prefix, sizeof(v4_prefix)) == 0)
		memcpy(rec + f->offset, addr + 12, 4);
	else
		return wrong(f, v, err);
	return 0;
}

static int set_bytes(const struct field *f, uint8_t *rec, const struct value *v, struct err *err)
{
	/* text keeps room for its NUL, as in the kernel */
	size_t room = f->kind == FIELD_STR ? f->size - 1 : f->size;

	if (v->type != VALUE_STR)
		return wrong(f, v, err);
	if (v->len > room)
		return err_set(err, -EINVAL, "field \"%s\": at most %zu bytes fit, got %zu",
			       f->name, room, v->len);
	memset(rec + f->offset, 0, f->size);
	memcpy(rec + f->offset, v->s, v->len);
	return 0;
}

int field_set(const struct field *f, void *rec, const struct value *v, struct err *err)
{
	switch (f->kind) {
	case FIELD_STR:
	case FIELD_BYTES:
		return set_bytes(f, rec, v, err);
	case FIELD_ADDR4:
	case FIELD_ADDR6:
		return set_addr(f, rec, v, err);
	case FIELD_BOOL:
		return v->type == VALUE_BOOL ? set_int(f, rec, v->i, err) : wrong(f, v, err);
	case FIELD_ENUM:
	case FIELD_ERRNO:
		if (v->type == VALUE_STR)
			return set_name(f, rec, v, err);
		if (v->type == VALUE_NIL && f->kind == FIELD_ERRNO)
			return set_int(f, rec, 0, err);
		break;
	case FIELD_OPT:
		if (v->type == VALUE_NIL) {
			store(f, (uint8_t *)rec + f->offset, ~0ULL);
			return 0;
		}
		break;
	default:
		break;
	}
	return v->type == VALUE_INT ? set_int(f, rec, v->i, err) : wrong(f, v, err);
}
