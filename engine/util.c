/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Only what does not fit a header: the guess at a misspelt name. */
#include "util.h"

#define NAME_MAX_LEN 32

static int min3(int a, int b, int c)
{
	int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edit distance with transpositions counted once (optimal string alignment); long names are far. */
static int distance(const char *a, const char *b)
{
	int d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];
	int la = (int)strlen(a), lb = (int)strlen(b);

	if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	for (int i = 0; i <= la; i++)
		d[i][0] = i;
	for (int j = 0; j <= lb; j++)
		d[0][j] = j;
	for (int i = 1; i <= la; i++) {
		for (int j = 1; j <= lb; j++) {
			int cost = a[i - 1] != b[j - 1];

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[la][lb];
}

const char *nearest_name(const char *name, const char *(*next)(const void *arg, int i),
			 const void *arg)
{
	/* one slip in a short name, up to a third of a long one */
	int best = (int)strlen(name) / 3 + 2;
	const char *known, *found = NULL;

	for (int i = 0; (known = next(arg, i)); i++) {
		int d = distance(name, known);

		if (d < best) {
			best = d;
			found = known;
		}
	}
	return found;
}
