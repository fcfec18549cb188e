/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "cmd.h"
#include "cmd_run_opts.h"
#include "modules.h"
#include "skels.h"
#include "util.h"

#define DEFAULT_RING    (8ULL << 20)
#define DEFAULT_MEMORY  (256ULL << 20)
#define DEFAULT_SECONDS 1.0

/* "4096", "64K", "4M"; 0 if it is no such thing */
static uint64_t parse_size(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (*end == 'K')
		n <<= 10;
	else if (*end == 'M')
		n <<= 20;
	else if (*end)
		return 0;
	return end == text || (*end && end[1]) || n > 1ULL << 30 ? 0 : n;
}

static bool parse_number(const char *text, double max, double *number)
{
	char *end;

	*number = strtod(text, &end);
	return end != text && !*end && *number >= 0 && *number <= max;
}

/* 0, or the exit status */
static int parse_option(struct run_opts *o, const char *command, int opt)
{
	double n;

	switch (opt) {
	case 'e':
		o->code = optarg;
		return 0;
	case 'a':
		o->attach = optarg;
		return 0;
	case 't':
		if (!parse_number(optarg, 1e6, &o->script.max_seconds))
			return usage_error(command, "--limit-time: expected seconds, got \"%s\"",
					   optarg);
		return 0;
	case 'm':
		if (!parse_number(optarg, 1e6, &n))
			return usage_error(command, "--limit-mem: expected MiB, got \"%s\"",
					   optarg);
		o->script.max_memory = (size_t)(n * (1 << 20));
		return 0;
	case 'b':
		o->script.ring_bytes = parse_size(optarg);
		if (!o->script.ring_bytes)
			return usage_error(command,
					   "--buffer: expected bytes up to 1024M, like 4096, "
					   "64K or 16M, got \"%s\"",
					   optarg);
		return 0;
	}
	return common_option(opt) ? 0 : EXIT_USAGE;
}

static const char *next_long(const void *arg, int i)
{
	return ((const struct option *)arg)[i].name;
}

static int no_such_option(const char *command, const char *text, const struct option *longs)
{
	const char *near = str_starts(text, "--") ? nearest_name(text + 2, next_long, longs) : NULL;

	if (near)
		return usage_error(command, "unknown option \"%s\", did you mean \"--%s\"?", text,
				   near);
	return usage_error(command,
			   "unknown option \"%s\" (filters and the like stand in the code: "
			   "-e 'tcpconnect{ pid = 42, duration = 60 }', or after a script's name: "
			   "tcplife --pid 42)",
			   text);
}

int run_options(struct run_opts *o, const char *command, int argc, char **argv)
{
	const struct option longs[] = {
		{ "limit-time", required_argument, NULL, 't' },
		{ "limit-mem", required_argument, NULL, 'm' },
		{ "buffer", required_argument, NULL, 'b' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "quiet", no_argument, NULL, 'q' },
		/* the last one, which `run` has not */
		{ str_eq(command, "repl") ? "attach" : NULL, required_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, rc = 0;

	*o = (struct run_opts){ .script = { DEFAULT_MEMORY, DEFAULT_SECONDS, DEFAULT_RING } };
	opterr = 0;
	while (!rc && (opt = getopt_long(argc, argv, "+:e:vq", longs, NULL)) != -1) {
		if (opt == '?')
			return no_such_option(command, argv[optind - 1], longs);
		if (opt == ':')
			return usage_error(command, "option \"%s\" needs a value",
					   argv[optind - 1]);
		rc = parse_option(o, command, opt);
	}
	return rc;
}

static const char *next_script(const void *arg, int i)
{
	return ((const struct embedded *)arg)[i].name;
}

static int no_such_script(const char *command, const char *name)
{
	const char *near = nearest_name(name, next_script, embedded_scripts);
	char known[512] = "";
	size_t len = 0;

	if (skel_find(name) && skel_is_probe(skel_find(name)))
		return usage_error(command, "\"%s\" is a probe, not a script: bpfnet %s -e '%s()'",
				   name, command, name);
	if (near && !strchr(name, '/'))
		return usage_error(
			command, "can't open \"%s\" (%s), did you mean the shipped script \"%s\"?",
			name, errno_name(errno), near);
	for (const struct embedded *s = embedded_scripts; s->name; s++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					s->name);
	return usage_error(command,
			   "can't open \"%s\" (%s), and no shipped script is called that "
			   "(there are: %s)",
			   name, errno_name(errno), known);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int run_find_source(struct source *src, const char *command, const char *name)
{
	const struct embedded *shipped;

	*src = (struct source){ .name = name };
	if (str_eq(name, "-"))
		return 0;
	src->path = name;
	if (is_directory(name))
		return usage_error(command, "can't open \"%s\" (EISDIR)", name);
	if (access(name, R_OK) == 0)
		return 0;
	src->path = script_source_path(name);
	shipped = strchr(name, '/') ? NULL : script_find(name);
	if (src->path)
		return 0;
	if (!shipped) {
		access(name, R_OK); /* for errno */
		return no_such_script(command, name);
	}
	src->code = shipped->start;
	src->code_end = shipped->end;
	return 0;
}

bool run_load_source(struct script *s, const struct source *src)
{
	char chunk[300];

	if (!src->code)
		return script_load_file(s, src->path);
	snprintf(chunk, sizeof(chunk), "=%s", src->name);
	return script_load_string(s, src->code, (size_t)(src->code_end - src->code), chunk);
}
