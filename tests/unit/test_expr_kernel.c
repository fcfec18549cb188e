/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Expressions in the kernel: what their code finds has to be what expr_eval() finds, for each of
 * the known ones and for random ones. Needs BPF.
 */
#define T_SECONDS 180 /* emulated kernels are slow */
#include <errno.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "code.h"
#include "expr.h"
#include "expr_random.h"
#include "log.h"
#include "t.h"

#define BATCH   32 /* expressions in one program */
#define RECORDS 32 /* that each program is run with */
#define RANDOM  10000 /* random expressions, if BPFNET_RANDOM says nothing else */
#define SIZE    ((int)sizeof(struct rec))

/* What programs read and write, mapped. */
struct shared {
	struct rec rec;
	uint64_t found[BATCH];
};

static struct layout *layout;
static struct shared *shared;
static int map_fd;

static void start(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct err err;

	log_catch_libbpf();
	if (caps_check(&err))
		SKIP("%s", err.msg);
	layout = expr_layout();
	map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "where", 4, sizeof(*shared), 1, &opts);
	CHECK(map_fd >= 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	CHECK(shared != MAP_FAILED);
}

/* Register 9 keeps the map. */
static void prologue(struct code *code)
{
	code_map_value(code, BPF_REG_9, map_fd, 0);
	code_mov(code, CODE_ROOM, BPF_REG_10);
	code_alu_imm(code, BPF_ADD, CODE_ROOM, -8 * CODE_WORDS);
}

/* As in a probe. */
static void record_on_stack(struct code *code)
{
	code_mov(code, CODE_RECORD, CODE_ROOM);
	code_alu_imm(code, BPF_ADD, CODE_RECORD, -SIZE);
	for (int i = 0; i < SIZE; i += 8) {
		code_load(code, 8, BPF_REG_1, BPF_REG_9, i);
		code_store(code, 8, CODE_RECORD, i, BPF_REG_1);
	}
}

/* Where the verifier does not follow what is in it, which takes most of the time. */
static void record_in_map(struct code *code)
{
	code_mov(code, CODE_RECORD, BPF_REG_9);
}

static void add(struct code *code, const struct expr *expr, int i)
{
	int no = code_label(code);
	struct err err;

	if (expr_code(expr, code, no, &err))
		FAIL("%s", err.msg);
	code_store_imm(code, 8, BPF_REG_9, SIZE + 8 * i, 1);
	code_place(code, no);
}

/* Aligned as on the stack, wherever the record is. */
static int try_load(const struct bpf_insn *insns, int n, char *log, uint32_t log_size)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_STRICT_ALIGNMENT, .log_buf = log,
		    .log_size = log_size, .log_level = log ? 1 : 0);

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "where", "GPL", insns, (size_t)n, &opts);
}

static int load(struct code *code)
{
	static char log[1 << 20];
	struct bpf_insn *insns;
	struct err err;
	int fd;

	code_mov_imm(code, BPF_REG_0, 0);
	if (code_finish(code, &err))
		FAIL("%s", err.msg);
	insns = calloc((size_t)code->n + 1, sizeof(*insns));
	memcpy(insns, code->insns, (size_t)code->n * sizeof(*insns));
	insns[code->n].code = BPF_JMP | BPF_EXIT;
	fd = try_load(insns, code->n + 1, NULL, 0);
	if (fd < 0 && try_load(insns, code->n + 1, log, sizeof(log)) < 0)
		FAIL("not loaded: %s", strlen(log) > 2000 ? log + strlen(log) - 2000 : log);
	free(insns);
	return fd;
}

static void run(int fd)
{
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	memset(shared->found, 0, sizeof(shared->found));
	CHECK_INT(bpf_prog_test_run_opts(fd, &opts), 0);
}

static void known(void)
{
	int n = ARRAY_SIZE(expr_cases);

	start();
	for (int first = 0; first < n; first += BATCH) {
		struct code code;
		int fd, end = first + BATCH < n ? first + BATCH : n;
		struct expr *expr;
		struct err err;

		code_init(&code);
		prologue(&code);
		record_on_stack(&code);
		for (int i = first; i < end; i++) {
			CHECK_INT(expr_new(&expr, expr_cases[i].text, layout, &err), 0);
			add(&code, expr, i - first);
			expr_free(expr);
		}
		fd = load(&code);
		for (int i = first; i < end; i++) {
			shared->rec = expr_cases[i].rec;
			run(fd);
			if (shared->found[i - first] != expr_cases[i].want)
				FAIL("%s: the kernel says %d", expr_cases[i].text,
				     (int)shared->found[i - first]);
		}
		close(fd);
		code_free(&code);
	}
	layout_free(layout);
}

static struct expr *next_random(struct expr_random *x)
{
	struct expr *expr;
	struct err err;

	for (;;) {
		expr_random(x);
		if (!expr_new(&expr, x->text, layout, &err))
			return expr;
		if (!strstr(err.msg, "division by zero") && !strstr(err.msg, "not of one kind"))
			FAIL("%s", err.msg);
	}
}

static void hex(const void *data, size_t n, char *buf)
{
	for (size_t i = 0; i < n; i++)
		sprintf(buf + 2 * i, "%02x", ((const uint8_t *)data)[i]);
}

/* Returns how many of them were true. */
static int compare_batch(int fd, struct expr *const *exprs, struct expr_random *randoms)
{
	char bytes[2 * sizeof(struct rec) + 1];
	int passed = 0;

	for (int r = 0; r < RECORDS; r++) {
		/* made for one of them */
		expr_random_record(&randoms[r % BATCH], (uint8_t *)&shared->rec);
		run(fd);
		for (int i = 0; i < BATCH; i++) {
			bool want = expr_eval(exprs[i], &shared->rec);

			passed += want;
			if (shared->found[i] == want)
				continue;
			hex(&shared->rec, sizeof(shared->rec), bytes);
			FAIL("%s: evaluated it is %d, in the kernel %d, for %s",
			     expr_text(exprs[i]), want, (int)shared->found[i], bytes);
		}
	}
	return passed;
}

static void random_ones(void)
{
	static struct expr_random x = { .seed = 1 }, randoms[BATCH];
	struct expr *exprs[BATCH];
	const char *other = getenv("BPFNET_RANDOM");
	int wanted = other ? atoi(other) : RANDOM;
	long passed = 0, all = 0;

	start();
	x.layout = layout;
	for (int n = 0; n < wanted; n += BATCH) {
		struct code code;
		int fd;

		code_init(&code);
		prologue(&code);
		record_in_map(&code);
		for (int i = 0; i < BATCH; i++) {
			exprs[i] = next_random(&x);
			add(&code, exprs[i], i);
			randoms[i] = x;
		}
		fd = load(&code);
		passed += compare_batch(fd, exprs, randoms);
		all += BATCH * RECORDS;
		close(fd);
		code_free(&code);
		for (int i = 0; i < BATCH; i++)
			expr_free(exprs[i]);
	}
	/* else the comparison would say little */
	CHECK(passed > all / 5 && passed < all * 4 / 5);
	layout_free(layout);
}

static const struct t_case cases[] = {
	{ "the kernel finds what is expected", known },
	{ "the kernel finds what evaluation finds", random_ones },
};

T_MAIN(cases)
