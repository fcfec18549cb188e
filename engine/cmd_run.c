/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bpfnet run */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <lauxlib.h>
#include "cmd.h"
#include "log.h"
#include "loop.h"
#include "modules.h"
#include "script.h"
#include "tracer.h"
#include "util.h"

#define DEFAULT_RING    (8ULL << 20)
#define DEFAULT_MEMORY  (256ULL << 20)
#define DEFAULT_SECONDS 1.0

struct run_opts {
	const char *code;
	struct script_opts script;
};

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
static int parse_option(struct run_opts *o, int opt)
{
	double n;

	switch (opt) {
	case 'e':
		o->code = optarg;
		return 0;
	case 't':
		if (!parse_number(optarg, 1e6, &o->script.max_seconds))
			return usage_error("run", "--limit-time: expected seconds, got \"%s\"",
					   optarg);
		return 0;
	case 'm':
		if (!parse_number(optarg, 1e6, &n))
			return usage_error("run", "--limit-mem: expected MiB, got \"%s\"", optarg);
		o->script.max_memory = (size_t)(n * (1 << 20));
		return 0;
	case 'b':
		o->script.ring_bytes = parse_size(optarg);
		if (!o->script.ring_bytes)
			return usage_error("run",
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

static int no_such_option(const char *text, const struct option *longs)
{
	const char *near = str_starts(text, "--") ? nearest_name(text + 2, next_long, longs) : NULL;

	if (near)
		return usage_error("run", "unknown option \"%s\", did you mean \"--%s\"?", text,
				   near);
	return usage_error("run", "unknown option \"%s\"", text);
}

static int parse_options(struct run_opts *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "limit-time", required_argument, NULL, 't' },
		{ "limit-mem", required_argument, NULL, 'm' },
		{ "buffer", required_argument, NULL, 'b' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "quiet", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, rc = 0;

	opterr = 0;
	while (!rc && (opt = getopt_long(argc, argv, "+:e:vq", longs, NULL)) != -1) {
		if (opt == '?')
			return no_such_option(argv[optind - 1], longs);
		if (opt == ':')
			return usage_error("run", "option \"%s\" needs a value", argv[optind - 1]);
		rc = parse_option(o, opt);
	}
	return rc;
}

/* The comment that a script starts with, without the comment signs. */
static int show_script_help(const char *text, const char *end)
{
	bool any = false;

	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		int len = (int)((eol ? eol : end) - text);
		bool skip = str_starts(text, "#!") || strstr(text, "SPDX-License") == text + 3;

		if (!skip && !str_starts(text, "--"))
			break;
		if (!skip) {
			const char *body = text + 2 + (len > 2 && text[2] == ' ');

			printf("%.*s\n", len - (int)(body - text), body);
			any = true;
		}
		text = eol ? eol + 1 : end;
	}
	if (!any)
		puts("(this script has no description)");
	return EXIT_OK;
}

static int help_from_file(const char *path)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return usage_error("run", "can't open \"%s\" (%s)", path, errno_name(errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	return show_script_help(text, text + n);
}

/* What to run, found out before anything is started. */
struct source {
	const char *name; /* arg[0] */
	const char *path; /* NULL: standard input, code, or a shipped script */
	const char *code;
	const char *code_end;
};

static const char *next_script(const void *arg, int i)
{
	return ((const struct embedded *)arg)[i].name;
}

static int no_such_script(const char *name)
{
	const char *near = nearest_name(name, next_script, embedded_scripts);
	char known[512] = "";
	size_t len = 0;

	if (near && !strchr(name, '/'))
		return usage_error(
			"run", "can't open \"%s\" (%s), did you mean the shipped script \"%s\"?",
			name, errno_name(errno), near);
	for (const struct embedded *s = embedded_scripts; s->name; s++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					s->name);
	return usage_error("run",
			   "can't open \"%s\" (%s), and no shipped script is called that "
			   "(there are: %s)",
			   name, errno_name(errno), known);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int find_source(struct source *src, const struct run_opts *o, const char *name)
{
	const struct embedded *shipped;

	*src = (struct source){ .name = name };
	if (o->code) {
		*src = (struct source){ "(command line)", NULL, o->code,
					o->code + strlen(o->code) };
		return 0;
	}
	if (!name)
		return usage_error("run",
				   "expected a script: FILE, -e CODE, or - for standard input");
	if (str_eq(name, "-"))
		return 0;
	src->path = name;
	if (is_directory(name))
		return usage_error("run", "can't open \"%s\" (EISDIR)", name);
	if (access(name, R_OK) == 0)
		return 0;
	src->path = script_source_path(name);
	shipped = strchr(name, '/') ? NULL : script_find(name);
	if (src->path)
		return 0;
	if (!shipped) {
		access(name, R_OK); /* for errno */
		return no_such_script(name);
	}
	src->code = shipped->start;
	src->code_end = shipped->end;
	return 0;
}

static bool load(struct script *s, const struct source *src)
{
	char chunk[300];

	if (!src->code)
		return script_load_file(s, src->path);
	snprintf(chunk, sizeof(chunk), "=%s", src->name);
	return script_load_string(s, src->code, (size_t)(src->code_end - src->code), chunk);
}

/* A script that never called bpf.run() and leaves something attached wants it to run. */
static void run_leftovers(struct script *s)
{
	enum loop_end end;

	if (script_error(s) || script_has_run(s) || loop_signal(script_loop(s)))
		return;
	loop_run(script_loop(s), -1, &end);
	if (end == LOOP_INTERRUPTED)
		tracer_drain(script_tracer(s));
}

/*
 * -e has the short forms (lua/bpfnet/short.lua): put in before the code runs, and told when it is over,
 * for their last tables. False on an error, which script_error() tells.
 */
static bool short_forms(struct script *s, const char *call)
{
	char code[80];
	int len = snprintf(code, sizeof(code), "require('bpfnet.short').%s()", call);

	return script_load_string(s, code, (size_t)len, "=short forms") && script_run_chunk(s, 0);
}

static int report(struct script *s)
{
	if (!script_error(s))
		return EXIT_OK;
	/* An interrupt is how programs that run until then are ended. */
	if (script_was_interrupted(s) ||
	    (loop_signal(script_loop(s)) && strstr(script_error(s), "interrupted")))
		return EXIT_OK;
	log_msg(LOG_ERROR, "%s", script_error(s));
	return EXIT_FAILED;
}

static int run(const struct run_opts *o, const struct source *src, int argc, char **argv)
{
	struct script *s;
	struct err err;
	int status;

	if (script_new(&s, &o->script, &err)) {
		log_msg(LOG_ERROR, "%s", err.msg);
		return EXIT_FAILED;
	}
	script_set_args(s, src->name, argc, argv);
	if ((!o->code || short_forms(s, "begin")) && load(s, src) &&
	    lua_checkstack(script_state(s), argc + LUA_MINSTACK)) {
		for (int i = 0; i < argc; i++)
			lua_pushstring(script_state(s), argv[i]);
		if (script_run_chunk(s, argc))
			run_leftovers(s);
	}
	status = report(s);
	if (o->code && status == EXIT_OK && !short_forms(s, "finish"))
		status = report(s);
	script_free(s);
	if ((fflush(stdout) || ferror(stdout)) && status == EXIT_OK) {
		log_msg(LOG_ERROR, "can't write to standard output (%s)", errno_name(errno));
		status = EXIT_FAILED;
	}
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_opts o = {
		.script = { DEFAULT_MEMORY, DEFAULT_SECONDS, DEFAULT_RING },
	};
	struct source src;
	int rc = parse_options(&o, argc, argv), first;

	if (!rc)
		rc = find_source(&src, &o, o.code ? NULL : argv[optind]);
	if (rc)
		return rc;
	first = optind + (o.code ? 0 : 1);
	if (argc > first && (str_eq(argv[first], "--help") || str_eq(argv[first], "-h")) &&
	    !o.code) {
		if (src.code)
			return show_script_help(src.code, src.code_end);
		if (src.path)
			return help_from_file(src.path);
	}
	return run(&o, &src, argc - first, argv + first);
}
