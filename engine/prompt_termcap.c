/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The termcap functions that libedit calls, in the place of libtinfo's.
 *
 * The node that the binary is copied to need not have a description of the user's terminal, and all terminals that
 * remain do the few things that a line editor needs by the sequences of ECMA-48. Those that don't are not given to
 * libedit at all (terminal_can_move).
 */
#include <stdio.h>
#include <string.h>

int tgetent(char *buffer, const char *name);
int tgetflag(const char *name);
int tgetnum(const char *name);
char *tgetstr(const char *name, char **area);
char *tgoto(const char *capability, int column, int row);
int tputs(const char *text, int lines, int (*put)(int c));

static const struct {
	char name[3];
	const char *text; /* %d: a number */
} strings[] = {
	{ "al", "\033[L" },       { "bl", "\a" },       { "cd", "\033[J" },   { "ce", "\033[K" },
	{ "cl", "\033[H\033[J" }, { "dc", "\033[P" },   { "dl", "\033[M" },   { "ho", "\033[H" },
	{ "im", "\033[4h" },      { "ei", "\033[4l" },  { "nd", "\033[C" },   { "up", "\033[A" },
	{ "DC", "\033[%dP" },     { "DO", "\033[%dB" }, { "IC", "\033[%d@" }, { "LE", "\033[%dD" },
	{ "RI", "\033[%dC" },     { "UP", "\033[%dA" },
};

int tgetent(char *buffer, const char *name)
{
	(void)name;
	if (buffer)
		buffer[0] = '\0';
	return 1;
}

/* It goes on in the next line, and not before the character behind the last column. */
int tgetflag(const char *name)
{
	return strcmp(name, "am") == 0 || strcmp(name, "xn") == 0;
}

/* libedit asks the terminal itself for its size. */
int tgetnum(const char *name)
{
	return strcmp(name, "co") == 0 ? 80 : strcmp(name, "li") == 0 ? 24 : -1;
}

char *tgetstr(const char *name, char **area)
{
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		char *at = *area;

		if (strcmp(strings[i].name, name) != 0)
			continue;
		strcpy(at, strings[i].text);
		*area += strlen(at) + 1;
		return at;
	}
	return NULL;
}

char *tgoto(const char *capability, int column, int row)
{
	static char text[32];
	const char *number = strstr(capability, "%d");

	(void)column;
	if (!number)
		return (char *)capability;
	snprintf(text, sizeof(text), "%.*s%d%s", (int)(number - capability), capability, row,
		 number + 2);
	return text;
}

int tputs(const char *text, int lines, int (*put)(int c))
{
	(void)lines;
	for (; *text; text++)
		put((unsigned char)*text);
	return 0;
}
