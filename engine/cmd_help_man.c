/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The man page: man-pages(7) says what belongs where. */
#include <string.h>
#include "cmd.h"
#include "cmd_help.h"
#include "modules.h"
#include "util.h"
#include "version.h"

/* As text: nothing in it is a request, and `code` is bold. */
static void put(FILE *to, const char *text, size_t len)
{
	bool code = false;

	if (len && (*text == '.' || *text == '\''))
		fputs("\\&", to);
	for (const char *end = text + len; text < end; text++) {
		if (*text == '`') {
			code = !code;
			fputs(code ? "\\fB" : "\\fR", to);
		} else if (*text == '-') {
			fputs("\\-", to);
		} else if (*text == '\\') {
			fputs("\\e", to);
		} else if (*text == '"') {
			fputs("\\(dq", to);
		} else {
			fputc(*text, to);
		}
	}
}

static void put_line(FILE *to, const char *text)
{
	put(to, text, strlen(text));
	fputc('\n', to);
}

/* "--policy turns|all": the option in bold, its value in italics */
static void put_spec(FILE *to, const char *spec)
{
	while (*spec) {
		bool name = *spec == '-';
		size_t len = name ? strcspn(spec, " ,[=") : strcspn(spec, "-");

		if (!name && spec[0] != '[' && spec[0] != '=' && len)
			len = strlen(spec); /* the value is last, and may have a "-" in it */
		if (strspn(spec, ", "))
			len = strspn(spec, ", ");
		fputs(name ? "\\fB" : *spec == ',' || *spec == ' ' ? "\\fR" : "\\fI", to);
		put(to, spec, len);
		spec += len;
	}
	fputs("\\fR\n", to);
}

static void put_item(FILE *to, const struct help_item *item)
{
	switch (item->kind) {
	case HELP_OPTION:
		fputs(".TP\n", to);
		put_spec(to, item->spec);
		put_line(to, item->text);
		break;
	case HELP_FORM:
		fputs(".TP\n.B bpfnet ", to);
		put_line(to, item->spec);
		put_line(to, item->text);
		break;
	case HELP_VERBATIM:
		fputs(".PP\n.EX\n", to);
		put_line(to, item->text);
		fputs(".EE\n", to);
		break;
	case HELP_PART:
	case HELP_TEXT:
		fputs(".PP\n", to);
		put_line(to, item->text);
	}
}

static void put_command(FILE *to, const struct command *c)
{
	struct help_item item;
	const char *at = c->help;

	fprintf(to, ".SS %s\n", c->name);
	fprintf(to, ".B bpfnet %s\n", c->name);
	put_line(to, c->args);
	fputs(".PP\n", to);
	put_line(to, c->summary);
	while (help_next(&at, c->name, &item))
		put_item(to, &item);
}

/* A shipped script: its first line is "-- name - what it shows". */
static void put_script(FILE *to, const struct embedded *script)
{
	const char *line = script->start;

	while (line < script->end && (str_starts(line, "#!") || strstr(line, "SPDX") == line + 3))
		line = strchrnul(line, '\n') + 1;
	line += strspn(line, "- ");
	fprintf(to, ".TP\n.B %s\n", script->name);
	if (str_starts(line, script->name))
		line += strlen(script->name) + strspn(line + strlen(script->name), " -");
	put(to, line, strcspn(line, "\n"));
	fputc('\n', to);
}

static const char about[] =
	".SH DESCRIPTION\n"
	"bpfnet attaches probes to the kernel's networking, and gives what they see to a script in Lua, as\n"
	"events or added up in the kernel. Each event names the process, and the pod and container, that it\n"
	"is about. What is lost is counted and told. Nothing stays attached when it ends.\n";

static const char rest[] =
	".SH EXIT STATUS\n"
	".TP\n.B 0\nIt ended as it should, also by Ctrl\\-C, SIGTERM and SIGHUP.\n"
	".TP\n.B 1\nAn error in the script, or the kernel refused. One message on standard error says what, where, and\n"
	"what to do about it.\n"
	".TP\n.B 2\nWrong usage.\n"
	".SH SECURITY\n"
	"Tracing needs the capabilities CAP_BPF and CAP_PERFMON, redirecting CAP_NET_ADMIN too; CAP_SYS_PTRACE is\n"
	"needed to find the owners of sockets that are older than the probe. A script may do what its user may.\n"
	".SH EXAMPLES\n"
	".TP\nWhat each connection carried that ends, and how it ended:\n.EX\nbpfnet run tcplife\n.EE\n"
	".TP\nWho connects where, as it happens:\n"
	".EX\nbpfnet run \\-e \\(aqbpf.attach(\\(dqtcpconnect\\(dq, print)\\(aq\n.EE\n"
	".TP\nThe fields and filters of a probe:\n.EX\nbpfnet probes tcpclose\n.EE\n"
	".SH SEE ALSO\n"
	".BR bpf (2),\n.BR capabilities (7),\n.BR ss (8)\n";

void help_man(FILE *to)
{
	fprintf(to,
		".\\\" SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only\n"
		".\\\" Made by `bpfnet help --man`.\n"
		".TH BPFNET 8 \"\" \"bpfnet %s\" \"System Administration\"\n"
		".SH NAME\nbpfnet \\- scriptable tracing of Linux networking\n"
		".SH SYNOPSIS\n.B bpfnet\n.I command\n[\\fIargs\\fR]\n",
		BPFNET_VERSION);
	fputs(about, to);
	fputs(".SH COMMANDS\n", to);
	for (const struct command *c = commands; c->name; c++)
		put_command(to, c);
	fputs(".SH SCRIPTS\nShipped inside, to be run by name; \\fBbpfnet run NAME \\-\\-help\\fR tells more.\n",
	      to);
	for (const struct embedded *s = embedded_scripts; s->name; s++)
		put_script(to, s);
	fputs(rest, to);
}
