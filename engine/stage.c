/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "agg_maps.h"
#include "code.h"
#include "expr.h"
#include "record.h"
#include "stage.h"
#include "util.h"

#define MAX_RATE_KEYS  16384
#define MAX_RATE_BYTES 64 /* of a key; in the room that code has, behind three words */

void stage_init(struct stage *s, const struct layout *layout)
{
	memset(s, 0, sizeof(*s));
	s->layout = layout;
	s->sample = STAGE_SAMPLE_ALL;
	s->rate.map_fd = -1;
}

void stage_fini(struct stage *s)
{
	expr_free(s->where);
	expr_free(s->threshold);
	close_fd(&s->rate.map_fd);
	for (int i = 0; i < s->nr_aggs; i++)
		agg_maps_free(s->aggs[i]);
}

int stage_set_sample(struct stage *s, double part, struct err *err)
{
	int rc = part < 1 ? stage_sample_check(s->layout, err) : 0;

	if (!rc)
		s->sample = (uint64_t)(part * (double)STAGE_SAMPLE_ALL);
	return rc;
}

int stage_set_rate(struct stage *s, uint32_t per_second, const struct field *const *by, int nr_by,
		   struct err *err)
{
	struct stage_rate rate = { .per_second = per_second, .nr_by = nr_by, .map_fd = -1 };
	uint32_t size = 0;

	for (int i = 0; i < nr_by; i++) {
		if (by[i]->kind == FIELD_LIST)
			return err_set(err, -EINVAL, "field \"%s\" is a list, which is no key",
				       by[i]->name);
		rate.by[i] = by[i];
		size += by[i]->size;
	}
	if (size > MAX_RATE_BYTES)
		return err_set(err, -E2BIG, "the fields have %u bytes together, at most %d fit",
			       size, MAX_RATE_BYTES);
	if (per_second) {
		/* Least recently used: a key that comes back starts anew. */
		rate.map_fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "rate", (size + 8) / 8 * 8,
					     sizeof(uint64_t), MAX_RATE_KEYS, NULL);
		if (rate.map_fd < 0)
			return err_sys(err, -errno, "can't create the map 'rate'");
	}
	close_fd(&s->rate.map_fd);
	s->rate = rate;
	return 0;
}

static void verdict(struct code *code, int label, enum verdict what, int end)
{
	code_place(code, label);
	code_mov_imm(code, BPF_REG_0, what);
	code_jump(code, end);
}

int stage_code(const struct stage *s, struct code *code, struct err *err)
{
	int filtered = code_label(code), sampled = code_label(code), limited = code_label(code),
	    aggregated = code_label(code), end = code_label(code), rc = 0;

	if (s->where)
		rc = expr_code(s->where, code, filtered, err);
	if (!rc && s->sample < STAGE_SAMPLE_ALL)
		stage_sample_code(s, code, sampled);
	for (int i = 0; i < s->nr_aggs && !rc; i++)
		rc = agg_maps_code(s->aggs[i], code, err);
	if (!rc && s->quiet)
		code_jump(code, aggregated);
	if (!rc && s->threshold)
		rc = expr_code(s->threshold, code, s->nr_aggs ? aggregated : filtered, err);
	if (rc)
		return rc;
	if (s->rate.per_second)
		stage_rate_code(&s->rate, s->layout, code, limited);
	code_mov_imm(code, BPF_REG_0, VERDICT_SEND);
	code_jump(code, end);
	verdict(code, filtered, VERDICT_FILTERED, end);
	verdict(code, sampled, VERDICT_SAMPLED, end);
	verdict(code, limited, VERDICT_LIMITED, end);
	verdict(code, aggregated, VERDICT_AGGREGATED, end);
	code_place(code, end);
	return code_finish(code, err);
}

int stage_judge(const struct stage *s, const void *record, struct err *err)
{
	int rc = 0;

	if (s->where && !expr_eval(s->where, record))
		return VERDICT_FILTERED;
	if (s->sample < STAGE_SAMPLE_ALL && !stage_sample_has(s, record))
		return VERDICT_SAMPLED;
	for (int i = 0; i < s->nr_aggs && !rc; i++)
		rc = agg_maps_add(s->aggs[i], record, err);
	if (rc)
		return rc;
	if (s->quiet)
		return VERDICT_AGGREGATED;
	if (s->threshold && !expr_eval(s->threshold, record))
		return s->nr_aggs ? VERDICT_AGGREGATED : VERDICT_FILTERED;
	return VERDICT_SEND;
}
