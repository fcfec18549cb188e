/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which connections are in the sample: a hash of both ends decides, the same for either side, so
 * that a connection is in or out with all its events, in every probe, on both hosts.
 */
#include <errno.h>
#include <string.h>
#include "code.h"
#include "record.h"
#include "stage.h"

/* Odd numbers without a pattern: the fractions of square roots of 2, 3 and 5. */
#define MIX_HIGH 0x6a09e667f3bcc909LL
#define MIX_END  0x3b67ae8584caa73bLL
#define MIX_SUM  0x3c6ef372fe94f82bLL

static const struct field *find(const struct layout *layout, const char *name, enum field_kind kind,
				uint32_t size)
{
	const struct field *f = layout_field(layout, name);

	return f && f->kind == kind && f->size == size && !f->bit_size &&
			       f->offset % 8 % size == 0 ?
		       f :
		       NULL;
}

struct ends {
	const struct field *addr[2], *port[2];
};

static bool find_ends(const struct layout *layout, struct ends *ends)
{
	static const char *const addr[] = { "saddr", "daddr" }, *const port[] = { "sport",
										  "dport" };

	for (int i = 0; i < 2; i++) {
		ends->addr[i] = find(layout, addr[i], FIELD_ADDR6, 16);
		ends->port[i] = find(layout, port[i], FIELD_UINT, 2);
		if (!ends->addr[i] || ends->addr[i]->offset % 8 || !ends->port[i])
			return false;
	}
	return true;
}

int stage_sample_check(const struct layout *layout, struct err *err)
{
	struct ends ends;

	if (find_ends(layout, &ends))
		return 0;
	return err_set(err, -EINVAL,
		       "its events have no connection (saddr, sport, daddr, dport) to choose by");
}

static uint64_t word(const void *record, uint32_t offset)
{
	uint64_t v;

	memcpy(&v, (const char *)record + offset, sizeof(v));
	return v;
}

/* stage_sample_code() does the same, step by step. */
bool stage_sample_has(const struct stage *s, const void *record)
{
	struct ends ends;
	uint64_t sum = 0;

	find_ends(s->layout, &ends);
	for (int i = 0; i < 2; i++) {
		uint64_t end = word(record, ends.addr[i]->offset) * (uint64_t)MIX_HIGH;
		uint16_t port;

		memcpy(&port, (const char *)record + ends.port[i]->offset, sizeof(port));
		end ^= word(record, ends.addr[i]->offset + 8);
		end ^= port;
		end *= (uint64_t)MIX_END;
		end ^= end >> 32;
		end *= (uint64_t)MIX_HIGH;
		sum += end;
	}
	sum ^= sum >> 32;
	sum *= (uint64_t)MIX_SUM;
	return sum >> 32 < s->sample;
}

static void multiply(struct code *code, int dst, int64_t by)
{
	code_mov_imm(code, BPF_REG_0, by);
	code_alu(code, BPF_MUL, dst, BPF_REG_0);
}

/* dst ^= dst >> 32 */
static void fold(struct code *code, int dst)
{
	code_mov(code, BPF_REG_0, dst);
	code_alu_imm(code, BPF_RSH, BPF_REG_0, 32);
	code_alu(code, BPF_XOR, dst, BPF_REG_0);
}

void stage_sample_code(const struct stage *s, struct code *code, int label)
{
	const int end = BPF_REG_1, part = BPF_REG_2, sum = BPF_REG_3;
	struct ends ends;

	find_ends(s->layout, &ends);
	code_mov_imm(code, sum, 0);
	for (int i = 0; i < 2; i++) {
		int addr = (int)ends.addr[i]->offset;

		code_load(code, 8, end, CODE_RECORD, addr);
		multiply(code, end, MIX_HIGH);
		code_load(code, 8, part, CODE_RECORD, addr + 8);
		code_alu(code, BPF_XOR, end, part);
		code_load(code, 2, part, CODE_RECORD, (int)ends.port[i]->offset);
		code_alu(code, BPF_XOR, end, part);
		multiply(code, end, MIX_END);
		fold(code, end);
		multiply(code, end, MIX_HIGH);
		code_alu(code, BPF_ADD, sum, end);
	}
	fold(code, sum);
	multiply(code, sum, MIX_SUM);
	code_alu_imm(code, BPF_RSH, sum, 32);
	code_jump_if_imm(code, BPF_JGE, sum, (int64_t)s->sample, label);
}
