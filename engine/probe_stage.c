/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a probe decides about its events, and how that gets into programs that may be running. */
#include <errno.h>
#include "agg_maps.h"
#include "caps.h"
#include "code.h"
#include "expr.h"
#include "kbtf.h"
#include "object.h"
#include "probe_priv.h"
#include "record.h"
#include "util.h"

/* All code of ours into the programs: by loading them, or by exchanging those that are loaded. */
static int put_code(struct probe *p, bool swap, struct err *err)
{
	struct code stage;
	struct patch_set set = {
		.code = {
			[PATCH_STAGE] = &stage,
			[PATCH_PCAP_ETHER] = &p->pcap.ether,
			[PATCH_PCAP_IP] = &p->pcap.ip,
		},
	};
	int rc;

	code_init(&stage);
	rc = stage_code(&p->stage, &stage, err);
	if (!rc && swap)
		rc = object_swap(p->obj, probe_setup_object, p, &set, err);
	else if (!rc)
		rc = object_load(p->obj, probe_setup_object, p, &set, err);
	code_free(&stage);
	return rc;
}

int probe_load_object(struct probe *p, struct err *err)
{
	return put_code(p, false, err);
}

/* What is decided has changed. */
static int restage(struct probe *p, struct err *err)
{
	int rc = p->state == PROBE_OPEN ? 0 : put_code(p, true, err);

	if (p->state != PROBE_OPEN)
		kbtf_release();
	return rc;
}

static int set_expr(struct probe *p, struct expr **place, const char *text, struct err *err)
{
	struct expr *old = *place, *new = NULL;
	int rc = text ? expr_new(&new, text, p->layout, err) : 0;

	if (rc)
		return rc;
	*place = new;
	rc = restage(p, err);
	if (rc)
		*place = old;
	expr_free(rc ? new : old);
	return rc;
}

int probe_set_where(struct probe *p, const char *text, struct err *err)
{
	return set_expr(p, &p->stage.where, text, err);
}

int probe_set_threshold(struct probe *p, const char *text, struct err *err)
{
	int rc = set_expr(p, &p->stage.threshold, text, err);

	return rc ? err_prefix(err, "threshold") : 0;
}

const char *probe_where(const struct probe *p)
{
	return p->stage.where ? expr_text(p->stage.where) : NULL;
}

const char *probe_threshold(const struct probe *p)
{
	return p->stage.threshold ? expr_text(p->stage.threshold) : NULL;
}

int probe_set_pcap(struct probe *p, const char *text, struct err *err)
{
	struct pcap_filter old = p->pcap, new = { 0 };
	int rc = text ? pcap_filter_init(&new, text, err) : 0;

	if (rc)
		return rc;
	p->pcap = new;
	rc = restage(p, err);
	if (rc)
		p->pcap = old;
	pcap_filter_free(rc ? &new : &old);
	return rc;
}

const char *probe_pcap(const struct probe *p)
{
	return p->pcap.text;
}

bool probe_has_packets(const struct probe *p)
{
	return object_has_mark(p->obj, PATCH_PCAP_ETHER) || object_has_mark(p->obj, PATCH_PCAP_IP);
}

int probe_set_sample(struct probe *p, double part, struct err *err)
{
	uint64_t old = p->stage.sample;
	int rc = stage_set_sample(&p->stage, part, err);

	if (!rc)
		rc = restage(p, err);
	if (rc)
		p->stage.sample = old;
	return rc;
}

int probe_set_rate(struct probe *p, uint32_t per_second, const char *const *by, int nr_by,
		   struct err *err)
{
	const struct field *fields[STAGE_MAX_BY];
	struct stage_rate old = p->stage.rate;
	int rc;

	if (nr_by > STAGE_MAX_BY)
		return err_set(err, -E2BIG, "rate: more than %d fields", STAGE_MAX_BY);
	for (int i = 0; i < nr_by; i++) {
		fields[i] = layout_field(p->layout, by[i]);
		if (!fields[i]) {
			layout_no_field(p->layout, by[i], err);
			return err_prefix(err, "rate");
		}
	}
	p->stage.rate.map_fd = -1; /* kept in `old` until the new one is in force */
	rc = stage_set_rate(&p->stage, per_second, fields, nr_by, err);
	if (!rc)
		rc = restage(p, err);
	if (rc) {
		close_fd(&p->stage.rate.map_fd);
		p->stage.rate = old;
		return err_prefix(err, "rate");
	}
	close_fd(&old.map_fd);
	return 0;
}

int probe_aggregate(struct probe *p, struct agg *agg, struct agg_maps **maps, struct err *err)
{
	return agg_maps_new(maps, agg, p->layout, !caps_map_alloc(), err);
}

static void release_aggs(struct stage *stage)
{
	for (int i = 0; i < stage->nr_aggs; i++)
		agg_maps_free(stage->aggs[i]);
}

int probe_set_aggs(struct probe *p, struct agg_maps *const *aggs, int n, bool quiet,
		   struct err *err)
{
	struct stage old = p->stage;
	int rc;

	if (n > STAGE_MAX_AGGS)
		return err_set(err, -E2BIG, "more than %d aggregations", STAGE_MAX_AGGS);
	if (n == old.nr_aggs && quiet == old.quiet &&
	    !memcmp(old.aggs, aggs, sizeof(*aggs) * (size_t)n))
		return 0;
	for (int i = 0; i < n; i++)
		p->stage.aggs[i] = agg_maps_hold(aggs[i]);
	p->stage.nr_aggs = n;
	p->stage.quiet = quiet;
	rc = restage(p, err);
	release_aggs(rc ? &p->stage : &old);
	if (rc)
		p->stage = old;
	return rc;
}

int probe_inject(struct probe *p, const void *event, struct err *err)
{
	int verdict = stage_judge(&p->stage, event, err);

	if (verdict < 0)
		return verdict;
	p->judged[verdict]++;
	if (verdict == VERDICT_SEND)
		probe_deliver(p, event, p->layout->size);
	return 0;
}
