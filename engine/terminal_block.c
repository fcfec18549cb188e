/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "terminal_block.h"
#include "width.h"

#define MAX_LINES 500

static struct {
	char **lines;
	int n;
	int widths[MAX_LINES]; /* of those that the last block_draw() has written */
	int shown;
} b;

bool block_set(const char *const *lines, int n)
{
	for (int i = 0; i < b.n; i++)
		free(b.lines[i]);
	free(b.lines);
	b.n = 0;
	n = n < MAX_LINES ? n : MAX_LINES;
	b.lines = n > 0 ? calloc((size_t)n, sizeof(*b.lines)) : NULL;
	if (n > 0 && !b.lines)
		return false;
	while (b.n < n && (b.lines[b.n] = strdup(lines[b.n])))
		b.n++;
	return b.n >= n;
}

void block_draw(FILE *out, int columns)
{
	for (int i = 0; i < b.n; i++) {
		struct width_place end = { 0 };
		const char *line = b.lines[i];
		size_t len = width_cut(line, strlen(line), columns - 1);

		width_move(&end, line, len, columns);
		b.widths[i] = end.column;
		fwrite(line, 1, len, out);
		/* a colour that was cut off before its end */
		fputs(memchr(line, 0x1b, len) ? "\033[0m\r\n" : "\r\n", out);
	}
	b.shown = b.n;
}

int block_rows(int columns)
{
	int rows = 0;

	for (int i = 0; i < b.shown; i++)
		rows += b.widths[i] > columns ? (b.widths[i] + columns - 1) / columns : 1;
	return rows;
}
