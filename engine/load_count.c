/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The client's clock, and what it counts. */
#include <inttypes.h>
#include <stdio.h>
#include "hist.h"
#include "load_priv.h"

static uint64_t clock_of(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* CPU time of all processes so far. */
static uint64_t cpu_of_all(const struct load_role *role)
{
	uint64_t sum = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	clockid_t clock;

	for (int i = 0; i < role->index; i++)
		if (!clock_getcpuclockid(role->shared->pids[i], &clock))
			sum += clock_of(clock);
	return sum;
}

void load_clock_start(struct load_role *role)
{
	role->warm_ns = now_ns() + (uint64_t)(role->spec->warmup * 1e9);
}

/* A stream's bytes are counted by who gets them. */
static uint64_t bytes_sunk(struct load_role *role)
{
	return __atomic_load_n(&role->shared->sunk, __ATOMIC_RELAXED);
}

static void start_counting(struct load_role *role, uint64_t now)
{
	role->warm = true;
	role->stop_ns = now + (uint64_t)(role->spec->seconds * 1e9);
	role->cpu_ns = cpu_of_all(role);
	role->shared->start_ns = now;
	role->shared->bytes = bytes_sunk(role);
}

/* At least one operation is waited for, however short the time is. */
static bool any_done(struct load_role *role)
{
	if (role->spec->kind == LOAD_STREAM)
		return bytes_sunk(role) - role->shared->bytes >= role->spec->request;
	return role->shared->ops > 0;
}

static void end_counting(struct load_role *role, uint64_t now)
{
	struct load_shared *shared = role->shared;

	shared->end_ns = now;
	shared->cpu_ns = cpu_of_all(role) - role->cpu_ns;
	if (role->spec->kind == LOAD_STREAM) {
		shared->bytes = bytes_sunk(role) - shared->bytes;
		shared->ops = shared->bytes / role->spec->request;
	}
}

bool load_clock(struct load_role *role, uint64_t now)
{
	if (role->shared->end_ns)
		return true;
	if (now < role->warm_ns)
		return false;
	if (!role->warm)
		start_counting(role, now);
	if (now < role->stop_ns || !any_done(role))
		return false;
	end_counting(role, now);
	return true;
}

void load_count(struct load_role *role, uint64_t began, uint64_t now, uint64_t bytes)
{
	struct load_shared *shared = role->shared;
	uint64_t ns = now > began ? now - began : 1;
	int i;

	if (!role->warm || shared->end_ns)
		return;
	i = hist_bucket(HIST_NS, ns) - hist_offset(HIST_NS);
	shared->counts[i < 0 ? 0 : i < LOAD_BUCKETS ? i : LOAD_BUCKETS - 1]++;
	shared->ops++;
	shared->bytes += bytes;
	if (ns > shared->max_ns)
		shared->max_ns = ns;
}

int64_t load_meminfo(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "re");
	int64_t kb = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (str_starts(line, name) && sscanf(line + strlen(name), "%" SCNd64, &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb * 1024;
}
