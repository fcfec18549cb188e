/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * agg_adder.h - for tests of aggregations in the kernel: a record with a field of every kind, and
 * programs that add it, run by BPF_PROG_TEST_RUN.
 */
#ifndef BPFNET_TEST_AGG_ADDER_H
#define BPFNET_TEST_AGG_ADDER_H

#include <errno.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "agg_maps_priv.h"
#include "caps.h"
#include "code.h"
#include "log.h"
#include "t.h"
#include "types.h"
#include "util.h"

#define RECORD 160 /* bytes at most */
#define ROOM   (8 * CODE_WORDS)

static struct types types;
static struct layout *layout;
static struct err err;

static inline void die_of(const char *what)
{
	FAIL("%s: %s", what, err.msg);
}

static inline void start(void)
{
	log_catch_libbpf();
	if (caps_check(&err))
		SKIP("%s", err.msg);
	types_new(&types);
}

/* struct event { __u64 seq; ... }: a member of every kind */
static inline void add_member(const char *name, int type, uint32_t bytes, uint32_t *at)
{
	uint32_t align = bytes & -bytes;

	align = align > 8 ? 8 : align;
	*at = (*at + align - 1) & -align;
	btf__add_field(types.btf, name, type, *at * 8, 0);
	*at += bytes;
}

static inline void make_layout(void)
{
	static const char *const names[] = { "END_FIN", "END_RST", "END_TIMEOUT", NULL };
	static const int64_t values[] = { 0, 1, 2 };
	int kind = types_enum(&types, "end", 4, names, values);
	int text = types_array(&types, types.ch, 16), odd = types_array(&types, types.ch, 5);
	int bytes = types_array(&types, btf__add_typedef(types.btf, "__u8", types.u8), 6);
	int id = btf__add_struct(types.btf, "event", RECORD);
	uint32_t at = 0;

	add_member("seq", types.u64, 8, &at);
	add_member("comm", text, 16, &at);
	add_member("addr", types.in6_addr, 16, &at);
	add_member("v4", types.in_addr, 4, &at);
	add_member("u8", types.u8, 1, &at);
	add_member("odd", odd, 5, &at);
	add_member("u16", types.u16, 2, &at);
	add_member("u32", types.u32, 4, &at);
	add_member("s8", types.s8, 1, &at);
	add_member("bytes", bytes, 6, &at);
	add_member("s16", types.s16, 2, &at);
	add_member("s32", types.s32, 4, &at);
	add_member("s64", types.s64, 8, &at);
	add_member("opt32", types.opt32, 4, &at);
	add_member("opt_ns", types.opt64, 8, &at);
	add_member("be64", types.be64, 8, &at);
	add_member("be16", types.be16, 2, &at);
	add_member("yes", types.boolean, 1, &at);
	add_member("be32", types.be32, 4, &at);
	add_member("kind", kind, 4, &at);
	add_member("error", types.err, 4, &at);
	add_member("reason", types.reason, 4, &at);
	add_member("stack", types.kstack, 4, &at);
	add_member("flags", types.flags, 1, &at);
	add_member("smac", types.mac, 6, &at);
	add_member("location", types.ksym, 8, &at);
	at = (at + 3) & ~3U;
	btf__add_field(types.btf, "low", types.u32, at * 8, 5);
	btf__add_field(types.btf, "high", types.s32, at * 8 + 5, 9);
	at += 4;
	CHECK(at <= RECORD);
	if (layout_new(&layout, types.btf, id, &err))
		die_of("layout");
}

static inline struct agg_spec make_spec(const char *const *by, const char *const *values,
					uint32_t max_keys)
{
	struct agg_spec spec;

	agg_spec_init(&spec);
	for (int i = 0; by[i]; i++)
		if (agg_spec_by(&spec, by[i], &err))
			die_of("by");
	/* "sum field", "hist field", ... */
	for (int i = 0; values[i]; i++) {
		const char *field = strchr(values[i], ' ') + 1;
		int what = 0;

		while (!str_starts(values[i], agg_what_name((enum agg_what)what)))
			what++;
		if (agg_spec_value(&spec, (enum agg_what)what, field, &err))
			die_of("value");
	}
	spec.max_keys = max_keys;
	return spec;
}

static inline struct agg *make_agg(const char *const *by, const char *const *values,
				   uint32_t max_keys)
{
	struct agg_spec spec = make_spec(by, values, max_keys);
	struct agg *agg;

	if (agg_new(&agg, &spec, &err))
		die_of("agg_new");
	return agg;
}

/* A program that adds a record which it takes from a map. */
struct adder {
	int map_fd;
	int prog_fd;
	uint8_t *record; /* the map's memory */
};

static inline void copy_record(struct code *code, int map_fd, bool counting)
{
	code_map_value(code, BPF_REG_8, map_fd, 0);
	code_mov(code, CODE_ROOM, BPF_REG_10);
	code_alu_imm(code, BPF_ADD, CODE_ROOM, -ROOM);
	code_mov(code, CODE_RECORD, BPF_REG_10);
	code_alu_imm(code, BPF_ADD, CODE_RECORD, -ROOM - RECORD);
	if (counting) {
		code_load(code, 8, BPF_REG_1, BPF_REG_8, 0);
		code_alu_imm(code, BPF_ADD, BPF_REG_1, 1);
		code_store(code, 8, BPF_REG_8, 0, BPF_REG_1);
	}
	for (int i = 0; i < RECORD; i += 8) {
		code_load(code, 8, BPF_REG_1, BPF_REG_8, i);
		code_store(code, 8, CODE_RECORD, i, BPF_REG_1);
	}
}

/* Puts three instructions after instruction `at`, and moves the jumps over it. */
static inline void insert(struct bpf_insn *insns, int *n, int at, const struct bpf_insn *three)
{
	for (int i = 0; i <= at; i++) {
		int class = BPF_CLASS(insns[i].code), op = BPF_OP(insns[i].code);

		if (class == BPF_JMP && op != BPF_CALL && op != BPF_EXIT && i + insns[i].off >= at)
			insns[i].off = (__s16)(insns[i].off + 3);
	}
	memmove(insns + at + 4, insns + at + 1, (size_t)(*n - at - 1) * sizeof(*insns));
	memcpy(insns + at + 1, three, 3 * sizeof(*insns));
	*n += 3;
}

/* The program itself changes the active bank, each time after it has read which one that is. */
static int flips;

static inline void insert_flips(struct bpf_insn *insns, int *n)
{
	static const struct bpf_insn flip[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_5, .src_reg = BPF_REG_2 },
		{ .code = BPF_ALU64 | BPF_XOR | BPF_K, .dst_reg = BPF_REG_5, .imm = 1 },
		{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_5 },
	};
	int found = 0;

	for (int i = 0; i < *n && found < flips; i++) {
		if (insns[i].code != flip[0].code || insns[i].src_reg != BPF_REG_2 ||
		    insns[i].dst_reg != BPF_REG_3 || insns[i].off)
			continue;
		insert(insns, n, i, flip);
		found++;
	}
	CHECK_INT(found, flips);
}

static inline int load(struct code *code, enum bpf_prog_type type, struct bpf_prog_load_opts *opts)
{
	static char verifier[1 << 20];
	struct bpf_insn insns[4096];
	int n, fd;

	if (code_finish(code, &err))
		die_of("code");
	n = code->n;
	CHECK(n + 20 <= (int)ARRAY_SIZE(insns));
	memcpy(insns, code->insns, (size_t)n * sizeof(*insns));
	insns[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	insns[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	code_free(code);
	insert_flips(insns, &n);
	fd = bpf_prog_load(type, "adder", "GPL", insns, (size_t)n, opts);
	if (fd < 0) {
		opts->log_buf = verifier;
		opts->log_size = sizeof(verifier);
		opts->log_level = 1;
		bpf_prog_load(type, "adder", "GPL", insns, (size_t)n, opts);
		FAIL("the kernel refuses: %s",
		     verifier + (strlen(verifier) > 3000 ? strlen(verifier) - 3000 : 0));
	}
	return fd;
}

static inline int record_map(uint8_t **record)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "record", 4, RECORD, 1, &opts);

	CHECK(fd >= 0);
	*record = mmap(NULL, RECORD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(*record != MAP_FAILED);
	return fd;
}

/* counting: each run makes seq one greater. keys: field u16 becomes seq modulo that power of two */
static inline void adder_new(struct adder *adder, const struct agg_maps *maps, int keys)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	const struct field *u16 = layout_field(layout, "u16");
	struct code code;

	adder->map_fd = record_map(&adder->record);
	code_init(&code);
	copy_record(&code, adder->map_fd, keys > 0);
	if (keys) {
		code_load(&code, 8, BPF_REG_1, CODE_RECORD, 0);
		code_alu_imm(&code, BPF_AND, BPF_REG_1, keys - 1);
		code_store(&code, 2, CODE_RECORD, (int)u16->offset, BPF_REG_1);
	}
	if (maps && agg_maps_code(maps, &code, &err))
		die_of("agg_maps_code");
	adder->prog_fd = load(&code, BPF_PROG_TYPE_SCHED_CLS, &opts);
}

static inline void adder_free(struct adder *adder)
{
	munmap(adder->record, RECORD);
	close(adder->map_fd);
	close(adder->prog_fd);
}

/* Returns ns per run, as the kernel measures it. */
static inline uint32_t run(const struct adder *adder, int times)
{
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = times);

	CHECK_INT(bpf_prog_test_run_opts(adder->prog_fd, &opts), 0);
	return opts.duration;
}

static inline void collect(struct agg_maps *maps)
{
	if (agg_maps_collect(maps, &err))
		die_of("collect");
}

static inline struct agg_maps *make_maps(struct agg *agg)
{
	struct agg_maps *maps;

	if (agg_maps_new(&maps, agg, layout, !caps_map_alloc(), &err))
		die_of("agg_maps_new");
	return maps;
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

#endif
