/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdbool.h>
#include <string.h>
#include <wchar.h>
#include "width.h"

#define TAB 8

/* ESC [ parameters letter; ESC ] text BEL or ESC \; ESC and one more. */
static size_t escape_length(const char *s, size_t len)
{
	size_t i = 2;

	if (len < 2)
		return len;
	if (s[1] == '[') {
		while (i < len && !(s[i] >= '@' && s[i] <= '~'))
			i++;
	} else if (s[1] == ']') {
		while (i < len && s[i] != '\a' && s[i] != '\\')
			i++;
	} else {
		return 2;
	}
	return i < len ? i + 1 : len;
}

size_t width_next(const char *s, size_t len, int *width)
{
	unsigned char c = (unsigned char)*s;
	mbstate_t state = { 0 };
	wchar_t wide;
	size_t n;

	*width = -1;
	if (c == 0x1b) {
		*width = 0;
		return escape_length(s, len);
	}
	if (c < ' ' || c == 0x7f)
		return 1;
	*width = 1;
	if (c < 0x80)
		return 1;
	n = mbrtowc(&wide, s, len, &state);
	if (n == 0 || n > len)
		return 1; /* not in this locale, or cut off */
	*width = wcwidth(wide) < 0 ? 1 : wcwidth(wide);
	return n;
}

size_t width_cut(const char *s, size_t len, int columns)
{
	size_t i = 0;
	int width;

	while (i < len) {
		size_t n = width_next(s + i, len - i, &width);

		if (width < 0 || width > columns)
			break;
		columns -= width;
		i += n;
	}
	return i;
}

static void advance(struct width_place *p, int width, int columns)
{
	if (p->column + width > columns) {
		p->row++;
		p->column = 0;
	}
	p->column += width;
}

static void move_control(struct width_place *p, char c, int columns)
{
	if (c == '\n') {
		p->row++;
		p->column = 0;
	} else if (c == '\r') {
		p->column = 0;
	} else if (c == '\b' && p->column) {
		p->column--;
	} else if (c == '\t') {
		p->column = (p->column / TAB + 1) * TAB;
		if (p->column >= columns)
			p->column = columns - 1;
	}
}

void width_move(struct width_place *p, const char *s, size_t len, int columns)
{
	int width;

	for (size_t i = 0; i < len;) {
		size_t n = width_next(s + i, len - i, &width);

		if (width < 0)
			move_control(p, s[i], columns);
		else
			advance(p, width, columns);
		i += n;
	}
}

void width_move_shown(struct width_place *p, const char *s, size_t len, int columns)
{
	int width;

	for (size_t i = 0; i < len;) {
		size_t n = width_next(s + i, len - i, &width);

		for (int left = s[i] == '\t' ? TAB - p->column % TAB :
				width < 0    ? 2 :
					       0;
		     left; left--)
			advance(p, 1, columns);
		if (width > 0)
			advance(p, width, columns);
		i += n;
	}
	/* It never waits at the right edge. */
	if (p->column >= columns)
		*p = (struct width_place){ p->row + 1, 0 };
}
