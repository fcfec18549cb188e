/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bpfnet redirect bench: the same load in two cgroups of its own, one of which a `bpfnet redirect`
 * carries, and over UNIX sockets, in turns. Nothing else on the node is redirected for it.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "cgroup.h"
#include "cmd.h"
#include "load.h"
#include "cmd_redirect_child.h"
#include "util.h"

#define DEFAULT_ROUNDS 2
#define MAX_ROUNDS     100
#define COUNTED        0.2 /* seconds */
#define UNIX_WARMUP    0.05 /* nothing has to take over there */

enum way { PLAIN, REDIRECT, UNIX, WAYS };

struct row {
	const char *name;
	bool one_cpu; /* where one end always waits for the other: else an idle CPU's wake-up is measured */
	struct load_spec spec;
	struct load_result sums[WAYS]; /* of all rounds; p50_ns too */
};

struct bench {
	char *root;
	char dirs[2][4096]; /* by enum way */
	char parent[4096];
	bool json;
	int rounds;
};

static struct row rows[] = {
	{ .name = "request and response, 64 B", .one_cpu = true },
	{ .name = "request and response, 16 KiB",
	  .one_cpu = true,
	  .spec = { .request = 16384, .response = 16384 } },
	{ .name = "the same, 16 connections", .spec = { .connections = 16 } },
	{ .name = "through two proxies, 1 KiB",
	  .spec = { .proxies = 2, .connections = 4, .request = 1024, .response = 1024 } },
	{ .name = "one way, 64 KiB", .spec = { .kind = LOAD_STREAM, .request = 65536 } },
	{ .name = "connect, one request, close", .spec = { .kind = LOAD_CHURN, .connections = 4 } },
};

static const char *const names[] = { "plain", "redirect" };

/* Of one that was killed: its processes are gone with it, its cgroups are not. */
static void remove_left_behind(const char *root)
{
	struct dirent *e;
	DIR *dir = opendir(root);

	while (dir && (e = readdir(dir))) {
		char path[4096];
		int pid;

		if (sscanf(e->d_name, "bpfnet-bench-%d", &pid) != 1 || kill(pid, 0) == 0 ||
		    errno != ESRCH)
			continue;
		for (int i = 0; i < 2; i++) {
			snprintf(path, sizeof(path), "%.3800s/%.250s/%s", root, e->d_name,
				 names[i]);
			rmdir(path);
		}
		snprintf(path, sizeof(path), "%.3800s/%.250s", root, e->d_name);
		rmdir(path);
	}
	if (dir)
		closedir(dir);
}

static int make_cgroups(struct bench *b, struct err *err)
{
	int rc = cgroup_path(&b->root, "/", err);

	if (rc)
		return rc;
	remove_left_behind(b->root);
	snprintf(b->parent, sizeof(b->parent), "%s/bpfnet-bench-%d", b->root, (int)getpid());
	if (mkdir(b->parent, 0755))
		return err_sys(err, -errno, "%s: can't be made", b->parent);
	for (int i = 0; i < 2; i++) {
		snprintf(b->dirs[i], sizeof(b->dirs[i]), "%.4000s/%s", b->parent, names[i]);
		if (mkdir(b->dirs[i], 0755))
			return err_sys(err, -errno, "%s: can't be made", b->dirs[i]);
	}
	return 0;
}

static void remove_cgroups(struct bench *b)
{
	for (int i = 0; i < 2; i++)
		if (*b->dirs[i])
			rmdir(b->dirs[i]);
	if (*b->parent)
		rmdir(b->parent);
	free(b->root);
}

/* What the row says, and the usual for the rest. */
static void fill_spec(const struct bench *b, const struct row *row, enum way way,
		      struct load_spec *spec)
{
	const struct load_spec *own = &row->spec;
	struct load_place place = { .cgroup = way == UNIX ? NULL : b->dirs[way],
				    .cpu = row->one_cpu ? sched_getcpu() + 1 : 0 };

	load_defaults(spec);
	spec->kind = own->kind;
	spec->family = way == UNIX ? LOAD_UNIX : LOAD_IPV4;
	spec->client = spec->server = place;
	spec->proxies = own->proxies;
	spec->connections = own->connections ? own->connections : spec->connections;
	spec->request = own->request ? own->request : spec->request;
	spec->response = own->response ? own->response : spec->response;
	spec->exchanges = 1;
	spec->warmup = way == UNIX ? UNIX_WARMUP : spec->warmup;
	spec->seconds = COUNTED;
}

static int run_row(const struct bench *b, struct row *row, enum way way, struct err *err)
{
	struct load_result result, *sum = &row->sums[way];
	struct load_spec spec;
	int rc;

	fill_spec(b, row, way, &spec);
	rc = load_run(&spec, &result, err);
	if (rc) /* a signal ends it as well */
		return redirect_child_check(err) ?: err_prefix(err, "%s", row->name);
	sum->ops += result.ops;
	sum->seconds += result.seconds;
	sum->p50_ns += result.p50_ns;
	sum->rate = (double)sum->ops / sum->seconds;
	return 0;
}

static int run_rows(const struct bench *b, struct err *err)
{
	int rc = 0;

	for (int round = 0; round < b->rounds; round++)
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			for (enum way way = PLAIN; way < WAYS && !rc; way++)
				rc = redirect_child_check(err) ?: run_row(b, &rows[i], way, err);
	return rc;
}

static double to_plain(const struct row *row, enum way way)
{
	return row->sums[way].rate / row->sums[PLAIN].rate;
}

/* Streams have no latency. */
static double latency(const struct row *row)
{
	return row->sums[PLAIN].p50_ns > 0 ? row->sums[REDIRECT].p50_ns / row->sums[PLAIN].p50_ns :
					     NAN;
}

static void print_table(void)
{
	printf("%-30s %12s %12s %8s %12s %12s\n", "", "TCP, /s", "redirect, /s", "ratio",
	       "median time", "UNIX sockets");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		char time[16] = "-";

		if (!isnan(latency(row)))
			snprintf(time, sizeof(time), "%.2f", latency(row));
		printf("%-30s %12.0f %12.0f %8.2f %12s %12.2f\n", row->name, row->sums[PLAIN].rate,
		       row->sums[REDIRECT].rate, to_plain(row, REDIRECT), time,
		       to_plain(row, UNIX));
	}
	puts("ratios are to TCP; UNIX sockets are the limit beside it");
}

static void print_json(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		printf("{\"work\":\"%s\",\"tcp_per_s\":%.1f,\"redirect_per_s\":%.1f,"
		       "\"ratio\":%.3f,\"unix_ratio\":%.3f",
		       row->name, row->sums[PLAIN].rate, row->sums[REDIRECT].rate,
		       to_plain(row, REDIRECT), to_plain(row, UNIX));
		if (!isnan(latency(row)))
			printf(",\"p50_ratio\":%.3f", latency(row));
		puts("}");
	}
}

/* Everything that is made here is gone afterwards, also when a signal ends it. */
static int run_bench(struct bench *b, struct err *err)
{
	int rc;

	redirect_child_catch_signals();
	rc = make_cgroups(b, err);
	rc = rc ? rc : redirect_child_start(b->dirs[REDIRECT], err);
	rc = rc ? rc : run_rows(b, err);
	redirect_child_stop();
	remove_cgroups(b);
	return rc;
}

/* 0, or the exit status */
static int parse_options(struct bench *b, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	opterr = 0;
	optind = 0; /* the command before has used it too */
	while ((opt = getopt_long(argc, argv, "+:", longs, NULL)) != -1) {
		if (opt == '?')
			return usage_error("redirect", "bench: unknown option \"%s\"",
					   argv[optind - 1]);
		if (opt == ':')
			return usage_error("redirect", "bench: option \"%s\" needs a value",
					   argv[optind - 1]);
		if (opt == 'j')
			b->json = true;
		else
			b->rounds = atoi(optarg);
	}
	if (b->rounds < 1 || b->rounds > MAX_ROUNDS)
		return usage_error("redirect", "bench: --rounds: expected 1 to %d", MAX_ROUNDS);
	if (optind < argc)
		return usage_error("redirect", "bench: unexpected argument \"%s\"", argv[optind]);
	return 0;
}

int cmd_redirect_bench(int argc, char **argv)
{
	struct bench b = { .rounds = DEFAULT_ROUNDS };
	struct err err;
	int status = parse_options(&b, argc, argv);

	if (status)
		return status;
	if (run_bench(&b, &err)) {
		fprintf(stderr, "bpfnet redirect bench: %s\n", err.msg);
		if (*err.hint)
			fprintf(stderr, "hint: %s\n", err.hint);
		return EXIT_FAILED;
	}
	if (b.json)
		print_json();
	else
		print_table();
	return EXIT_OK;
}
