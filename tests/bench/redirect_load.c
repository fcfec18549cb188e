// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * One load of engine/load.h, for tests/bench/redirect:
 *
 *   redirect_load turns|stream|churn [NAME=VALUE]...
 *
 * Names are those of struct load_spec; family=ipv4|ipv6|unix; cgroup=, netns= and cpu= are for both
 * ends, and with client_ or server_ in front for one. Prints "name value" lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include "load.h"
#include "util.h"

static const char *const kinds[] = { "turns", "stream", "churn" };
static const char *const families[] = { "ipv4", "ipv6", "unix" };

__attribute__((noreturn)) static void die(const char *what, const char *text)
{
	fprintf(stderr, "redirect_load: %s: %s\n", what, text);
	exit(2);
}

static int choose(const char *text, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(text, names[i]))
			return (int)i;
	die("no such kind or family", text);
}

static double number(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end)
		die("a number is expected", text);
	return v;
}

static bool set_place(struct load_place *place, const char *name, const char *value)
{
	if (str_eq(name, "cgroup"))
		place->cgroup = value;
	else if (str_eq(name, "netns"))
		place->netns = value;
	else if (str_eq(name, "cpu"))
		place->cpu = (int)number(value);
	else
		return false;
	return true;
}

static bool set_number(struct load_spec *spec, const char *name, const char *value)
{
	const struct {
		const char *name;
		int *at;
	} ints[] = { { "proxies", &spec->proxies },
		     { "connections", &spec->connections },
		     { "depth", &spec->depth },
		     { "exchanges", &spec->exchanges } };
	const struct {
		const char *name;
		bool *at;
	} bools[] = { { "batch", &spec->batch },
		      { "blocking", &spec->blocking },
		      { "nagle", &spec->nagle },
		      { "memory", &spec->memory } };

	for (size_t i = 0; i < ARRAY_SIZE(ints); i++)
		if (str_eq(name, ints[i].name))
			return *ints[i].at = (int)number(value), true;
	for (size_t i = 0; i < ARRAY_SIZE(bools); i++)
		if (str_eq(name, bools[i].name))
			return *bools[i].at = number(value) != 0, true;
	return false;
}

static void set(struct load_spec *spec, char *arg)
{
	char *value = strchr(arg, '=');

	if (!value)
		die("NAME=VALUE is expected", arg);
	*value++ = '\0';
	if (str_starts(arg, "client_") && set_place(&spec->client, arg + 7, value))
		return;
	if (str_starts(arg, "server_") && set_place(&spec->server, arg + 7, value))
		return;
	if (set_place(&spec->client, arg, value) && set_place(&spec->server, arg, value))
		return;
	if (set_number(spec, arg, value))
		return;
	if (str_eq(arg, "request"))
		spec->request = (uint32_t)number(value);
	else if (str_eq(arg, "response"))
		spec->response = (uint32_t)number(value);
	else if (str_eq(arg, "size"))
		spec->request = spec->response = (uint32_t)number(value);
	else if (str_eq(arg, "seconds"))
		spec->seconds = number(value);
	else if (str_eq(arg, "warmup"))
		spec->warmup = number(value);
	else if (str_eq(arg, "address"))
		spec->address = value;
	else if (str_eq(arg, "family"))
		spec->family = (enum load_family)choose(value, families, ARRAY_SIZE(families));
	else
		die("no such name", arg);
}

int main(int argc, char **argv)
{
	struct load_result r;
	struct load_spec spec;
	struct err err;

	if (argc < 2)
		die("usage", "redirect_load turns|stream|churn [NAME=VALUE]...");
	load_defaults(&spec);
	spec.kind = (enum load_kind)choose(argv[1], kinds, ARRAY_SIZE(kinds));
	for (int i = 2; i < argc; i++)
		set(&spec, argv[i]);
	if (load_run(&spec, &r, &err)) {
		fprintf(stderr, "redirect_load: %s\n", err.msg);
		return 1;
	}
	printf("rate %.1f\nbytes_per_s %.0f\n", r.rate, (double)r.bytes / r.seconds);
	printf("cpu_ns_per_op %.1f\n", r.cpu_seconds / (double)r.ops * 1e9);
	if (spec.kind != LOAD_STREAM)
		printf("p50_ns %.0f\np90_ns %.0f\np99_ns %.0f\nmax_ns %.0f\n", r.p50_ns, r.p90_ns,
		       r.p99_ns, r.max_ns);
	if (spec.memory)
		printf("memory_bytes %lld\nslab_bytes %lld\n", (long long)r.memory_bytes,
		       (long long)r.slab_bytes);
	return 0;
}
