/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bpfnet repl
 *
 * The loop runs while a line is being typed. When it was entered the loop is stopped and the line runs outside of it: so
 * it may call bpf.run().
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "cmd.h"
#include "cmd_repl.h"
#include "cmd_run_opts.h"
#include "log.h"
#include "loop.h"
#include "lua_inside.h"
#include "lua_session.h"
#include "prompt.h"
#include "script.h"
#include "terminal.h"
#include "tracer.h"
#include "util.h"

struct repl {
	struct script *script;
	struct loop *loop;
	struct session *session;
	struct prompt *prompt;
	struct inside *inside; /* others may attach here, too */
	struct handler_errors *errors;
	char *line; /* was entered */
	bool more; /* the next line goes on with a statement */
	bool ended;
	const char *code; /* of -e, which is like a line */
	int status;
};

static void on_line(void *arg, const char *text)
{
	struct repl *r = arg;

	/* what has happened before Enter was pressed, the line is to know of */
	tracer_look(script_tracer(r->script));
	free(r->line);
	r->line = strdup(text);
	loop_stop(r->loop);
}

static void on_end(void *arg)
{
	struct repl *r = arg;

	r->ended = true;
	loop_stop(r->loop);
}

static void on_words(void *arg, size_t from, const char *const *words, int n)
{
	struct repl *r = arg;

	prompt_complete(r->prompt, from, words, n);
}

static void on_tab(void *arg, const char *text, size_t cursor)
{
	struct repl *r = arg;

	session_complete(r->session, text, strlen(text), cursor, on_words, r);
}

static const struct prompt_ops prompt_ops = {
	.line = on_line,
	.end = on_end,
	.complete = on_tab,
};

static bool out(void *arg, const char *text, size_t len)
{
	(void)arg;
	terminal_write(text, len);
	return true;
}

/* After anything of the user's has run: an error that nobody raised, an interrupt that was for it. */
static void settle(struct repl *r)
{
	if (script_error(r->script) && !script_was_interrupted(r->script))
		log_msg(LOG_ERROR, "%s", script_error(r->script));
	script_clear_error(r->script);
	if (loop_signal(r->loop) == SIGINT)
		script_forget_interrupt(r->script);
	fflush(stdout);
}

static void evaluate(struct repl *r)
{
	char *line = r->line;
	enum session_answer answer;

	r->line = NULL;
	answer = session_line(r->session, line, strlen(line));
	if (answer == SESSION_FAILED)
		session_reset(r->session);
	r->more = answer == SESSION_MORE;
	free(line);
	settle(r);
}

static void ask(struct repl *r)
{
	char text[64];

	session_prompt(r->session, r->more, text, sizeof(text));
	prompt_ask(r->prompt, text);
}

/* Ctrl-C while a line was typed. Nobody types into a pipe: there it ends the session. */
static void interrupt(struct repl *r)
{
	char text[64];

	script_forget_interrupt(r->script);
	if (!terminal_is_tty()) {
		r->ended = true;
		return;
	}
	session_reset(r->session);
	r->more = false;
	session_prompt(r->session, false, text, sizeof(text));
	prompt_interrupt(r->prompt, text);
}

static void converse(struct repl *r)
{
	enum loop_end end;

	for (;;) {
		if (r->line)
			evaluate(r);
		if (r->ended || loop_signal(r->loop))
			break;
		ask(r);
		/* between lines that come at once, as those of a pipe, events get their turn */
		if (loop_run(r->loop, r->line || r->ended ? 0 : -1, &end))
			break;
		if (end == LOOP_INTERRUPTED && loop_signal(r->loop) == SIGINT)
			interrupt(r);
	}
	if (r->more && r->ended && !terminal_is_tty()) {
		log_msg(LOG_ERROR, "the input ended inside of an unfinished statement");
		r->status = EXIT_FAILED;
	}
}

/* An error does not end the session, but it is told of by the exit status. */
static void run_source(struct repl *r, const struct source *src, int argc, char **argv)
{
	struct script *s = r->script;

	script_set_args(s, src->name, argc, argv);
	if (run_load_source(s, src) && lua_checkstack(script_state(s), argc + LUA_MINSTACK) &&
	    (!src->code || src->code != r->code || session_adopt(r->session))) {
		for (int i = 0; i < argc; i++)
			lua_pushstring(script_state(s), argv[i]);
		script_run_chunk(s, argc);
	}
	if (script_error(s) && !script_was_interrupted(s))
		r->status = EXIT_FAILED;
	settle(r);
}

static int start(struct repl *r, const struct run_opts *o, struct err *err)
{
	struct session_opts opts = {
		.tty = terminal_is_tty(), .colour = terminal_colour(), .out = out, .arg = r
	};
	int rows, rc;

	/* before Lua's io library looks where its output goes */
	terminal_start();
	terminal_size(&opts.columns, &rows);
	rc = script_new(&r->script, &o->script, err);
	if (rc)
		return rc;
	r->loop = script_loop(r->script);
	r->errors = handler_errors_new(r->loop);
	if (!r->errors)
		return err_set(err, -1, "out of memory");
	script_set_session(r->script, &(struct script_session){ handler_errors_add, r->errors });
	r->inside = inside_open(r->script);
	rc = prompt_new(&r->prompt, r->loop, &prompt_ops, r, err);
	return rc ? rc : session_new(&r->session, r->script, &opts, err);
}

static void end(struct repl *r)
{
	if (r->prompt)
		prompt_pause(r->prompt);
	inside_close(r->inside);
	session_free(r->session);
	tracer_drain_last(script_tracer(r->script));
	handler_errors_free(r->errors);
	prompt_free(r->prompt);
	script_free(r->script);
	free(r->line);
}

static int repl(const struct run_opts *o, const struct source *src, int argc, char **argv)
{
	struct source code = { "(command line)", NULL, o->code, NULL };
	struct repl r = { .code = o->code, .status = EXIT_OK };
	char banner[512];
	struct err err;

	if (start(&r, o, &err)) {
		log_msg(LOG_ERROR, "%s", err.msg);
		r.status = EXIT_FAILED;
	} else {
		if (src->name)
			run_source(&r, src, argc, argv);
		if (o->code) {
			code.code_end = o->code + strlen(o->code);
			run_source(&r, &code, 0, NULL);
		}
		session_banner(r.session, banner, sizeof(banner));
		if (terminal_is_tty())
			fputs(banner, stdout);
		converse(&r);
	}
	if (r.script)
		end(&r);
	fflush(stdout);
	return r.status;
}

int cmd_repl(int argc, char **argv)
{
	struct source src = { 0 };
	struct run_opts o;
	int rc = run_options(&o, "repl", argc, argv);

	argc -= optind;
	argv += optind;
	if (!rc && o.attach && argc)
		return usage_error("repl", "--attach: expected no script, got \"%s\"", argv[0]);
	if (!rc && o.attach)
		return repl_attach(&o);
	if (!rc && argc)
		rc = run_find_source(&src, "repl", argv[0]);
	return rc ? rc : repl(&o, &src, argc ? argc - 1 : 0, argv + 1);
}
