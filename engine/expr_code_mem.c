/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Conditions about texts and addresses: bytes of the record, compared word by word. */
#include <endian.h>
#include <string.h>
#include "code.h"
#include "expr_priv.h"

/* Bytes that a field has to begin with. */
struct match {
	const struct field *field;
	const uint8_t *bytes;
	uint32_t len; /* of them; zeros follow */
	uint32_t n; /* how many count */
	uint8_t last_mask; /* which bits of the last one do */
};

struct chunk {
	uint32_t at, used; /* bytes in the field; used: the first of them, which count */
	int size; /* of the load */
};

void expr_code_load(struct code *code, int size, int dst, uint32_t off)
{
	int step = code_widest(off, (uint32_t)size), shift;

	code_load(code, step, dst, CODE_RECORD, (int)off);
	if (step < size && BYTE_ORDER == BIG_ENDIAN)
		code_alu_imm(code, BPF_LSH, dst, 8 * (size - step));
	for (int at = step; at < size; at += step) {
		shift = 8 * (BYTE_ORDER == BIG_ENDIAN ? size - step - at : at);
		code_load(code, step, BPF_REG_0, CODE_RECORD, (int)off + at);
		if (shift)
			code_alu_imm(code, BPF_LSH, BPF_REG_0, shift);
		code_alu(code, BPF_OR, dst, BPF_REG_0);
	}
}

static struct chunk next_chunk(const struct match *m, uint32_t at)
{
	uint32_t left = m->n - at;
	int size = code_widest(m->field->offset + at, m->field->size - at);

	/* one byte too many costs a mask, two or more are cheaper as two loads */
	if (left < (uint32_t)size && !(size >= 4 && left == (uint32_t)size - 1))
		size = code_widest(m->field->offset + at, left);
	return (struct chunk){ at, left < (uint32_t)size ? left : (uint32_t)size, size };
}

static int64_t word(const uint8_t bytes[8], int size)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case 1:
		return bytes[0];
	case 2:
		memcpy(&u16, bytes, 2);
		return u16;
	case 4:
		memcpy(&u32, bytes, 4);
		return u32;
	default:
		memcpy(&u64, bytes, 8);
		return (int64_t)u64;
	}
}

static void and_mask(struct code *code, int64_t mask)
{
	if (mask == (int32_t)mask) {
		code_alu_imm(code, BPF_AND, BPF_REG_1, (int32_t)mask);
		return;
	}
	code_mov_imm(code, BPF_REG_0, mask);
	code_alu(code, BPF_AND, BPF_REG_1, BPF_REG_0);
}

/* Loads a chunk to register 1, without what does not count. Returns what it has to be. */
static int64_t load_chunk(struct code *code, const struct match *m, struct chunk c)
{
	uint8_t bytes[8] = { 0 }, mask[8] = { 0 };
	bool masked = c.used < (uint32_t)c.size;

	for (uint32_t i = 0; i < c.used; i++) {
		bool last = c.at + i == m->n - 1;

		mask[i] = last ? m->last_mask : 0xff;
		masked |= mask[i] != 0xff;
		bytes[i] = c.at + i < m->len ? m->bytes[c.at + i] & mask[i] : 0;
	}
	code_load(code, c.size, BPF_REG_1, CODE_RECORD, (int)(m->field->offset + c.at));
	if (masked)
		and_mask(code, word(mask, c.size));
	return word(bytes, c.size);
}

static void gen_match(struct code *code, const struct match *m, struct branch to)
{
	struct chunk c;
	int64_t value;

	for (uint32_t at = 0; at < m->n; at += c.used) {
		c = next_chunk(m, at);
		value = load_chunk(code, m, c);
		if (at + c.used < m->n)
			code_jump_if_imm(code, BPF_JNE, BPF_REG_1, value, to.no);
		else
			expr_code_branch_imm(code, BPF_JEQ, BPF_REG_1, value, to);
	}
}

void expr_code_text(struct code *code, const struct node *n, struct branch to)
{
	const struct field *f = n->l->field;
	struct match m = { f, (const uint8_t *)n->s, (uint32_t)n->len, (uint32_t)n->len, 0xff };

	if (n->i)
		m.n = f->kind == FIELD_STR ? m.len + 1 : f->size;
	gen_match(code, &m, to);
}

/* Two parts of the record that are as long. */
static void gen_same(struct code *code, uint32_t a, uint32_t b, uint32_t len, struct branch to)
{
	while (len) {
		int size = code_widest(a | b, len);

		code_load(code, size, BPF_REG_1, CODE_RECORD, (int)a);
		code_load(code, size, BPF_REG_2, CODE_RECORD, (int)b);
		a += (uint32_t)size;
		b += (uint32_t)size;
		len -= (uint32_t)size;
		if (len)
			code_jump_if(code, BPF_JNE, BPF_REG_1, BPF_REG_2, to.no);
		else
			expr_code_branch(code, BPF_JEQ, BPF_REG_1, BPF_REG_2, to);
	}
}

/* Byte by byte, because what is behind a NUL does not count. */
void expr_code_same_text(struct code *code, const struct node *n, struct branch to)
{
	const struct field *a = n->l->field, *b = n->r->field;
	const struct field *longer = a->size > b->size ? a : b;
	uint32_t len = longer == a ? b->size : a->size;

	if (a->kind != FIELD_STR) {
		gen_same(code, a->offset, b->offset, len, to);
		return;
	}
	for (uint32_t i = 0; i < len; i++) {
		code_load(code, 1, BPF_REG_1, CODE_RECORD, (int)(a->offset + i));
		code_load(code, 1, BPF_REG_2, CODE_RECORD, (int)(b->offset + i));
		if (i == len - 1 && longer->size == len) {
			expr_code_branch(code, BPF_JEQ, BPF_REG_1, BPF_REG_2, to);
			return;
		}
		code_jump_if(code, BPF_JNE, BPF_REG_1, BPF_REG_2, to.no);
		code_jump_if_imm(code, BPF_JEQ, BPF_REG_1, 0, to.yes);
	}
	code_load(code, 1, BPF_REG_1, CODE_RECORD, (int)(longer->offset + len));
	expr_code_branch_imm(code, BPF_JEQ, BPF_REG_1, 0, to);
}

/* Length of the prefix that the span is all of; -1 if it is no network. */
static int prefix_len(const struct expr_span *s)
{
	int bits = 0;

	for (; bits < 128; bits++) {
		int mask = 0x80 >> bits % 8;

		if ((s->lo[bits / 8] ^ s->hi[bits / 8]) & mask)
			break;
	}
	for (int i = bits; i < 128; i++) {
		int mask = 0x80 >> i % 8;

		if ((s->lo[i / 8] & mask) || !(s->hi[i / 8] & mask))
			return -1;
	}
	return bits;
}

/* From the end, where addresses differ: an IPv4 one begins with zeros. */
static void gen_prefix(struct code *code, const struct field *f, const uint8_t *addr, int bits,
		       struct branch to)
{
	uint8_t last = bits % 8 ? (uint8_t)(0xff00 >> bits % 8) : 0xff;
	struct match m = { f, addr, f->size, (uint32_t)(bits + 7) / 8, last };
	struct chunk chunks[16];
	int64_t value;
	int n = 0;

	if (!bits) {
		expr_code_goto(code, to.yes, to);
		return;
	}
	for (uint32_t at = 0; at < m.n; at += chunks[n++].used)
		chunks[n] = next_chunk(&m, at);
	while (--n) {
		value = load_chunk(code, &m, chunks[n]);
		code_jump_if_imm(code, BPF_JNE, BPF_REG_1, value, to.no);
	}
	value = load_chunk(code, &m, chunks[0]);
	expr_code_branch_imm(code, BPF_JEQ, BPF_REG_1, value, to);
}

static int64_t big_endian(const uint8_t *bytes, int size)
{
	uint64_t value = 0;

	for (int i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return (int64_t)value;
}

static void load_big_endian(struct code *code, int size, int dst, uint32_t off)
{
	expr_code_load(code, size, dst, off);
	code_big_endian(code, 8 * size, dst);
}

static void gen_range4(struct code *code, const struct field *f, const struct expr_span *s,
		       struct branch to)
{
	load_big_endian(code, 4, BPF_REG_1, f->offset);
	code_jump_if_imm(code, BPF_JLT, BPF_REG_1, big_endian(s->lo + 12, 4), to.no);
	expr_code_branch_imm(code, BPF_JLE, BPF_REG_1, big_endian(s->hi + 12, 4), to);
}

/* As two numbers of 64 bits without a sign. */
static void gen_range6(struct code *code, const struct field *f, const struct expr_span *s,
		       struct branch to)
{
	int64_t lo = big_endian(s->lo, 8), hi = big_endian(s->hi, 8);
	int64_t lo2 = big_endian(s->lo + 8, 8), hi2 = big_endian(s->hi + 8, 8);
	int above = code_label(code);

	load_big_endian(code, 8, BPF_REG_1, f->offset);
	load_big_endian(code, 8, BPF_REG_2, f->offset + 8);
	if (lo == hi) {
		code_jump_if_imm(code, BPF_JNE, BPF_REG_1, lo, to.no);
		code_jump_if_imm(code, BPF_JLT, BPF_REG_2, lo2, to.no);
	} else {
		code_jump_if_imm(code, BPF_JLT, BPF_REG_1, lo, to.no);
		code_jump_if_imm(code, BPF_JGT, BPF_REG_1, lo, above);
		code_jump_if_imm(code, BPF_JLT, BPF_REG_2, lo2, to.no);
		code_place(code, above);
		code_jump_if_imm(code, BPF_JGT, BPF_REG_1, hi, to.no);
		code_jump_if_imm(code, BPF_JLT, BPF_REG_1, hi, to.yes);
	}
	expr_code_branch_imm(code, BPF_JLE, BPF_REG_2, hi2, to);
}

static void gen_span6(struct code *code, const struct field *f, const struct expr_span *s,
		      struct branch to)
{
	int bits = prefix_len(s);

	if (bits >= 0)
		gen_prefix(code, f, s->lo, bits, to);
	else
		gen_range6(code, f, s, to);
}

static const struct expr_span mapped = {
	{ [10] = 0xff, [11] = 0xff },
	{ [10] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
};

/* The part of the span that is IPv4. */
static void gen_span4(struct code *code, const struct field *f, const struct expr_span *s,
		      struct branch to)
{
	struct expr_span part = *s;
	int bits;

	if (memcmp(part.lo, mapped.lo, 16) < 0)
		memcpy(part.lo, mapped.lo, 16);
	if (memcmp(part.hi, mapped.hi, 16) > 0)
		memcpy(part.hi, mapped.hi, 16);
	bits = prefix_len(&part);
	if (memcmp(part.lo, part.hi, 16) > 0)
		expr_code_goto(code, to.no, to);
	else if (bits >= 0)
		gen_prefix(code, f, part.lo + 12, bits - 96, to);
	else
		gen_range4(code, f, &part, to);
}

void expr_code_addr(struct code *code, const struct node *n, struct branch to)
{
	const struct field *f = n->l->field;

	for (int i = 0; i < n->n; i++) {
		struct branch here = to;
		int other = i < n->n - 1 ? code_label(code) : -1;

		if (other >= 0)
			here = (struct branch){ to.yes, other, other };
		if (f->kind == FIELD_ADDR6)
			gen_span6(code, f, &n->spans[i], here);
		else
			gen_span4(code, f, &n->spans[i], here);
		if (other >= 0)
			code_place(code, other);
	}
}

void expr_code_same_addr(struct code *code, const struct node *n, struct branch to)
{
	const struct field *a = n->l->field, *b = n->r->field;
	const struct field *six = a->kind == FIELD_ADDR6 ? a : b;
	struct match m = { six, mapped.lo, 12, 12, 0xff };
	int same;

	if (a->kind == b->kind) {
		gen_same(code, a->offset, b->offset, a->size, to);
		return;
	}
	same = code_label(code);
	gen_match(code, &m, (struct branch){ same, to.no, same });
	code_place(code, same);
	gen_same(code, six->offset + 12, six == a ? b->offset : a->offset, 4, to);
}
