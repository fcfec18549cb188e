/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bpfnet help */
#include <stdarg.h>
#include <stdio.h>
#include "cmd.h"
#include "cmd_help.h"
#include "modules.h"
#include "skels.h"
#include "util.h"
#include "version.h"

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (str_eq(c->name, name))
			return c;
	return NULL;
}

static const char *next_command(const void *arg, int i)
{
	(void)arg;
	return commands[i].name;
}

int command_unknown(const char *name)
{
	const struct skel *skel = skel_find(name);
	const char *near = nearest_name(name, next_command, NULL);

	/* BCC's tools are commands of their own, and bpftrace takes code at once. */
	if (str_eq(name, "-e"))
		return usage_error("", "expected a command first: bpfnet run -e CODE");
	if (skel && skel_is_probe(skel))
		return usage_error("", "\"%s\" is a probe: bpfnet run -e '%s()'", name, name);
	if (script_find(name))
		return usage_error("", "\"%s\" is a script: bpfnet run %s", name, name);
	if (near)
		return usage_error("", "unknown command \"%s\", did you mean \"%s\"?", name, near);
	return usage_error("", "unknown command \"%s\"", name);
}

int usage_error(const char *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "bpfnet%s%s: ", *command ? " " : "", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nhint: bpfnet help%s%s\n", *command ? " " : "", command);
	return EXIT_USAGE;
}

int command_help(const struct command *c)
{
	printf("usage: bpfnet %s %s\n\n%s\n", c->name, c->args, c->summary);
	if (*c->help)
		printf("\n%s", c->help);
	return EXIT_OK;
}

void command_overview(FILE *to)
{
	fprintf(to,
		"bpfnet %s - scriptable tracing of Linux networking\n\n"
		"usage: bpfnet COMMAND [args]\n\n",
		BPFNET_VERSION);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-8s %s\n", c->name, c->summary);
	fputs("\n`bpfnet help COMMAND` explains one.\n", to);
}

static int completion(const char *shell)
{
	if (shell && str_eq(shell, "bash"))
		help_bash(stdout);
	else if (shell && str_eq(shell, "zsh"))
		help_zsh(stdout);
	else
		return usage_error("help",
				   "option \"--completion\": expected bash or zsh, got %s%s%s",
				   shell ? "\"" : "", shell ? shell : "nothing", shell ? "\"" : "");
	return EXIT_OK;
}

int cmd_help(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		command_overview(stdout);
		return EXIT_OK;
	}
	if (str_eq(argv[1], "--man")) {
		help_man(stdout);
		return EXIT_OK;
	}
	if (str_eq(argv[1], "--completion"))
		return completion(argv[2]);
	if (str_eq(argv[1], "--luarc"))
		return help_luarc(stdout);
	if (*argv[1] == '-')
		return usage_error("help", "unknown option \"%s\"", argv[1]);
	c = command_find(argv[1]);
	return c ? command_help(c) : command_unknown(argv[1]);
}
