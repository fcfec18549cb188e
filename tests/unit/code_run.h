/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* code_run.h - runs stage code in the kernel, on a record that stands on the stack as in a probe. */
#ifndef BPFNET_TEST_CODE_RUN_H
#define BPFNET_TEST_CODE_RUN_H

#include <bpf/bpf.h>
#include "code.h"
#include "t.h"

struct code_run {
	int map_fd; /* the record */
	int prog_fd;
	uint32_t size; /* of the record, a multiple of 8 */
};

/* r6 = a copy of the record, r7 = the room */
static inline void code_run_prologue(struct code *code, const struct code_run *run)
{
	int found = code_label(code), record = -8 - (int)run->size;

	code_store_imm(code, 4, BPF_REG_10, -4, 0);
	code_map(code, BPF_REG_1, run->map_fd);
	code_mov(code, BPF_REG_2, BPF_REG_10);
	code_alu_imm(code, BPF_ADD, BPF_REG_2, -4);
	code_call(code, BPF_FUNC_map_lookup_elem);
	code_jump_if_imm(code, BPF_JNE, BPF_REG_0, 0, found);
	code_exit(code);
	code_place(code, found);
	for (int i = 0; i < (int)run->size; i += 8) {
		code_load(code, 8, BPF_REG_1, BPF_REG_0, i);
		code_store(code, 8, BPF_REG_10, record + i, BPF_REG_1);
	}
	code_mov(code, CODE_RECORD, BPF_REG_10);
	code_alu_imm(code, BPF_ADD, CODE_RECORD, record);
	code_mov(code, CODE_ROOM, BPF_REG_10);
	code_alu_imm(code, BPF_ADD, CODE_ROOM, record - 8 * CODE_WORDS);
}

static inline int code_run_join(const struct code *first, const struct code *second)
{
	static char log[65536];
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = log, .log_size = sizeof(log),
		    .log_level = 1);
	size_t n = (size_t)(first->n + second->n);
	struct bpf_insn *all = calloc(n + 1, sizeof(*all));
	int fd;

	memcpy(all, first->insns, (size_t)first->n * sizeof(*all));
	memcpy(all + first->n, second->insns, (size_t)second->n * sizeof(*all));
	all[n] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "code_run", "GPL", all, n + 1, &opts);
	free(all);
	if (fd < 0)
		FAIL("the kernel refuses the code: %.4000s", log);
	return fd;
}

/* stage: finished, leaves its result in r0 */
static inline void code_run_load(struct code_run *run, const struct code *stage, uint32_t size)
{
	struct code prologue;
	struct err err;

	run->size = (size + 7) / 8 * 8;
	run->map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "record", 4, run->size, 1, NULL);
	CHECK(run->map_fd >= 0);
	code_init(&prologue);
	code_run_prologue(&prologue, run);
	CHECK_INT(code_finish(&prologue, &err), 0);
	run->prog_fd = code_run_join(&prologue, stage);
	code_free(&prologue);
}

/* What the code leaves in r0 for a record of run->size bytes. */
static inline int code_run_on(const struct code_run *run, const void *record)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	uint32_t zero = 0;

	CHECK_INT(bpf_map_update_elem(run->map_fd, &zero, record, BPF_ANY), 0);
	CHECK_INT(bpf_prog_test_run_opts(run->prog_fd, &opts), 0);
	return (int)opts.retval;
}

static inline void code_run_free(struct code_run *run)
{
	close(run->map_fd);
	close(run->prog_fd);
}

#endif
