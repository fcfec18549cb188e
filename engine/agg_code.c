/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The code that adds an event to a bank.
 *
 * Programs may be interrupted, and preempted, by others of the same kind on the same CPU, so numbers
 * are added atomically. Least and greatest are compared and stored: an interruption between these two
 * instructions by an event with a greater value, of the same key, can lose that value.
 *
 * Entering a bank: count oneself in, then look again whether it still is the active one; if not, take
 * that back and try anew. The collector does the mirror image: it changes the active bank, then reads
 * the counters. With a full barrier between the two steps on both sides, one of them must see the
 * other: either the program sees the change and goes, or the collector sees the program and waits. On
 * x86 the locked add is that barrier. Elsewhere it is the add that also fetches, which is fully ordered
 * (arm64 has it since 5.18). The add on leaving also orders all stores to the bank before it, and the
 * collector reads the bank after it has seen the counter at 0.
 *
 * A program that was counted into a slot at the moment when the collector read 0 there can't be in the
 * bank: had it entered before the change it would have been seen, and after it it goes away. So each
 * slot needs to be seen at 0 only once, not all at the same time.
 */
#include <errno.h>
#include "agg_maps_priv.h"
#include "code.h"

#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define R4 BPF_REG_4
#define R5 BPF_REG_5

/* Places in the room. */
#define KEY     0
#define NUMBERS BANK_KEY
#define INSIDE  (BANK_KEY + 8 * BANK_COLUMNS) /* address of the counter to leave by */

_Static_assert(INSIDE + 8 <= 8 * CODE_WORDS, "the room is too small");

#define TRIES 4 /* to find the active bank; each fails only if it is changed meanwhile */

#define SLOTS ((int)offsetof(struct agg_control, slots))

_Static_assert(sizeof(struct agg_slot) == 1 << 6, "a slot is a cache line");

/* Adds a constant, which is a full barrier. Destroys `tmp`. */
static void add_ordered(struct code *code, int dst, int off, int imm, int tmp)
{
	code_mov_imm(code, tmp, imm);
	code_atomic_add(code, dst, off, tmp);
#ifndef __x86_64__
	if (!code->no_memory)
		code->insns[code->n - 1].imm |= BPF_FETCH;
#endif
}

/* dst = the field's number, with its sign */
static void load_field(struct code *code, const struct field *f, int dst)
{
	int bits = f->bit_size ? f->bit_size : (int)f->size * 8;

	code_load(code, (int)f->size, dst, CODE_RECORD, (int)f->offset);
	if (f->kind == FIELD_BE && f->size > 1)
		code_big_endian(code, bits, dst);
	if (!f->bit_size && (bits == 64 || !bank_is_signed(f)))
		return;
	if (bits + f->bit_offset < 64)
		code_alu_imm(code, BPF_LSH, dst, 64 - bits - f->bit_offset);
	code_alu_imm(code, bank_is_signed(f) ? BPF_ARSH : BPF_RSH, dst, 64 - bits);
}

/* The same byte n times. */
static int64_t repeat(uint8_t byte, int n)
{
	uint64_t all = 0x0101010101010101ULL * byte;

	return (int64_t)(n == 8 ? all : all & ((1ULL << 8 * n) - 1));
}

/*
 * R1, a piece of text of n bytes, without what stands behind a NUL; then goes to `ended`. In
 * (v - 0x01..) & ~v & 0x80.. the lowest bit is that of the first zero byte (on little-endian CPUs, as
 * all are that this runs on). Destroys R2 and R3.
 */
static void cut_text(struct code *code, int n, int key_off, int ended)
{
	int whole = code_label(code);

	code_mov_imm(code, R3, repeat(0x01, n));
	code_mov(code, R2, R1);
	code_alu(code, BPF_SUB, R2, R3);
	code_mov(code, R3, R1);
	code_alu_imm(code, BPF_XOR, R3, -1);
	code_alu(code, BPF_AND, R2, R3);
	code_mov_imm(code, R3, repeat(0x80, n));
	code_alu(code, BPF_AND, R2, R3);
	code_jump_if_imm(code, BPF_JEQ, R2, 0, whole);
	/* all bits below that byte */
	code_mov(code, R3, R2);
	code_alu_imm(code, BPF_SUB, R3, 1);
	code_alu(code, BPF_XOR, R2, R3);
	code_alu_imm(code, BPF_RSH, R2, 8);
	code_alu(code, BPF_AND, R1, R2);
	code_store(code, n, CODE_ROOM, key_off, R1);
	code_jump(code, ended);
	code_place(code, whole);
}

/* Bytes and texts, in pieces as long as alignment allows. The key is zero where nothing is stored. */
static void copy_bytes(struct code *code, const struct bank_part *part)
{
	const struct field *f = &part->field;
	uint32_t to = KEY + part->in_key.offset;
	int n = code_widest(f->offset | to | f->size, 8), ended = code_label(code);

	for (int i = 0; i < (int)f->size; i += n) {
		code_load(code, n, R1, CODE_RECORD, (int)f->offset + i);
		if (f->kind == FIELD_STR)
			cut_text(code, n, (int)to + i, ended);
		code_store(code, n, CODE_ROOM, (int)to + i, R1);
	}
	code_place(code, ended);
}

static void write_part(struct code *code, const struct bank_part *part)
{
	const struct field *f = &part->field;

	if (f->kind == FIELD_STR || f->kind == FIELD_BYTES || f->kind == FIELD_ADDR6 ||
	    f->kind == FIELD_ADDR4 || f->kind == FIELD_MAC) {
		copy_bytes(code, part);
		return;
	}
	code_load(code, (int)f->size, R1, CODE_RECORD, (int)f->offset);
	if (f->bit_size) {
		code_alu_imm(code, BPF_LSH, R1, 64 - f->bit_size - f->bit_offset);
		code_alu_imm(code, BPF_RSH, R1, 64 - f->bit_size);
	}
	code_store(code, (int)f->size, CODE_ROOM, KEY + (int)part->in_key.offset, R1);
}

/* R2 += how many thresholds from `low` on, at most high - low, are below R1; then to `done`. */
static void search(struct code *code, const uint64_t *thresholds, int low, int high, int done)
{
	int mid = (low + high) / 2, above;

	if (low == high) {
		code_alu_imm(code, BPF_ADD, R2, low);
		code_jump(code, done);
		return;
	}
	above = code_label(code);
	code_mov_imm(code, R0, (int64_t)thresholds[mid]);
	code_jump_if(code, BPF_JGT, R1, R0, above);
	search(code, thresholds, low, mid, done);
	code_place(code, above);
	search(code, thresholds, mid + 1, high, done);
}

/* The bucket of R1, which is destroyed, goes into the key. See hist_thresholds(). */
static void write_bucket(struct code *code, enum hist_unit unit)
{
	int done = code_label(code);

	code_mov_imm(code, R2, (int32_t)BUCKET_ZERO);
	code_jump_if_imm(code, BPF_JEQ, R1, 0, done);
	code_mov_imm(code, R2, HIST_PER_OCTAVE * 63 + hist_offset(unit) - 1);
	for (int n = 32; n; n /= 2) {
		int set = code_label(code);

		code_mov(code, R3, R1);
		code_alu_imm(code, BPF_RSH, R3, 64 - n);
		code_jump_if_imm(code, BPF_JNE, R3, 0, set);
		code_alu_imm(code, BPF_LSH, R1, n);
		code_alu_imm(code, BPF_SUB, R2, HIST_PER_OCTAVE * n);
		code_place(code, set);
	}
	search(code, hist_thresholds(unit), 0, HIST_PER_OCTAVE, done);
	code_place(code, done);
	code_store(code, 4, CODE_ROOM, KEY, R2);
}

/* The number that a value gives to a column; R1 has the value. Destroys R2 and R3. */
static void write_number(struct code *code, const struct field *f, enum bank_what what, int off)
{
	if (what == BANK_N) {
		code_store_imm(code, 8, CODE_ROOM, off, 1);
		return;
	}
	code_mov(code, R2, R1);
	if (what != BANK_SUM && bank_is_signed(f)) {
		code_mov_imm(code, R3, INT64_MIN);
		code_alu(code, BPF_XOR, R2, R3);
	}
	if (what == BANK_MIN)
		code_alu_imm(code, BPF_XOR, R2, -1);
	code_store(code, 8, CODE_ROOM, off, R2);
}

/* All columns of a value: what they are to get, or zero if it is nil. */
static void write_numbers(struct code *code, const struct agg_maps *maps, int value, bool nil)
{
	for (int i = 0; i < maps->nr_columns; i++) {
		const struct bank_column *column = &maps->columns[i];
		int off = NUMBERS + 8 * i;

		if (column->what == BANK_COUNT || column->value != value)
			continue;
		if (nil)
			code_store_imm(code, 8, CODE_ROOM, off, 0);
		else
			write_number(code, &maps->values[value], column->what, off);
	}
}

static void write_value(struct code *code, const struct agg_maps *maps, int value)
{
	const struct field *f = &maps->values[value];
	int nil = code_label(code), done = code_label(code);

	load_field(code, f, R1);
	if (f->kind == FIELD_OPT)
		code_jump_if_imm(code, BPF_JEQ, R1, f->size == 8 ? -1 : (1LL << 8 * f->size) - 1,
				 nil);
	write_numbers(code, maps, value, false);
	if (value == maps->hist)
		write_bucket(code, agg_get_spec(maps->agg)->values[value].unit);
	code_jump(code, done);
	code_place(code, nil);
	write_numbers(code, maps, value, true);
	if (value == maps->hist)
		code_store_imm(code, 4, CODE_ROOM, KEY, (int32_t)BUCKET_NIL);
	code_place(code, done);
}

/* Key and numbers of the event, in the room. */
static void write_row(struct code *code, const struct agg_maps *maps)
{
	const struct agg_spec *spec = agg_get_spec(maps->agg);

	for (uint32_t i = 0; i < maps->key_size; i += 8)
		code_store_imm(code, 8, CODE_ROOM, KEY + (int)i, 0);
	if (maps->hist < 0)
		code_store_imm(code, 4, CODE_ROOM, KEY, (int32_t)BUCKET_ZERO);
	code_store_imm(code, 8, CODE_ROOM, NUMBERS, 1); /* BANK_COUNT */
	for (int i = 0; i < spec->nr_values; i++)
		write_value(code, maps, i);
	for (int i = 0; i < spec->nr_by; i++)
		write_part(code, &maps->parts[i]);
}

static void skip(struct code *code, const struct agg_maps *maps)
{
	code_map_value(code, R1, maps->control_fd, 0);
	code_mov_imm(code, R2, 1);
	code_atomic_add(code, R1, offsetof(struct agg_control, skipped), R2);
}

/* R3 = the bank entered; goes to `end` if none could be. */
static void enter(struct code *code, const struct agg_maps *maps, int end)
{
	int entered = code_label(code);

	code_call(code, BPF_FUNC_get_smp_processor_id);
	code_alu_imm(code, BPF_AND, R0, CONTROL_SLOTS - 1);
	code_alu_imm(code, BPF_LSH, R0, 6);
	code_map_value(code, R2, maps->control_fd, 0);
	code_mov(code, R1, R2);
	code_alu(code, BPF_ADD, R1, R0);
	for (int i = 0; i < TRIES; i++) {
		code_load(code, 4, R3, R2, offsetof(struct agg_control, active));
		code_alu_imm(code, BPF_AND, R3, 1);
		code_mov(code, R4, R3);
		code_alu_imm(code, BPF_LSH, R4, 3);
		code_alu(code, BPF_ADD, R4, R1);
		add_ordered(code, R4, SLOTS, 1, R5);
		code_load(code, 4, R5, R2, offsetof(struct agg_control, active));
		code_alu_imm(code, BPF_AND, R5, 1);
		code_jump_if(code, BPF_JEQ, R5, R3, entered);
		add_ordered(code, R4, SLOTS, -1, R5);
	}
	skip(code, maps);
	code_jump(code, end);
	code_place(code, entered);
	code_store(code, 8, CODE_ROOM, INSIDE, R4);
}

/* A helper for the bank, with the key. */
static void call_map(struct code *code, int fd, int helper)
{
	code_map(code, R1, fd);
	code_mov(code, R2, CODE_ROOM);
	code_alu_imm(code, BPF_ADD, R2, KEY);
	code_call(code, helper);
}

/* Adds the numbers to the row at R0. */
static void add_numbers(struct code *code, const struct agg_maps *maps)
{
	for (int i = 0; i < maps->nr_columns; i++) {
		enum bank_what what = maps->columns[i].what;
		int enough = code_label(code);

		code_load(code, 8, R1, CODE_ROOM, NUMBERS + 8 * i);
		if (what == BANK_MIN || what == BANK_MAX) {
			code_load(code, 8, R2, R0, 8 * i);
			code_jump_if(code, BPF_JGE, R2, R1, enough);
			code_store(code, 8, R0, 8 * i, R1);
		} else {
			code_atomic_add(code, R0, 8 * i, R1);
		}
		code_place(code, enough);
	}
}

/* Adds the event to one bank, in code of its own, so that the kernel knows the map of each call. */
static void add_to_bank(struct code *code, const struct agg_maps *maps, int fd, int leave)
{
	int found = code_label(code), other = code_label(code);

	call_map(code, fd, BPF_FUNC_map_lookup_elem);
	code_jump_if_imm(code, BPF_JNE, R0, 0, found);
	code_mov(code, R3, CODE_ROOM);
	code_alu_imm(code, BPF_ADD, R3, NUMBERS);
	code_mov_imm(code, R4, BPF_NOEXIST);
	call_map(code, fd, BPF_FUNC_map_update_elem);
	/* an int, of which the upper half of the register need not know */
	code_alu_imm(code, BPF_LSH, R0, 32);
	code_alu_imm(code, BPF_ARSH, R0, 32);
	code_jump_if_imm(code, BPF_JEQ, R0, 0, leave);
	code_jump_if_imm(code, BPF_JNE, R0, -EEXIST, other);
	/* another CPU was faster */
	call_map(code, fd, BPF_FUNC_map_lookup_elem);
	code_jump_if_imm(code, BPF_JNE, R0, 0, found);
	code_place(code, other);
	for (uint32_t i = 0; i < maps->key_size; i += 8)
		code_store_imm(code, 8, CODE_ROOM, KEY + (int)i, 0);
	code_store_imm(code, 4, CODE_ROOM, KEY, (int32_t)BUCKET_OTHER);
	call_map(code, fd, BPF_FUNC_map_lookup_elem);
	code_jump_if_imm(code, BPF_JNE, R0, 0, found);
	skip(code, maps);
	code_jump(code, leave);
	code_place(code, found);
	add_numbers(code, maps);
	code_jump(code, leave);
}

int agg_maps_code(const struct agg_maps *maps, struct code *code, struct err *err)
{
	int end = code_label(code), leave = code_label(code), second = code_label(code);

	(void)err;
	write_row(code, maps);
	enter(code, maps, end);
	code_jump_if_imm(code, BPF_JNE, R3, 0, second);
	add_to_bank(code, maps, maps->bank_fd[0], leave);
	code_place(code, second);
	add_to_bank(code, maps, maps->bank_fd[1], leave);
	code_place(code, leave);
	code_load(code, 8, R1, CODE_ROOM, INSIDE);
	add_ordered(code, R1, SLOTS, -1, R2);
	code_place(code, end);
	return 0;
}
