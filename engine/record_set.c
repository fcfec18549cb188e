/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Writing one field of a record, by the field's kind, and texts of addresses as bytes. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include "ksyms.h"
#include "record_priv.h"
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

bool mac_parse(const char *text, uint8_t mac[6])
{
	int end = 0;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		      &mac[3], &mac[4], &mac[5], &end) == 6 &&
	       end == 17 && !text[17] && strspn(text, "0123456789abcdefABCDEF:") == 17;
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
	int64_t top = field_is_signed(f) ? i >> (bits - 1) : (int64_t)((uint64_t)i & ~mask);
	uint64_t v;

	if (top != 0 && !(field_is_signed(f) && top == -1))
		return err_set(err, -EINVAL, "field \"%s\": %" PRId64 " does not fit %u bits",
			       f->name, i, bits);
	v = (uint64_t)i & mask;
	if (f->bit_size)
		v = (field_load(f, rec + f->offset) & ~(mask << f->bit_offset)) |
		    v << f->bit_offset;
	store(f, rec + f->offset, v);
	return 0;
}

static int set_name(const struct field *f, uint8_t *rec, const struct value *v, struct err *err)
{
	const char *near;
	int64_t number;

	if (field_number(f, v->s, v->len, &number))
		return set_int(f, rec, number, err);
	near = strlen(v->s) == v->len ? field_near_name(f, v->s) : NULL;
	if (!near)
		return wrong(f, v, err);
	return err_set(err, -EINVAL,
		       "field \"%s\": expected %s, got \"%.80s\", did you mean \"%s\"?", f->name,
		       field_type_name(f), v->s, near);
}

static int set_address(const struct field *f, uint8_t *rec, const struct value *v, struct err *err)
{
	uint64_t addr;

	if (strlen(v->s) != v->len || !ksyms_parse(v->s, &addr))
		return wrong(f, v, err);
	return set_int(f, rec, (int64_t)addr, err);
}

static int set_mac(const struct field *f, uint8_t *rec, const struct value *v, struct err *err)
{
	uint8_t mac[6] = { 0 };

	if (v->type != VALUE_NIL &&
	    (v->type != VALUE_STR || strlen(v->s) != v->len || !mac_parse(v->s, mac)))
		return wrong(f, v, err);
	memcpy(rec + f->offset, mac, 6);
	return 0;
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

/* By another name than the integer itself. 1: it is none. */
static int set_other(const struct field *f, uint8_t *rec, const struct value *v, struct err *err)
{
	if (v->type == VALUE_STR && field_has_names(f))
		return set_name(f, rec, v, err);
	if (v->type == VALUE_STR && f->kind == FIELD_KSYM)
		return set_address(f, rec, v, err);
	if (v->type != VALUE_NIL || !field_can_be_nil(f))
		return 1;
	if (f->kind != FIELD_OPT && f->kind != FIELD_STACK)
		return set_int(f, rec, 0, err);
	store(f, rec + f->offset, ~0ULL);
	return 0;
}

int field_set(const struct field *f, void *rec, const struct value *v, struct err *err)
{
	int rc;

	switch (f->kind) {
	case FIELD_STR:
	case FIELD_BYTES:
		return set_bytes(f, rec, v, err);
	case FIELD_ADDR4:
	case FIELD_ADDR6:
		return set_addr(f, rec, v, err);
	case FIELD_MAC:
		return set_mac(f, rec, v, err);
	case FIELD_LIST:
		return wrong(f, v, err);
	case FIELD_BOOL:
		return v->type == VALUE_BOOL ? set_int(f, rec, v->i, err) : wrong(f, v, err);
	default:
		rc = set_other(f, rec, v, err);
		if (rc <= 0)
			return rc;
		return v->type == VALUE_INT ? set_int(f, rec, v->i, err) : wrong(f, v, err);
	}
}
