/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "cmd.h"
#include "log.h"
#include "util.h"
#include "version.h"

const struct command commands[] = {
	{ "run", "[options] FILE [args] | -e CODE [args] | - [args]",
	  "run a script: a file, one that is shipped (by name), CODE, or standard input",
	  "options:\n"
	  "  -e CODE           run CODE\n"
	  "  --limit-time S    stop a callback that runs longer than S seconds (default 1, 0: never)\n"
	  "  --limit-mem MIB   memory that the script may use (default 256, 0: no limit)\n"
	  "  --buffer SIZE     size of the event ring: bytes, or with K or M (default 8M)\n"
	  "  -v, --verbose     tell more; twice: libbpf's messages too\n"
	  "  -q, --quiet       errors only\n"
	  "\n"
	  "The script runs until it ends, or while something is attached until Ctrl-C or SIGTERM.\n"
	  "`bpfnet run FILE --help` shows the comment that a script starts with.\n",
	  cmd_run },
	{ "probes", "[NAME] [--json]",
	  "list the probes and what of them works here; with NAME its fields, filters and hooks",
	  "", cmd_probes },
	{ "help", "[COMMAND]", "explain a command", "", cmd_help },
	{ NULL, NULL, NULL, NULL, NULL },
};

static const struct command *find_command(const char *name)
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

static int no_such_command(const char *name)
{
	const char *near = nearest_name(name, next_command, NULL);

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

int common_option(int opt)
{
	if (opt == 'v')
		log_set_level(log_get_level() < LOG_INFO ? LOG_INFO : LOG_DEBUG);
	else if (opt == 'q')
		log_set_level(LOG_ERROR);
	return opt == 'v' || opt == 'q';
}

static int show_help(const struct command *c)
{
	printf("usage: bpfnet %s %s\n\n%s\n", c->name, c->args, c->summary);
	if (*c->help)
		printf("\n%s", c->help);
	return EXIT_OK;
}

static void overview(FILE *to)
{
	fprintf(to,
		"bpfnet %s - scriptable tracing of Linux networking\n\n"
		"usage: bpfnet COMMAND [args]\n\n",
		BPFNET_VERSION);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-8s %s\n", c->name, c->summary);
}

int cmd_help(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		overview(stdout);
		return EXIT_OK;
	}
	c = find_command(argv[1]);
	return c ? show_help(c) : no_such_command(argv[1]);
}

int main(int argc, char **argv)
{
	const struct command *c;

	log_catch_libbpf();
	if (argc < 2) {
		overview(stderr);
		return EXIT_USAGE;
	}
	if (str_eq(argv[1], "--version")) {
		puts("bpfnet " BPFNET_VERSION);
		return EXIT_OK;
	}
	if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))
		return cmd_help(1, argv);
	c = find_command(argv[1]);
	if (!c)
		return no_such_command(argv[1]);
	if (argc > 2 && str_eq(argv[2], "--help"))
		return show_help(c);
	return c->run(argc - 1, argv + 1);
}
