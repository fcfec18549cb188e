/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "prompt_complete.h"
#include "terminal.h"

#define GAP 2

char *complete_word(const char *word, size_t len, const char *const *words, int n)
{
	size_t common = n > 0 ? strlen(words[0]) : 0;

	for (int i = 1; i < n; i++) {
		size_t same = 0;

		while (same < common && words[i][same] == words[0][same])
			same++;
		common = same;
	}
	/* not into the middle of a character */
	while (common && n > 1 && (words[0][common] & 0xc0) == 0x80)
		common--;
	if (common < len || (common == len && strncmp(words[0], word, len) == 0))
		return NULL;
	return common ? strndup(words[0], common) : NULL;
}

void complete_show(const char *const *words, int n)
{
	int columns, rows, width = 0, in_row, nr_rows;

	for (int i = 0; i < n; i++)
		if ((int)strlen(words[i]) > width)
			width = (int)strlen(words[i]);
	terminal_size(&columns, &rows);
	in_row = (columns - 1 + GAP) / (width + GAP);
	if (in_row < 1)
		in_row = 1;
	nr_rows = (n + in_row - 1) / in_row;
	for (int row = 0; row < nr_rows; row++)
		for (int i = row; i < n; i += nr_rows)
			printf("%-*s%s", i + nr_rows < n ? width + GAP : 0, words[i],
			       i + nr_rows < n ? "" : "\n");
}
