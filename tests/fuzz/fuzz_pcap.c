/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_pcap.c - packet filters as nobody would write them (libFuzzer).
 *
 * What libpcap takes is compiled for both marks. Jumps have to stay inside and go forward, and
 * nothing may be touched but the room.
 */
#include <stdlib.h>
#include <string.h>
#include "code.h"
#include "pcap_code.h"
#include "pcap_gen.h"

#define ROOM_END (PCAP_LOADED + 8)

static void in_room(int reg, int off, const struct bpf_insn *insn)
{
	int size = BPF_SIZE(insn->code) == BPF_DW ? 8 :
		   BPF_SIZE(insn->code) == BPF_W  ? 4 :
		   BPF_SIZE(insn->code) == BPF_H  ? 2 :
						    1;

	if (reg != PCAP_ROOM || off < 0 || off % size || off + size > ROOM_END)
		abort();
}

static void check_insns(const struct code *code)
{
	for (int i = 0; i < code->n; i++) {
		const struct bpf_insn *insn = &code->insns[i];
		int to = i + 1 + insn->off;

		switch (BPF_CLASS(insn->code)) {
		case BPF_JMP:
			if (to <= i || to > code->n)
				abort();
			break;
		case BPF_LDX:
			in_room(insn->src_reg, insn->off, insn);
			break;
		case BPF_ST:
		case BPF_STX:
			in_room(insn->dst_reg, insn->off, insn);
			break;
		default:
			if (insn->dst_reg == PCAP_ROOM)
				abort();
		}
		i += code_is_wide(insn);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	for (int which = PATCH_PCAP_ETHER; which <= PATCH_PCAP_IP; which++) {
		struct code code;
		struct err err = { 0 };

		code_init(&code);
		if (!pcap_code(text, (enum patch_mark)which, &code, &err))
			check_insns(&code);
		else if (!*err.msg || strchr(err.msg, '\n'))
			abort();
		code_free(&code);
	}
	free(text);
	return 0;
}
