/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Instructions with labels: what comes out, and what it does in the kernel. */
#include <errno.h>
#include "caps.h"
#include "code.h"
#include "code_run.h"
#include "log.h"
#include "t.h"

static struct code code;
static struct err err;

static int run(void)
{
	struct code_run run;
	uint64_t record = 0x1122334455667788;
	int result;

	log_catch_libbpf();
	if (caps_check(&err))
		SKIP("%s", err.msg);
	CHECK_INT(code_finish(&code, &err), 0);
	code_run_load(&run, &code, sizeof(record));
	result = code_run_on(&run, &record);
	code_run_free(&run);
	code_free(&code);
	return result;
}

static void takes_out_what_cant_be_reached(void)
{
	int over = code_label(&code), end = code_label(&code);

	code_jump(&code, over);
	code_mov_imm(&code, BPF_REG_0, 1LL << 40); /* two places */
	code_jump(&code, end);
	code_place(&code, over);
	code_mov_imm(&code, BPF_REG_0, 7);
	code_place(&code, end);
	CHECK_INT(code_finish(&code, &err), 0);
	CHECK_INT(code.n, 2);
	CHECK_INT(code.insns[0].off, 0);
	CHECK_INT(code.insns[1].imm, 7);
	code_free(&code);
}

static void nothing_stays_nothing(void)
{
	CHECK_INT(code_finish(&code, &err), 0);
	CHECK_INT(code.n, 0);
}

static void jumps_forward_and_back(void)
{
	int again = code_label(&code), done = code_label(&code);

	code_mov_imm(&code, BPF_REG_0, 0);
	code_mov_imm(&code, BPF_REG_1, 0);
	code_place(&code, again);
	code_jump_if_imm(&code, BPF_JGE, BPF_REG_1, 10, done);
	code_alu_imm(&code, BPF_ADD, BPF_REG_1, 1);
	code_alu(&code, BPF_ADD, BPF_REG_0, BPF_REG_1);
	code_jump(&code, again);
	code_place(&code, done);
	CHECK_INT(run(), 55);
}

static void compares_with_large_constants(void)
{
	int yes = code_label(&code), end = code_label(&code);

	code_load(&code, 8, BPF_REG_1, CODE_RECORD, 0);
	code_jump_if_imm(&code, BPF_JEQ, BPF_REG_1, 0x1122334455667788, yes);
	code_mov_imm(&code, BPF_REG_0, 1);
	code_jump(&code, end);
	code_place(&code, yes);
	code_mov_imm(&code, BPF_REG_0, 2);
	code_place(&code, end);
	CHECK_INT(run(), 2);
}

static void loads_parts_and_turns_bytes(void)
{
	code_load(&code, 2, BPF_REG_0, CODE_RECORD, 4); /* 0x3344 */
	code_big_endian(&code, 16, BPF_REG_0);
	code_load(&code, 1, BPF_REG_1, CODE_RECORD, 0); /* 0x88 */
	code_alu_imm(&code, BPF_LSH, BPF_REG_1, 16);
	code_alu(&code, BPF_OR, BPF_REG_0, BPF_REG_1);
	CHECK_INT(run(), 0x884433);
}

static void counts_in_memory(void)
{
	code_store_imm(&code, 8, CODE_ROOM, 8, 40);
	code_mov_imm(&code, BPF_REG_1, 2);
	code_atomic_add(&code, CODE_ROOM, 8, BPF_REG_1);
	code_load(&code, 8, BPF_REG_0, CODE_ROOM, 8);
	CHECK_INT(run(), 42);
}

static void gives_back_what_was_there(void)
{
	if (!caps_fetch())
		SKIP("this kernel has no atomic operations that fetch");
	code_store_imm(&code, 8, CODE_ROOM, 8, 40);
	code_mov_imm(&code, BPF_REG_1, 2);
	code_fetch_add(&code, CODE_ROOM, 8, BPF_REG_1); /* r1 = 40, there: 42 */
	code_mov_imm(&code, BPF_REG_0, 42);
	code_mov_imm(&code, BPF_REG_2, 5);
	code_cmpxchg(&code, CODE_ROOM, 8, BPF_REG_2); /* r0 = 42, there: 5 */
	code_alu_imm(&code, BPF_MUL, BPF_REG_0, 100);
	code_alu(&code, BPF_ADD, BPF_REG_0, BPF_REG_1);
	code_alu_imm(&code, BPF_MUL, BPF_REG_0, 10);
	code_load(&code, 8, BPF_REG_1, CODE_ROOM, 8);
	code_alu(&code, BPF_ADD, BPF_REG_0, BPF_REG_1);
	CHECK_INT(run(), (42 * 100 + 40) * 10 + 5);
}

static void says_that_a_jump_is_too_far(void)
{
	int end = code_label(&code);

	code_jump_if_imm(&code, BPF_JEQ, BPF_REG_1, 0, end);
	for (int i = 0; i < 40000; i++)
		code_mov_imm(&code, BPF_REG_0, i);
	code_place(&code, end);
	CHECK_INT(code_finish(&code, &err), -E2BIG);
	CHECK_STR(err.msg, "40001 instructions are too many");
	code_free(&code);
}

static const struct t_case cases[] = {
	{ "code loses what can't be reached", takes_out_what_cant_be_reached },
	{ "code of nothing is nothing", nothing_stays_nothing },
	{ "code jumps forward and back", jumps_forward_and_back },
	{ "code compares with constants of 64 bits", compares_with_large_constants },
	{ "code loads parts of words and turns their bytes", loads_parts_and_turns_bytes },
	{ "code counts in memory", counts_in_memory },
	{ "code exchanges memory atomically", gives_back_what_was_there },
	{ "code says that a jump is too far", says_that_a_jump_is_too_far },
};

T_MAIN(cases)
