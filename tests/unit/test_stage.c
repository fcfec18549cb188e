/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What is decided about an event: the same in the kernel as in user space. */
#include <arpa/inet.h>
#include <bpf/btf.h>
#include "caps.h"
#include "code_run.h"
#include "expr.h"
#include "log.h"
#include "record.h"
#include "stage.h"
#include "t.h"
#include "types.h"
#include "util.h"

struct event {
	uint64_t ts_ns;
	uint8_t saddr[16];
	uint8_t daddr[16];
	uint64_t latency_ns;
	uint16_t sport;
	uint16_t dport;
	uint32_t pid;
	char comm[16];
};

static struct types types;
static struct layout *layout;
static struct stage stage;
static struct code_run kernel;
static struct err err;

static void start(void)
{
	struct btf *b;
	int text, id;

	log_catch_libbpf();
	types_new(&types);
	b = types.btf;
	text = types_array(&types, types.ch, 16);
	id = btf__add_struct(b, "event", sizeof(struct event));
	btf__add_field(b, "ts_ns", types.u64, offsetof(struct event, ts_ns) * 8, 0);
	btf__add_field(b, "saddr", types.in6_addr, offsetof(struct event, saddr) * 8, 0);
	btf__add_field(b, "daddr", types.in6_addr, offsetof(struct event, daddr) * 8, 0);
	btf__add_field(b, "latency_ns", types.opt64, offsetof(struct event, latency_ns) * 8, 0);
	btf__add_field(b, "sport", types.u16, offsetof(struct event, sport) * 8, 0);
	btf__add_field(b, "dport", types.u16, offsetof(struct event, dport) * 8, 0);
	btf__add_field(b, "pid", types.u32, offsetof(struct event, pid) * 8, 0);
	btf__add_field(b, "comm", text, offsetof(struct event, comm) * 8, 0);
	if (layout_new(&layout, b, id, &err))
		FAIL("%s", err.msg);
	stage_init(&stage, layout);
}

static void load(void)
{
	struct code code;

	if (caps_check(&err))
		SKIP("%s", err.msg);
	code_init(&code);
	if (stage_code(&stage, &code, &err))
		FAIL("%s", err.msg);
	code_run_load(&kernel, &code, sizeof(struct event));
	code_free(&code);
}

static void end(void)
{
	code_run_free(&kernel);
	stage_fini(&stage);
	layout_free(layout);
	types_free(&types);
}

static uint64_t seed = 42;

static uint64_t random_word(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A client on one of a few addresses talks to one service, as they do. */
static void make_event(struct event *ev)
{
	memset(ev, 0, sizeof(*ev));
	addr_parse("10.1.2.3", ev->saddr);
	addr_parse("10.96.0.1", ev->daddr);
	ev->saddr[15] = (uint8_t)(random_word() % 4);
	ev->sport = (uint16_t)(32768 + random_word() % 28000);
	ev->dport = 443;
}

static void turn_round(struct event *ev)
{
	struct event other = *ev;

	memcpy(ev->saddr, other.daddr, sizeof(ev->saddr));
	memcpy(ev->daddr, other.saddr, sizeof(ev->daddr));
	ev->sport = other.dport;
	ev->dport = other.sport;
}

static void sends_all_when_nothing_is_set(void)
{
	struct event ev;

	start();
	load();
	make_event(&ev);
	CHECK_INT(code_run_on(&kernel, &ev), VERDICT_SEND);
	CHECK_INT(stage_judge(&stage, &ev, &err), VERDICT_SEND);
	end();
}

static void takes_either_side_of_a_connection_or_none(void)
{
	int in = 0, n = 4000;

	start();
	CHECK_INT(stage_set_sample(&stage, 0.25, &err), 0);
	load();
	for (int i = 0; i < n; i++) {
		struct event ev;
		int verdict;

		make_event(&ev);
		verdict = code_run_on(&kernel, &ev);
		CHECK_INT(stage_judge(&stage, &ev, &err), verdict);
		turn_round(&ev);
		CHECK_INT(code_run_on(&kernel, &ev), verdict);
		CHECK_INT(stage_judge(&stage, &ev, &err), verdict);
		CHECK(verdict == VERDICT_SEND || verdict == VERDICT_SAMPLED);
		in += verdict == VERDICT_SEND;
	}
	/* five standard deviations: 137 */
	CHECK(in > n / 4 - 137 && in < n / 4 + 137);
	end();
}

/* Ports that follow each other must not all be in or out: a loop of connects takes just those. */
static void samples_neighbours_independently(void)
{
	int in = 0, changes = 0, before = 0;
	struct event ev;

	start();
	CHECK_INT(stage_set_sample(&stage, 0.5, &err), 0);
	make_event(&ev);
	for (int port = 1024; port < 1024 + 8192; port++) {
		int now;

		ev.sport = (uint16_t)port;
		now = stage_judge(&stage, &ev, &err) == VERDICT_SEND;
		in += now;
		changes += now != before;
		before = now;
	}
	CHECK(in > 4096 - 227 && in < 4096 + 227);
	CHECK(changes > 4096 - 227 && changes < 4096 + 227);
	stage_fini(&stage);
	layout_free(layout);
	types_free(&types);
}

static int pass(const char *comm, uint64_t second)
{
	struct event ev = { .ts_ns = second * NSEC_PER_SEC + 5 };

	snprintf(ev.comm, sizeof(ev.comm), "%s", comm);
	return code_run_on(&kernel, &ev) == VERDICT_SEND;
}

static int pass_of(int n, const char *comm, uint64_t second)
{
	int passed = 0;

	for (int i = 0; i < n; i++)
		passed += pass(comm, second);
	return passed;
}

static void limits_each_key_in_each_second(void)
{
	const struct field *by[2];

	start();
	by[0] = layout_field(layout, "comm");
	by[1] = layout_field(layout, "dport");
	CHECK_INT(stage_set_rate(&stage, 3, by, 2, &err), 0);
	load();
	CHECK_INT(pass_of(10, "a", 7), 3);
	CHECK_INT(pass_of(2, "b", 7), 2);
	CHECK_INT(pass_of(10, "a", 8), 3);
	CHECK_INT(pass_of(10, "b", 8), 3);
	/* late ones count in the second that has begun */
	CHECK_INT(pass_of(10, "a", 7), 0);
	CHECK_INT(pass_of(1, "a", 9), 1);
	end();
}

static void limits_all_together_without_a_key(void)
{
	start();
	CHECK_INT(stage_set_rate(&stage, 1, NULL, 0, &err), 0);
	load();
	CHECK_INT(pass_of(5, "a", 1) + pass_of(5, "b", 1), 1);
	end();
}

static void refuses_a_sample_of_what_has_no_ends(void)
{
	int id;

	types_new(&types);
	id = btf__add_struct(types.btf, "event", 8);
	btf__add_field(types.btf, "pid", types.u32, 0, 0);
	CHECK_INT(layout_new(&layout, types.btf, id, &err), 0);
	stage_init(&stage, layout);
	CHECK(stage_set_sample(&stage, 0.5, &err) < 0);
	CHECK_HAS(err.msg, "no connection");
	CHECK_INT(stage.sample, STAGE_SAMPLE_ALL);
	stage_fini(&stage);
	layout_free(layout);
	types_free(&types);
}

static void judges_in_order(void)
{
	struct event ev;
	int limited = 0;

	start();
	CHECK_INT(expr_new(&stage.where, "dport == 443", layout, &err), 0);
	CHECK_INT(expr_new(&stage.threshold, "latency_ns > 1ms", layout, &err), 0);
	CHECK_INT(stage_set_rate(&stage, 2, NULL, 0, &err), 0);
	load();
	make_event(&ev);
	ev.dport = 80;
	ev.latency_ns = 5000000;
	CHECK_INT(code_run_on(&kernel, &ev), VERDICT_FILTERED);
	CHECK_INT(stage_judge(&stage, &ev, &err), VERDICT_FILTERED);
	ev.dport = 443;
	ev.latency_ns = 1000000;
	/* below the threshold: nobody adds it up, so it is filtered, and takes nothing of the rate */
	for (int i = 0; i < 5; i++)
		CHECK_INT(code_run_on(&kernel, &ev), VERDICT_FILTERED);
	ev.latency_ns++;
	for (int i = 0; i < 5; i++)
		limited += code_run_on(&kernel, &ev) == VERDICT_LIMITED;
	CHECK_INT(limited, 3);
	CHECK_INT(stage_judge(&stage, &ev, &err), VERDICT_SEND);
	end();
}

static const struct t_case cases[] = {
	{ "a stage without rules sends all", sends_all_when_nothing_is_set },
	{ "a sample takes a connection from both sides or not at all",
	  takes_either_side_of_a_connection_or_none },
	{ "a sample takes neighbouring ports independently", samples_neighbours_independently },
	{ "a rate limits each key in each second", limits_each_key_in_each_second },
	{ "a rate without a key limits all together", limits_all_together_without_a_key },
	{ "a sample needs events with two ends", refuses_a_sample_of_what_has_no_ends },
	{ "where, threshold and rate are asked in this order", judges_in_order },
};

T_MAIN(cases)
