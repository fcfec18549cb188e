/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A key's cells as bytes, the order of which is the order of the cells: nil, booleans, numbers, texts. */
#include <endian.h>
#include <sys/random.h>
#include "agg_priv.h"
#include "util.h"

enum tag { TAG_NIL, TAG_FALSE, TAG_TRUE, TAG_INT, TAG_STR };

#define SIGN (1ULL << 63)

/* Peers choose keys: they must not know where these go. */
static uint64_t seed;

void agg_key_start(struct agg_key *key)
{
	if (!seed && getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = now_ns();
	key->hash = seed;
	key->len = 0;
	key->too_long = false;
}

/*
 * The hash is made of the cells as they come: reading them again from the key, right after they were
 * written in pieces of other sizes, would be slow.
 */
static void hash(struct agg_key *key, uint64_t word)
{
	unsigned __int128 product = (unsigned __int128)(key->hash ^ word) * 0x9e3779b97f4a7c15ULL;

	key->hash = (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Copies a piece of a text and hashes it. */
static void piece(struct agg_key *key, uint8_t *to, const char *from, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, from, size);
	memcpy(to, &word, size);
	hash(key, word);
}

/* The last piece overlaps the one before it, so that all are of a fixed size, which is fast. */
static void take_text(struct agg_key *key, uint8_t *to, const char *s, size_t len)
{
	if (len >= 8) {
		for (size_t i = 0; i + 8 < len; i += 8)
			piece(key, to + i, s + i, 8);
		piece(key, to + len - 8, s + len - 8, 8);
	} else if (len >= 4) {
		piece(key, to, s, 4);
		piece(key, to + len - 4, s + len - 4, 4);
	} else {
		for (size_t i = 0; i < len; i++)
			piece(key, to + i, s + i, 1);
	}
	hash(key, (uint64_t)TAG_STR << 32 | len);
}

/* Room for a tag and `size` bytes behind it; NULL, and remembered, if there is none. */
static uint8_t *cell(struct agg_key *key, enum tag tag, size_t size)
{
	uint8_t *at = key->bytes + key->len;

	if (key->too_long || size > AGG_MAX_KEY - 1 - key->len || key->len >= AGG_MAX_KEY) {
		key->too_long = true;
		return NULL;
	}
	*at = (uint8_t)tag;
	key->len += 1 + (uint32_t)size;
	return at + 1;
}

void agg_key_nil(struct agg_key *key)
{
	hash(key, TAG_NIL);
	cell(key, TAG_NIL, 0);
}

void agg_key_bool(struct agg_key *key, bool b)
{
	hash(key, b ? TAG_TRUE : TAG_FALSE);
	cell(key, b ? TAG_TRUE : TAG_FALSE, 0);
}

void agg_key_int(struct agg_key *key, int64_t i)
{
	uint8_t *at = cell(key, TAG_INT, 8);
	uint64_t v = htobe64((uint64_t)i ^ SIGN);

	hash(key, v);
	if (at)
		memcpy(at, &v, 8);
}

void agg_key_str(struct agg_key *key, const char *s, size_t len)
{
	uint8_t *at = len < AGG_MAX_KEY - 2 ? cell(key, TAG_STR, 2 + len) : NULL;
	uint16_t n = htobe16((uint16_t)len);

	if (!at) {
		key->too_long = true;
		return;
	}
	memcpy(at, &n, 2);
	take_text(key, at + 2, s, len);
}

void agg_key_value(struct agg_key *key, const struct value *value)
{
	switch (value->type) {
	case VALUE_NIL:
		agg_key_nil(key);
		break;
	case VALUE_BOOL:
		agg_key_bool(key, value->i != 0);
		break;
	case VALUE_INT:
		agg_key_int(key, value->i);
		break;
	case VALUE_STR:
		agg_key_str(key, value->s, value->len);
		break;
	}
}

void agg_row_cell(const struct agg *agg, const struct agg_row *row, uint32_t *pos,
		  struct value *value)
{
	const uint8_t *at = agg_row_key(agg_get_spec(agg), row) + *pos;
	enum tag tag = (enum tag) * at++;
	uint64_t v;
	uint16_t n;

	*pos += 1;
	switch (tag) {
	case TAG_NIL:
		value->type = VALUE_NIL;
		break;
	case TAG_FALSE:
	case TAG_TRUE:
		value->type = VALUE_BOOL;
		value->i = tag == TAG_TRUE;
		break;
	case TAG_INT:
		memcpy(&v, at, 8);
		value->type = VALUE_INT;
		value->i = (int64_t)(be64toh(v) ^ SIGN);
		*pos += 8;
		break;
	case TAG_STR:
		memcpy(&n, at, 2);
		value->type = VALUE_STR;
		value->len = be16toh(n);
		value->s = (const char *)at + 2;
		*pos += 2 + (uint32_t)value->len;
		break;
	}
}
