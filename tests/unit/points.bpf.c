/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A table of points for test_points.c; no kernel has these functions. */
#include "points.h"

struct unit_event {
	__u64 id;
};

PROBE_EVENTS(struct unit_event, "an event of test_points.c");

const volatile __u64 cfg_points[2] = { ~0ULL, ~0ULL };

const struct point_way point_ways[] POINT_WAYS = {
	{ "alpha", "unit_alpha", "one", 0, 0, POINT_NO_ARG },
	{ "beta", "unit_beta_old", "one", 1, 0, POINT_NO_ARG, .before = 0x40000 },
	{ "beta", "unit_beta", "one", 1, 1, 2, .since = 0x40000, .alt = 1 },
	{ "gamma", "unit_gamma", "two", 64, 0, POINT_NO_ARG, .module = "unit_module" },
	{ "delta", "", "two", 127, .optional = true },
};

static int point_seen(void *ctx, __u64 cookie, __u64 arg, __u64 extra)
{
	return cookie && arg && extra;
}

static int point_left(void *ctx, const struct point_call *call, __s64 ret)
{
	return call && ret;
}

POINT_PROGRAMS

SEC("tp_btf/unit_delta")
int delta__btf(__u64 *ctx)
{
	return 0;
}
