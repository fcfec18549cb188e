/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Completion for zsh, by its _arguments. */
#include "cmd.h"
#include "cmd_help.h"
#include "modules.h"
#include "skels.h"
#include "util.h"

static const char functions[] =
	"_bpfnet_scripts() {\n"
	"  compadd -- $shipped\n"
	"  _files -g '*.lua'\n"
	"}\n"
	"\n"
	"# A script's own options are in the comment that it starts with, which is shown without running it.\n"
	"_bpfnet_script_args() {\n"
	"  local name=$words[1] text\n"
	"  [[ $name == - ]] && return 1\n"
	"  text=$($bpfnet run $name --help 2>/dev/null)\n"
	"  local -a options values\n"
	"  options=(${(u)${(M)${(s: :)${text//[^-a-z0-9]/ }}:#--[a-z]*}} --help)\n"
	"  values=(${(s:|:)$(print -r -- $text |\n"
	"    sed -nE \"s/^ +$words[CURRENT-1] ([a-z0-9_]+([|][a-z0-9_]+)+).*/\\1/p\")})\n"
	"  if (( $#values )); then\n"
	"    compadd -- $values\n"
	"  elif [[ $PREFIX == -* ]]; then\n"
	"    compadd -- $options\n"
	"  else\n"
	"    _files\n"
	"  fi\n"
	"}\n"
	"\n";

/* Inside of '...' and of [...] */
static void put_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", to);
		else if (strchr("[]:\\", *text))
			fprintf(to, "\\%c", *text);
		else
			fputc(*text, to);
	}
}

static void put_value(FILE *to, const char *value)
{
	if (!*value)
		return;
	fputc(':', to);
	put_text(to, value);
	fputc(':', to);
	if (help_is_words(value)) {
		fputc('(', to);
		for (; *value; value++)
			fputc(*value == '|' ? ' ' : *value, to);
		fputc(')', to);
	} else if (str_starts(value, "PATH")) {
		fputs("_files -/", to);
	} else if (str_starts(value, "FILE")) {
		fputs("_files", to);
	} else if (str_eq(value, "PID")) {
		fputs("($(pgrep -x bpfnet))", to);
	}
}

static void put_one(FILE *to, const char *name, const struct help_option *o, const char *text)
{
	if (!*name)
		return;
	fprintf(to, "      '*%s%s[", name,
		!*o->value      ? "" :
		o->optional     ? "=-" :
		name == o->full ? "=" :
				  "");
	put_text(to, text);
	fputc(']', to);
	if (o->optional)
		fputc(':', to); /* "::": it need not be there */
	put_value(to, o->value);
	fputs("' \\\n", to);
}

static void put_options(FILE *to, const struct command *c)
{
	const char *at = c->help;
	struct help_item item;
	struct help_option o;

	while (help_next(&at, c->name, &item)) {
		if (item.kind != HELP_OPTION)
			continue;
		help_read_option(item.spec, &o);
		put_one(to, o.brief, &o, item.text);
		put_one(to, o.full, &o, item.text);
	}
}

static void put_forms(FILE *to, const struct command *c)
{
	const char *at = c->help;
	struct help_item item;
	bool any = false;

	while (help_next(&at, c->name, &item)) {
		const char *word = item.spec + strlen(c->name) + 1;

		if (item.kind != HELP_FORM)
			continue;
		fprintf(to, "%s%.*s", any ? " " : "      '1:what:(", (int)strcspn(word, " "), word);
		any = true;
	}
	if (any)
		fputs(")' \\\n", to);
}

static void put_case(FILE *to, const struct command *c)
{
	fprintf(to, "    %s)\n      _arguments -S \\\n", c->name);
	put_options(to, c);
	if (help_takes_script(c))
		fputs("      '1:script:_bpfnet_scripts' '*::arguments:_bpfnet_script_args' \\\n",
		      to);
	else if (str_eq(c->name, "probes"))
		fputs("      '1:probe:($probes)' \\\n", to);
	else if (str_eq(c->name, "help"))
		fputs("      '1:command:(${commands%%:*})' \\\n", to);
	else
		put_forms(to, c);
	fputs("      '--help[explain the command]'\n      ;;\n", to);
}

static void put_lists(FILE *to)
{
	fputs("  local -a commands shipped probes\n  local bpfnet=$words[1]\n  commands=(\n", to);
	for (const struct command *c = commands; c->name; c++) {
		fprintf(to, "    '%s:", c->name);
		put_text(to, c->summary);
		fputs("'\n", to);
	}
	fputs("  )\n  shipped=(", to);
	for (const struct embedded *s = embedded_scripts; s->name; s++)
		fprintf(to, "%s%s", s == embedded_scripts ? "" : " ", s->name);
	fputs(")\n  probes=(", to);
	for (const struct skel *s = skels; s->name; s++)
		if (skel_is_probe(s))
			fprintf(to, "%s ", s->name);
	fputs(")\n", to);
}

void help_zsh(FILE *to)
{
	fputs("#compdef bpfnet\n"
	      "# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only\n"
	      "# Completion of bpfnet for zsh, made by `bpfnet help --completion zsh`.\n\n",
	      to);
	fputs(functions, to);
	fputs("_bpfnet() {\n", to);
	put_lists(to);
	fputs("  if (( CURRENT == 2 )); then\n"
	      "    _describe command commands\n"
	      "    compadd -- --help --version\n"
	      "    return\n"
	      "  fi\n"
	      "  shift words\n"
	      "  (( CURRENT-- ))\n"
	      "  case $words[1] in\n",
	      to);
	for (const struct command *c = commands; c->name; c++)
		put_case(to, c);
	fputs("  esac\n}\n\n_bpfnet \"$@\"\n", to);
}
