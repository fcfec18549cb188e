/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* terminal_block.h - the lines that stand above the one that is typed. */
#ifndef BPFNET_TERMINAL_BLOCK_H
#define BPFNET_TERMINAL_BLOCK_H

#include <stdbool.h>
#include <stdio.h>

/* Takes copies; n 0: none. False if out of memory: there are none then. */
bool block_set(const char *const *lines, int n);
/* Writes them, each cut at so many columns and ended. */
void block_draw(FILE *out, int columns);
/* How many rows that takes on a terminal which now has so many columns, and moves along what does not fit. */
int block_rows(int columns);

#endif
