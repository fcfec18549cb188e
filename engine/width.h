/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * width.h - how much room text takes on a terminal: UTF-8 by wcwidth(), escape sequences none.
 */
#ifndef BPFNET_WIDTH_H
#define BPFNET_WIDTH_H

#include <stddef.h>

/* Length in bytes of the character or the escape sequence at s (len > 0); *width: its columns, -1 for a control. */
size_t width_next(const char *s, size_t len, int *width);
/* How many bytes of s fit into so many columns; controls but escape sequences end it. */
size_t width_cut(const char *s, size_t len, int columns);

struct width_place {
	int row; /* lines below the start */
	int column;
};

/* Moves a cursor behind this output on a terminal with so many columns. */
void width_move(struct width_place *place, const char *s, size_t len, int columns);
/* The same as the line editor shows it, which writes a control as ^X. */
void width_move_shown(struct width_place *place, const char *s, size_t len, int columns);

#endif
