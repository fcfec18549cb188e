// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The bytes of a stream say where they belong: each word of 8 is a number made of the
 * connection, the direction and its place, scrambled in a way that can be undone.  So
 * bytes that stand at a wrong place tell from where they came.
 */
#include <string.h>

#include "torture.h"

#define WORDS_BITS 32 /* of a number: the place, in words; above it the direction */
#define SCRAMBLE   0x9e3779b97f4a7c15u
#define UNSCRAMBLE 0xf1de83e19937733du /* its inverse modulo 2^64 */

uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t data_key(const struct conn *c, int dir)
{
	return (c->id << 1 | dir) << WORDS_BITS;
}

static uint64_t word(uint64_t number)
{
	uint64_t w = number * SCRAMBLE;

	return w ^ w >> 32;
}

static uint64_t number_of(uint64_t w)
{
	return (w ^ w >> 32) * UNSCRAMBLE;
}

/* The bytes [off, off + n) of a stream. */
void data_fill(void *buf, uint64_t key, uint64_t off, size_t n)
{
	uint64_t k = key + off / 8, w;
	size_t skip = off % 8;
	char *p = buf;

	if (skip) {
		size_t part = n < 8 - skip ? n : 8 - skip;

		w = word(k++);
		memcpy(p, (char *)&w + skip, part);
		p += part;
		n -= part;
	}
	for (; n >= 8; n -= 8, p += 8) {
		w = word(k++);
		memcpy(p, &w, 8);
	}
	w = word(k);
	memcpy(p, &w, n);
}

/* How many bytes from the beginning of the buffer are right. */
size_t data_check(const void *buf, uint64_t key, uint64_t off, size_t n)
{
	const char *p = buf;
	char right[8];
	size_t done = 0;

	if (off % 8 == 0) {
		for (uint64_t k = key + off / 8, w, got; n - done >= 8; done += 8) {
			w = word(k++);
			memcpy(&got, p + done, 8);
			if (w != got)
				break;
		}
	}
	while (done < n) {
		size_t part = 8 - (off + done) % 8;

		if (part > n - done)
			part = n - done;
		data_fill(right, key, off + done, part);
		for (size_t i = 0; i < part; i++) {
			if (p[done + i] != right[i])
				return done + i;
		}
		done += part;
		if ((off + done) % 8 == 0 && n - done >= 8)
			return done + data_check(p + done, key, off + done, n - done);
	}
	return n;
}

/*
 * Where bytes come from that are not what was expected; false if they are none of ours.
 * Two words in a row have to fit together, wherever in them the buffer begins.
 */
bool data_decode(const void *buf, size_t n, uint64_t *conn, int *dir, uint64_t *off)
{
	for (size_t skip = 0; skip < 8 && skip + 16 <= n; skip++) {
		uint64_t w[2], number;

		memcpy(w, (const char *)buf + skip, 16);
		number = number_of(w[0]);
		if (number_of(w[1]) != number + 1 || (uint32_t)number * 8ull < skip)
			continue;
		*conn = number >> (WORDS_BITS + 1);
		*dir = number >> WORDS_BITS & 1;
		*off = (uint32_t)number * 8ull - skip;
		return true;
	}
	return false;
}
