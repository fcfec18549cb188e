/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * At most so many events in each second, for each key. A key has one word in a map: the second in
 * its upper half, the events so far in its lower, so that one atomic operation counts and tells.
 */
#include "caps.h"
#include "code.h"
#include "record.h"
#include "stage.h"
#include "util.h"

/* Bytes of the room. */
#define ROOM_SECOND 0
#define ROOM_WORD   8
#define ROOM_KEY    16

/* Copies the fields' bytes into the key, byte by byte where they are not aligned. */
static void make_key(const struct stage_rate *rate, struct code *code)
{
	uint32_t to = ROOM_KEY;

	for (int i = 0; i < rate->nr_by; i++) {
		const struct field *f = rate->by[i];

		for (uint32_t done = 0; done < f->size;) {
			int a = code_widest(f->offset + done, f->size - done);
			int b = code_widest(to, f->size - done), size = a < b ? a : b;

			code_load(code, size, BPF_REG_1, CODE_RECORD, (int)(f->offset + done));
			code_store(code, size, CODE_ROOM, (int)to, BPF_REG_1);
			done += (uint32_t)size;
			to += (uint32_t)size;
		}
	}
	/* a key has a byte more than the fields, at least, up to the next 8 */
	do
		code_store_imm(code, 1, CODE_ROOM, (int)to++, 0);
	while (to % 8);
}

/* room[SECOND] = second of the event; r3 = that << 32 | 1: the word of its first event */
static void make_word(const struct layout *layout, struct code *code)
{
	const struct field *ts = layout_field(layout, "ts_ns");

	if (ts && ts->size == 8) {
		code_load(code, 8, BPF_REG_3, CODE_RECORD, (int)ts->offset);
	} else {
		code_call(code, BPF_FUNC_ktime_get_ns);
		code_mov(code, BPF_REG_3, BPF_REG_0);
	}
	code_alu_imm(code, BPF_DIV, BPF_REG_3, (int32_t)NSEC_PER_SEC);
	code_store(code, 8, CODE_ROOM, ROOM_SECOND, BPF_REG_3);
	code_alu_imm(code, BPF_LSH, BPF_REG_3, 32);
	code_alu_imm(code, BPF_OR, BPF_REG_3, 1);
	code_store(code, 8, CODE_ROOM, ROOM_WORD, BPF_REG_3);
}

static void key_args(const struct stage_rate *rate, struct code *code)
{
	code_map(code, BPF_REG_1, rate->map_fd);
	code_mov(code, BPF_REG_2, CODE_ROOM);
	code_alu_imm(code, BPF_ADD, BPF_REG_2, ROOM_KEY);
}

/* r0 = the key's word; a key that was new, and now has this event as its first, goes to `pass` */
static void find_word(const struct stage_rate *rate, struct code *code, int pass)
{
	int found = code_label(code);

	key_args(rate, code);
	code_call(code, BPF_FUNC_map_lookup_elem);
	code_jump_if_imm(code, BPF_JNE, BPF_REG_0, 0, found);
	key_args(rate, code);
	code_mov(code, BPF_REG_3, CODE_ROOM);
	code_alu_imm(code, BPF_ADD, BPF_REG_3, ROOM_WORD);
	code_mov_imm(code, BPF_REG_4, BPF_NOEXIST);
	code_call(code, BPF_FUNC_map_update_elem);
	code_jump_if_imm(code, BPF_JEQ, BPF_REG_0, 0, pass);
	/* another CPU has just made it */
	key_args(rate, code);
	code_call(code, BPF_FUNC_map_lookup_elem);
	code_jump_if_imm(code, BPF_JEQ, BPF_REG_0, 0, pass);
	code_place(code, found);
}

/* With r1 = the word before this event: r2 = its second, r1 = its events; r3 = this second */
static void take_apart(struct code *code)
{
	code_mov(code, BPF_REG_2, BPF_REG_1);
	code_alu_imm(code, BPF_RSH, BPF_REG_2, 32);
	code_alu_imm(code, BPF_LSH, BPF_REG_1, 32);
	code_alu_imm(code, BPF_RSH, BPF_REG_1, 32);
	code_load(code, 8, BPF_REG_3, CODE_ROOM, ROOM_SECOND);
}

/*
 * An event may be judged after one of the next second has been, on another CPU: then it counts
 * there. That is why the seconds are not compared for being equal.
 */
static void count_exactly(const struct stage_rate *rate, struct code *code, int pass, int limited)
{
	int new_second = code_label(code);
	const int word = BPF_REG_4;

	code_mov(code, word, BPF_REG_0);
	code_mov_imm(code, BPF_REG_1, 1);
	code_fetch_add(code, word, 0, BPF_REG_1);
	code_mov(code, BPF_REG_5, BPF_REG_1);
	take_apart(code);
	code_jump_if(code, BPF_JLT, BPF_REG_2, BPF_REG_3, new_second);
	code_jump_if_imm(code, BPF_JLT, BPF_REG_1, rate->per_second, pass);
	code_jump(code, limited);
	/* whoever replaces the word as it was left is the first of the new second */
	code_place(code, new_second);
	code_mov(code, BPF_REG_0, BPF_REG_5);
	code_alu_imm(code, BPF_ADD, BPF_REG_0, 1);
	code_mov(code, BPF_REG_5, BPF_REG_0);
	code_load(code, 8, BPF_REG_1, CODE_ROOM, ROOM_WORD);
	code_cmpxchg(code, word, 0, BPF_REG_1);
	code_jump_if(code, BPF_JEQ, BPF_REG_0, BPF_REG_5, pass);
	code_mov_imm(code, BPF_REG_1, 1);
	code_fetch_add(code, word, 0, BPF_REG_1);
	take_apart(code);
	code_jump_if_imm(code, BPF_JGE, BPF_REG_1, rate->per_second, limited);
}

/* Before 5.12: two CPUs at one key at the same moment may let an event too many through. */
static void count_roughly(const struct stage_rate *rate, struct code *code, int pass, int limited)
{
	int same_second = code_label(code);

	code_load(code, 8, BPF_REG_1, BPF_REG_0, 0);
	take_apart(code);
	code_jump_if(code, BPF_JGE, BPF_REG_2, BPF_REG_3, same_second);
	code_load(code, 8, BPF_REG_1, CODE_ROOM, ROOM_WORD);
	code_store(code, 8, BPF_REG_0, 0, BPF_REG_1);
	code_jump(code, pass);
	code_place(code, same_second);
	code_jump_if_imm(code, BPF_JGE, BPF_REG_1, rate->per_second, limited);
	code_mov_imm(code, BPF_REG_1, 1);
	code_atomic_add(code, BPF_REG_0, 0, BPF_REG_1);
}

void stage_rate_code(const struct stage_rate *rate, const struct layout *layout, struct code *code,
		     int limited)
{
	int pass = code_label(code);

	make_word(layout, code);
	make_key(rate, code);
	find_word(rate, code, pass);
	if (caps_fetch())
		count_exactly(rate, code, pass, limited);
	else
		count_roughly(rate, code, pass, limited);
	code_place(code, pass);
}
