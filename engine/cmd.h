/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cmd.h - the subcommands: one row of a table each. */
#ifndef BPFNET_CMD_H
#define BPFNET_CMD_H

#include <stdio.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	const char *args; /* for the usage line */
	const char *summary;
	const char *help; /* what `bpfnet help NAME` adds */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

extern const struct command commands[]; /* ends with a NULL name */

int cmd_run(int argc, char **argv);
int cmd_repl(int argc, char **argv);
int cmd_probes(int argc, char **argv);
int cmd_redirect(int argc, char **argv);
int cmd_redirect_bench(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_help(int argc, char **argv);

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);
/* Says that there is none, and which was meant; returns EXIT_USAGE. */
int command_unknown(const char *name);
/* Shows usage and help of one; returns EXIT_OK. */
int command_help(const struct command *command);
/* A line for each. */
void command_overview(FILE *to);

/* "bpfnet run: message" and where to look; returns EXIT_USAGE. */
int usage_error(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The command's option -q or -v: true if it was one. */
int common_option(int opt);

#endif
