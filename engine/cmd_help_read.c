/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reads the help texts of the command table. */
#include <ctype.h>
#include <string.h>
#include "cmd.h"
#include "cmd_help.h"
#include "util.h"

static size_t indent(const char *line)
{
	return strspn(line, " ");
}

/* Adds the line at `at`, without what it is indented by, to the text. Returns the next line. */
static const char *add_line(struct help_item *item, const char *at)
{
	const char *eol = strchrnul(at, '\n');
	size_t len = strlen(item->text);

	at += indent(at);
	snprintf(item->text + len, sizeof(item->text) - len, "%s%.*s", len ? " " : "",
		 (int)(eol - at), at);
	return *eol ? eol + 1 : eol;
}

/* "  --json    a line": what stands before two spaces, and the text behind them. */
static const char *read_entry(const char *at, struct help_item *item)
{
	const char *eol = strchrnul(at, '\n'), *end = at + 2;

	while (end < eol && !str_starts(end, "  "))
		end++;
	snprintf(item->spec, sizeof(item->spec), "%.*s", (int)(end - at - 2), at + 2);
	at = end < eol ? add_line(item, end) : eol + (*eol != 0);
	while (indent(at) > 2)
		at = add_line(item, at);
	return at;
}

static bool is_form(const char *at, const char *command)
{
	size_t len = strlen(command);

	return !strncmp(at + 2, command, len) && at[2 + len] == ' ';
}

static const char *read_paragraph(const char *at, struct help_item *item)
{
	do
		at = add_line(item, at);
	while (*at && *at != '\n' && !indent(at) && at[-2] != ':');
	return at;
}

bool help_next(const char **at, const char *command, struct help_item *item)
{
	const char *p = *at;

	p += strspn(p, "\n");
	item->spec[0] = item->text[0] = '\0';
	if (!*p)
		return false;
	if (str_starts(p, "  -") || (indent(p) == 2 && is_form(p, command))) {
		item->kind = p[2] == '-' ? HELP_OPTION : HELP_FORM;
		*at = read_entry(p, item);
	} else if (indent(p)) {
		item->kind = HELP_VERBATIM;
		*at = add_line(item, p);
	} else {
		*at = read_paragraph(p, item);
		item->kind = (*at)[-1] == '\n' && (*at)[-2] == ':' ? HELP_PART : HELP_TEXT;
	}
	return true;
}

void help_read_option(const char *spec, struct help_option *o)
{
	memset(o, 0, sizeof(*o));
	while (*spec == '-') {
		size_t len = strcspn(spec, " ,[=");
		bool full = str_starts(spec, "--");

		snprintf(full ? o->full : o->brief, full ? sizeof(o->full) : sizeof(o->brief),
			 "%.*s", (int)len, spec);
		spec += len;
		spec += strspn(spec, ", ");
	}
	o->optional = *spec == '[';
	spec += strspn(spec, "[=");
	snprintf(o->value, sizeof(o->value), "%.*s", (int)strcspn(spec, o->optional ? "]" : ""),
		 spec);
}

bool help_is_words(const char *value)
{
	bool any = false;

	for (; *value; value++) {
		any |= *value == '|';
		if (!islower((unsigned char)*value) && !strchr("|_-", *value))
			return false;
	}
	return any;
}

bool help_takes_script(const struct command *command)
{
	return strstr(command->args, "FILE") != NULL;
}
