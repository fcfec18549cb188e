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
static struct code code, ether, ip;
static struct err err;

static int prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long unused)
{
	(void)unused;
	return patch_program(prog, opts);
}

static int load(void)
{
	const struct patch_set set = {
		.code = { [PATCH_STAGE] = &code, [PATCH_PCAP_ETHER] = &ether, [PATCH_PCAP_IP] = &ip }
	};
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = prepare);

	log_catch_libbpf();
	if (caps_check(&err))
		SKIP("%s", err.msg);
	libbpf_register_prog_handler("raw_tp+", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &opts);
	obj = bpf_object__open_file(".output/unit/patch.bpf.o", NULL);
	CHECK(obj);
	CHECK_INT(code_finish(&code, &err), 0);
	CHECK_INT(code_finish(&ether, &err), 0);
	CHECK_INT(code_finish(&ip, &err), 0);
	patch_use(&set);
	return bpf_object__load(obj);
}

static int run(const char *program, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t args[] = { a, b, c };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));
	int fd = bpf_program__fd(bpf_object__find_program_by_name(obj, program));

	CHECK_INT(bpf_prog_test_run_opts(fd, &opts), 0);
	return (int)opts.retval;
}

static int judge(uint64_t a, uint64_t b)
{
	return run("judge", a, b, 0);
}

static void end(void)
{
	bpf_object__close(obj);
	code_free(&code);
	code_free(&ether);
	code_free(&ip);
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

/* r0 = caplen < 100, behind n instructions that do nothing */
static void load_short_only(struct code *to, int n)
{
	int yes = code_label(to);

	for (int i = 0; i < n; i++)
		code_mov_imm(to, BPF_REG_1, i);
	code_load(to, 4, BPF_REG_1, BPF_REG_6, 8);
	code_mov_imm(to, BPF_REG_0, 1);
	code_jump_if_imm(to, BPF_JLT, BPF_REG_1, 100, yes);
	code_mov_imm(to, BPF_REG_0, 0);
	code_place(to, yes);
}

static void leaves_no_packet_out_without_code(void)
{
	CHECK_INT(load(), 0);
	CHECK_INT(run("sift", 0, 100, 37), 111 * 1000 + 2 * 37);
	end();
}

static void has_a_place_for_each_kind(void)
{
	load_short_only(&ether, 0);
	CHECK_INT(load(), 0);
	CHECK_INT(run("sift", 0, 98, 37), 111 * 1000 + 2 * 37);
	CHECK_INT(run("sift", 0, 99, 37), 110 * 1000 + 2 * 37);
	CHECK_INT(run("sift", 0, 100, 37), 10 * 1000 + 2 * 37);
	CHECK_INT(judge(10, 20), 2 * 37);
	end();
}

static void puts_all_kinds_in_at_once(void)
{
	code_load(&code, 8, BPF_REG_0, CODE_RECORD, 0);
	load_short_only(&ether, 2000);
	load_short_only(&ip, 100);
	code_alu_imm(&ip, BPF_XOR, BPF_REG_0, 1);
	CHECK_INT(load(), 0);
	CHECK_INT(run("sift", 0, 98, 600), 101 * 1000 + 0 + 1200);
	CHECK_INT(run("sift", 0, 99, 37), 100 * 1000 + 2 * 37);
	CHECK_INT(run("sift", 0, 100, 37), 10 * 1000 + 2 * 37);
	CHECK_INT(judge(10, 20), 10 * 1000000 + 20 * 1000 + 2 * 37);
	end();
}

static void exchanges_where_the_kernel_can(void)
{
	CHECK_INT(load(), 0);
	if (caps_fetch()) {
		CHECK_INT(run("exchange", 7, 7, 9), 0 * 1000000 + 18);
		CHECK_INT(run("exchange", 7, 8, 9), 1 * 1000000 + 14);
	} else {
		CHECK_INT(run("exchange", 7, 7, 9), 2 * 1000000 + 14);
	}
	end();
}

static void finds_marks_in_a_file(void)
{
	static char elf[1 << 20];
	FILE *f = fopen(".output/unit/patch.bpf.o", "r");
	size_t size = f ? fread(elf, 1, sizeof(elf), f) : 0;

	CHECK(size && fclose(f) == 0);
	CHECK(patch_has_mark(elf, size, PATCH_STAGE));
	CHECK(patch_has_mark(elf, size, PATCH_PCAP_ETHER));
	CHECK(patch_has_mark(elf, size, PATCH_PCAP_IP));
	f = fopen(".output/tcpclose.bpf.o", "r");
	size = f ? fread(elf, 1, sizeof(elf), f) : 0;
	CHECK(size && fclose(f) == 0);
	CHECK(patch_has_mark(elf, size, PATCH_STAGE));
	CHECK(!patch_has_mark(elf, size, PATCH_PCAP_ETHER));
	CHECK(!patch_has_mark(elf, size, PATCH_PCAP_IP));
	CHECK(!patch_has_mark(elf, 8, PATCH_STAGE));
}

static const struct t_case cases[] = {
	{ "a program without code sends all", sends_all_without_code },
	{ "code decides at each place", decides_at_each_place },
	{ "code moves what lies around it", moves_what_lies_around_it },
	{ "code has jumps of its own", has_jumps_of_its_own },
	{ "code that is too long is refused", refuses_what_is_too_long_to_jump_over },
	{ "no packet is left out without code", leaves_no_packet_out_without_code },
	{ "each kind of code has its places, also in functions", has_a_place_for_each_kind },
	{ "code of all kinds goes in at once", puts_all_kinds_in_at_once },
	{ "an exchange stands in its place where the kernel has it",
	  exchanges_where_the_kernel_can },
	{ "marks are found in an object file", finds_marks_in_a_file },
};

T_MAIN(cases)
