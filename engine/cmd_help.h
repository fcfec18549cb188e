/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * cmd_help.h - the command table as a help text, a man page, and completions for shells.
 *
 * A command's help text has a form that is read here: "  -v, --verbose   what it does" is an option,
 * "  redirect stop [NAME]   what it does" a form of the command of its own, both go on in lines that are
 * further in; "words:" begins a part; all else is paragraphs.
 */
#ifndef BPFNET_CMD_HELP_H
#define BPFNET_CMD_HELP_H

#include <stdbool.h>
#include <stdio.h>

struct command;

enum help_kind { HELP_OPTION, HELP_FORM, HELP_PART, HELP_TEXT, HELP_VERBATIM };

struct help_item {
	enum help_kind kind;
	char spec[128]; /* HELP_OPTION, HELP_FORM: "--policy turns|all", "redirect stop [NAME]" */
	char text[1024]; /* what it does, or says; one line */
};

/* Reads the item at *at and moves *at behind it. False at the end. */
bool help_next(const char **at, const char *command, struct help_item *item);

struct help_option {
	char brief[8]; /* "-v", "" if it has none */
	char full[32]; /* "--verbose", likewise */
	char value[64]; /* "S" of "--duration S", "" if it takes none */
	bool optional; /* the value, as in --detach[=NAME] */
};

/* Takes an option's spec apart. */
void help_read_option(const char *spec, struct help_option *option);
/* The value is one of such words: "turns|all". */
bool help_is_words(const char *value);
/* The command runs scripts: a file or one that is shipped, and what it takes itself. */
bool help_takes_script(const struct command *command);

/* bpfnet(8) as roff. */
void help_man(FILE *to);
/* .luarc.json for a folder of scripts. Returns the exit status: the annotations may not be installed. */
int help_luarc(FILE *to);
/* Completion for bash and for zsh. */
void help_bash(FILE *to);
void help_zsh(FILE *to);

#endif
