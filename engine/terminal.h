/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * terminal.h - the terminal as what a prompt and everybody's output share.
 *
 * While a line is being typed, output takes it away, and the next terminal_refresh() puts it back, once for all the output
 * of a round of the loop, in one write: the line does not flicker. A process has one terminal.
 */
#ifndef BPFNET_TERMINAL_H
#define BPFNET_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Standard input and output are a terminal. */
bool terminal_is_tty(void);
/* It also understands movements of the cursor (TERM). */
bool terminal_can_move(void);
/* And wants colours (NO_COLOR). */
bool terminal_colour(void);
/* Of standard output; 80 and 24 if it is no terminal. */
void terminal_size(int *columns, int *rows);

/* From now on stdout and stderr, where they are the terminal, come here. Restores it however the process ends. */
void terminal_start(void);
/* Back to how it was. */
void terminal_stop(void);

/* The line that is being typed. */
struct terminal_line {
	/* Writes it to terminal_out(), at the start of a free line. */
	void (*draw)(void *arg);
	/* How many lines below its start the cursor is. */
	int (*cursor_row)(void *arg);
	void *arg;
};

/* Shows it by the next terminal_refresh(); NULL: there is none any more, and what is shown is taken away. */
void terminal_set_line(const struct terminal_line *line);
/* Output is over for now: it is written, the block and the line are there. Does nothing without a line. */
void terminal_refresh(void);
/* The line is to be drawn anew. */
void terminal_hide(void);
/* A child process is about to write there by itself: nothing is in its way until the next terminal_refresh(). */
void terminal_lend(void);
/* An empty screen, but for the block and the line. */
void terminal_clear(void);
/* Somebody else has used the terminal: what was shown is lost. */
void terminal_forget(void);
/* The line is finished, and stays on the screen as this text. */
void terminal_commit(const char *text, size_t len);
/* Where the line is drawn. */
FILE *terminal_out(void);
/* Output of others, like fwrite() to stdout. */
void terminal_write(const char *text, size_t len);
/* A block above the line, in place of the last one; n 0: none. False if it can't be shown so. Texts are copied. */
bool terminal_above(const char *const *lines, int n);

#endif
