/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bpfnet run */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "cmd.h"
#include "cmd_run_opts.h"
#include "log.h"
#include "loop.h"
#include "lua_inside.h"
#include "script.h"
#include "tracer.h"
#include "util.h"

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

			len -= text[len - 1] == '\r';
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

static int find_source(struct source *src, const struct run_opts *o, const char *name)
{
	if (o->code) {
		*src = (struct source){ "(command line)", NULL, o->code,
					o->code + strlen(o->code) };
		return 0;
	}
	if (!name)
		return usage_error("run",
				   "expected a script: FILE, -e CODE, or - for standard input");
	return run_find_source(src, "run", name);
}

/*
 * A script that never called bpf.run() and leaves something attached wants it to run. False, and said why, if the
 * kernel does not let us wait.
 */
static bool run_leftovers(struct script *s)
{
	enum loop_end end;
	int rc;

	if (script_error(s) || script_has_run(s) || loop_signal(script_loop(s)))
		return true;
	rc = loop_run(script_loop(s), -1, &end);
	if (rc)
		log_msg(LOG_ERROR, "can't wait for events (%s)", errno_name(-rc));
	else if (end == LOOP_INTERRUPTED)
		tracer_drain_last(script_tracer(s));
	return !rc;
}

/*
 * -e has the short forms (lua/bpfnet/short.lua): put in before the code runs, and told when it is over,
 * for their last tables. False on an error, which script_error() tells.
 */
static bool short_forms(struct script *s, const char *call, const char *arg)
{
	char code[80];
	int len = snprintf(code, sizeof(code), "require('bpfnet.short').%s(...)", call);

	if (!script_load_string(s, code, (size_t)len, "=short forms"))
		return false;
	lua_pushstring(script_state(s), arg);
	return script_run_chunk(s, 1);
}

/* hint: what goes behind an error, "" for nothing */
static int report(struct script *s, const char *hint)
{
	if (!script_error(s))
		return EXIT_OK;
	/* An interrupt is how programs that run until then are ended. */
	if (script_was_interrupted(s) ||
	    (loop_signal(script_loop(s)) && strstr(script_error(s), "interrupted")))
		return EXIT_OK;
	log_msg(LOG_ERROR, "%s%s", script_error(s), hint);
	return EXIT_FAILED;
}

/* Who comes from bpftrace can't know. */
static const char lua_hint[] =
	"\nhint: CODE is Lua, as in: tcpconnect{ dport = 443 }:count(\"comm\")";

static int run(const struct run_opts *o, const struct source *src, int argc, char **argv)
{
	struct inside *inside;
	struct script *s;
	struct err err;
	bool loaded, waited = true;
	int status;

	if (script_new(&s, &o->script, &err)) {
		log_msg(LOG_ERROR, "%s", err.msg);
		return EXIT_FAILED;
	}
	inside = inside_open(s);
	script_set_args(s, src->name, argc, argv);
	loaded = (!o->code || short_forms(s, "begin", o->code)) && run_load_source(s, src);
	if (loaded && lua_checkstack(script_state(s), argc + LUA_MINSTACK)) {
		for (int i = 0; i < argc; i++)
			lua_pushstring(script_state(s), argv[i]);
		if (script_run_chunk(s, argc))
			waited = run_leftovers(s);
	}
	status = report(s, o->code && !loaded ? lua_hint : "");
	if (!waited)
		status = EXIT_FAILED;
	if (o->code && status == EXIT_OK && !short_forms(s, "finish", NULL))
		status = report(s, "");
	inside_close(inside);
	script_free(s);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_opts o;
	struct source src;
	int rc = run_options(&o, "run", argc, argv), first;

	if (!rc)
		rc = find_source(&src, &o, argv[optind]);
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
