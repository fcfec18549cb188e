/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cmd_run_opts.h - options of the commands that run scripts, and what to run. */
#ifndef BPFNET_CMD_RUN_OPTS_H
#define BPFNET_CMD_RUN_OPTS_H

#include <stdbool.h>
#include "script.h"

struct run_opts {
	const char *code;
	const char *attach; /* `repl` only */
	struct script_opts script;
};

/* What to run, found out before anything is started. */
struct source {
	const char *name; /* arg[0] */
	const char *path; /* NULL: standard input, code, or a shipped script */
	const char *code;
	const char *code_end;
};

/* Defaults, then the command line; command: "run" or "repl". 0, or the exit status after a message. */
int run_options(struct run_opts *opts, const char *command, int argc, char **argv);
/* A file, a shipped script, or -. 0, or the exit status after a message. */
int run_find_source(struct source *source, const char *command, const char *name);
/* As a chunk on the stack. False: script_error() says why. */
bool run_load_source(struct script *script, const struct source *source);

#endif
