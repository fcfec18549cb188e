/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Code put into a program of libbpf's: what was there before still does what it did. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "code.h"
#include "log.h"
#include "patch.h"
#include "t.h"

static struct bpf_object *obj;
static struct code code;
static struct err err;

static int prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long unused)
{
	(void)unused;
	return patch_program(prog, opts);
}

static int load(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = prepare);

	log_catch_libbpf();
	if (caps_check(&err))
		SKIP("%s", err.msg);
	libbpf_register_prog_handler("raw_tp+", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &opts);
	obj = bpf_object__open_file(".output/unit/patch.bpf.o", NULL);
	CHECK(obj);
	CHECK_INT(code_finish(&code, &err), 0);
	patch_use(&code);
	return bpf_object__load(obj);
}

static int judge(uint64_t a, uint64_t b)
{
	uint64_t args[] = { a, b };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));
	int fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "judge"));

	CHECK_INT(bpf_prog_test_run_opts(fd, &opts), 0);
	return (int)opts.retval;
}

static void end(void)
{
	bpf_object__close(obj);
	code_free(&code);
}

static void sends_all_without_code(void)
{
	CHECK_INT(load(), 0);
	CHECK_INT(judge(10, 20), 2 * 37);
	end();
}

/* verdict = first word; n instructions that do nothing make the way longer */
static void load_first_word(int n)
{
	for (int i = 0; i < n; i++)
		code_mov_imm(&code, BPF_REG_1, i);
	code_load(&code, 8, BPF_REG_0, CODE_RECORD, 0);
	CHECK_INT(load(), 0);
}

static void decides_at_each_place(void)
{
	load_first_word(0);
	CHECK_INT(judge(10, 20), 10 * 1000000 + 20 * 1000 + 2 * 37);
	CHECK_INT(judge(7, 20), 7);
	end();
}

static void moves_what_lies_around_it(void)
{
	load_first_word(3000);
	CHECK_INT(judge(10, 20), 10 * 1000000 + 20 * 1000 + 2 * 37);
	CHECK_INT(judge(900, 99), 900 * 1000000 + 100 * 1000 + 0);
	end();
}

static void has_jumps_of_its_own(void)
{
	int small = code_label(&code), out = code_label(&code);

	code_load(&code, 8, BPF_REG_1, CODE_RECORD, 8);
	code_jump_if_imm(&code, BPF_JLT, BPF_REG_1, 50, small);
	code_mov_imm(&code, BPF_REG_0, 1);
	code_jump(&code, out);
	code_place(&code, small);
	code_mov_imm(&code, BPF_REG_0, 2);
	code_place(&code, out);
	CHECK_INT(load(), 0);
	CHECK_INT(judge(1, 49), 2002000 + 2 * 57);
	CHECK_INT(judge(1, 50), 1001000 + 2 * 58);
	end();
}

static void refuses_what_is_too_long_to_jump_over(void)
{
	for (int i = 0; i < 40000; i++)
		code_mov_imm(&code, BPF_REG_1, i);
	code_mov_imm(&code, BPF_REG_0, 0);
	CHECK(load() < 0);
	end();
}

static const struct t_case cases[] = {
	{ "a program without code sends all", sends_all_without_code },
	{ "code decides at each place", decides_at_each_place },
	{ "code moves what lies around it", moves_what_lies_around_it },
	{ "code has jumps of its own", has_jumps_of_its_own },
	{ "code that is too long is refused", refuses_what_is_too_long_to_jump_over },
};

T_MAIN(cases)
