/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Completion for bash: functions that do not change, and tables made of the command table. */
#include "cmd.h"
#include "cmd_help.h"
#include "modules.h"
#include "skels.h"
#include "util.h"

/*
 * A script's own options are in the comment that it starts with, which bpfnet shows without running it, in the
 * form of a command's help. COMP_WORDBREAKS has "=" in it, so --side=accept comes as three words.
 */
static const char functions[] =
	"_bpfnet_reply() {\n"
	"\tCOMPREPLY+=($(compgen -W \"$1\" -- \"$cur\"))\n"
	"}\n"
	"\n"
	"_bpfnet_files() {\n"
	"\tlocal IFS=$'\\n'\n"
	"\tcompopt -o filenames 2>/dev/null\n"
	"\tCOMPREPLY+=($(compgen \"$@\" -- \"$cur\"))\n"
	"}\n"
	"\n"
	"# Scripts: those that are shipped, Lua files, directories on the way to them.\n"
	"_bpfnet_scripts() {\n"
	"\t_bpfnet_reply \"$_bpfnet_shipped\"\n"
	"\t_bpfnet_files -f -X '!*.lua'\n"
	"\t_bpfnet_files -d\n"
	"}\n"
	"\n"
	"_bpfnet_script_option() {\n"
	"\tlocal text words\n"
	"\t[[ $1 == - ]] && return\n"
	"\ttext=$(\"${COMP_WORDS[0]}\" run \"$1\" --help 2>/dev/null)\n"
	"\tif [[ $prev == --* ]]; then\n"
	"\t\twords=$(sed -nE \"s/^ +$prev[ =]([a-z0-9_]+([|][a-z0-9_]+)+).*/\\1/p\" <<<\"$text\" | tr '|' ' ')\n"
	"\t\t[[ $words ]] && _bpfnet_reply \"$words\" && return\n"
	"\tfi\n"
	"\tif [[ $cur == -* ]]; then\n"
	"\t\t_bpfnet_reply \"$(grep -oE -e '--[a-z][a-z0-9-]*' <<<\"$text\" | sort -u) --help\"\n"
	"\telse\n"
	"\t\t_bpfnet_files -f\n"
	"\tfi\n"
	"}\n"
	"\n"
	"# Position of the script among the words, 0 if it is still to come; -1 with -e CODE.\n"
	"_bpfnet_script_at() {\n"
	"\tlocal i\n"
	"\tat=0\n"
	"\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	"\t\tcase ${COMP_WORDS[i]} in\n"
	"\t\t-e) at=-1; return ;;\n"
	"\t\t-) at=$i; return ;;\n"
	"\t\t=) ((i++)) ;;\n"
	"\t\t-*) [[ \" $1 \" == *\" ${COMP_WORDS[i]} \"* ]] && ((i++)) ;;\n"
	"\t\t*) at=$i; return ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"}\n"
	"\n";

static void put_shipped(FILE *to)
{
	fputs("_bpfnet_shipped='", to);
	for (const struct embedded *s = embedded_scripts; s->name; s++)
		fprintf(to, "%s%s", s == embedded_scripts ? "" : " ", s->name);
	fputs("'\n_bpfnet_probes='", to);
	for (const struct skel *s = skels, *first = NULL; s->name; s++) {
		if (!skel_is_probe(s))
			continue;
		fprintf(to, "%s%s", first ? " " : "", s->name);
		first = s;
	}
	fputs("'\n\n", to);
}

/* What follows an option: some words, files, the processes that a prompt can be opened in, or nothing known. */
static void put_value(FILE *to, const char *value)
{
	if (help_is_words(value)) {
		fputs("_bpfnet_reply '", to);
		for (const char *p = value; *p; p++)
			fputc(*p == '|' ? ' ' : *p, to);
		fputc('\'', to);
	} else if (str_starts(value, "PATH")) {
		fputs("_bpfnet_files -d", to);
	} else if (str_starts(value, "FILE")) {
		fputs("_bpfnet_files -f", to);
	} else if (str_eq(value, "PID")) {
		fputs("_bpfnet_reply \"$(pgrep -x bpfnet)\"", to);
	} else {
		fputs(":", to);
	}
}

/* "-v|--verbose" */
static void put_names(FILE *to, const struct help_option *o, const char *between)
{
	fprintf(to, "%s%s%s", o->brief, *o->brief && *o->full ? between : "", o->full);
}

static void put_options(FILE *to, const struct command *c, bool with_value)
{
	const char *at = c->help;
	struct help_item item;
	struct help_option o;

	while (help_next(&at, c->name, &item)) {
		if (item.kind != HELP_OPTION)
			continue;
		help_read_option(item.spec, &o);
		if (with_value && (!*o.value || o.optional))
			continue;
		put_names(to, &o, " ");
		fputc(' ', to);
	}
}

/* Cases of what stands before the word: of options with values only those. */
static void put_values(FILE *to, const struct command *c)
{
	const char *at = c->help;
	struct help_item item;
	struct help_option o;

	fputs("\t\tcase $prev in\n", to);
	while (help_next(&at, c->name, &item)) {
		if (item.kind != HELP_OPTION)
			continue;
		help_read_option(item.spec, &o);
		if (!*o.value || o.optional)
			continue;
		fputs("\t\t", to);
		put_names(to, &o, "|");
		fputs(") ", to);
		put_value(to, o.value);
		fputs("; return ;;\n", to);
	}
	fputs("\t\t*) ;;\n\t\tesac\n", to);
}

/* "status stop": what "redirect status [NAME]" begins with */
static void put_forms(FILE *to, const struct command *c)
{
	const char *at = c->help;
	struct help_item item;

	while (help_next(&at, c->name, &item)) {
		const char *word = item.spec + strlen(c->name) + 1;

		if (item.kind == HELP_FORM)
			fprintf(to, "%.*s ", (int)strcspn(word, " "), word);
	}
}

/* What is completed where no option is. */
static void put_words(FILE *to, const struct command *c)
{
	if (help_takes_script(c)) {
		fputs("\t\t_bpfnet_scripts\n", to);
	} else if (str_eq(c->name, "probes")) {
		fputs("\t\t_bpfnet_reply \"$_bpfnet_probes\"\n", to);
	} else if (str_eq(c->name, "help")) {
		fputs("\t\t_bpfnet_reply \"$commands\"\n", to);
	} else {
		fputs("\t\t((COMP_CWORD == 2)) && _bpfnet_reply '", to);
		put_forms(to, c);
		fputs("'\n", to);
	}
}

static void put_case(FILE *to, const struct command *c)
{
	fprintf(to, "\t%s)\n", c->name);
	if (help_takes_script(c)) {
		fputs("\t\t_bpfnet_script_at '", to);
		put_options(to, c, true);
		fputs("'\n"
		      "\t\t((at > 0)) && { _bpfnet_script_option \"${COMP_WORDS[at]}\"; return; }\n",
		      to);
	}
	put_values(to, c);
	fputs("\t\tif [[ $cur == -* ]]; then\n\t\t\t_bpfnet_reply '", to);
	put_options(to, c, false);
	fputs("--help'\n\t\t\treturn\n\t\tfi\n", to);
	put_words(to, c);
	fputs("\t\t;;\n", to);
}

void help_bash(FILE *to)
{
	fputs("# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only\n"
	      "# Completion of bpfnet for bash, made by `bpfnet help --completion bash`.\n\n",
	      to);
	put_shipped(to);
	fputs(functions, to);
	fputs("_bpfnet() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at=0\n"
	      "\tlocal commands='",
	      to);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "%s%s", c == commands ? "" : " ", c->name);
	fputs("'\n"
	      "\tCOMPREPLY=()\n"
	      /* "--side", "=", "acc", or the last two where nothing has been typed yet */
	      "\tif [[ $cur == = ]]; then\n\t\tcur=''\n"
	      "\telif [[ $prev == = ]]; then\n\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n\tfi\n"
	      "\tif ((COMP_CWORD == 1)); then\n"
	      "\t\t_bpfnet_reply \"$commands --help --version\"\n\t\treturn\n\tfi\n"
	      "\tcase ${COMP_WORDS[1]} in\n",
	      to);
	for (const struct command *c = commands; c->name; c++)
		put_case(to, c);
	fputs("\tesac\n}\n\ncomplete -F _bpfnet bpfnet\n", to);
}
