/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * prompt_priv.h - what edits a line: libedit, or on a terminal that can't move its cursor something simple.
 */
#ifndef BPFNET_PROMPT_PRIV_H
#define BPFNET_PROMPT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include "prompt_keys.h"

struct editor;

struct editor_ops {
	/* An empty line behind this prompt; the terminal is in raw mode. */
	void (*begin)(struct editor *e);
	/* The mode that the terminal was found in. */
	void (*end)(struct editor *e);
	/* Raw mode again, with the line as it was. */
	void (*again)(struct editor *e);
	/* All keys but KEY_ENTER and KEY_TAB. */
	void (*key)(struct editor *e, const struct key *key);
	/* The line, until the next call; *cursor in bytes. */
	const char *(*text)(struct editor *e, size_t *len, size_t *cursor);
	/* The prompt's text has changed. */
	void (*new_prompt)(struct editor *e);
	/* Replaces the whole line. */
	void (*set)(struct editor *e, const char *text);
	/* Replaces the n bytes before the cursor. */
	void (*replace)(struct editor *e, size_t n, const char *text);
	/* For terminal_set_line(). */
	void (*draw)(void *editor);
	int (*cursor_row)(void *editor);
	void (*resize)(struct editor *e);
	void (*add_history)(struct editor *e, const char *line);
	/* The nth newest line (0: the newest) that has the text in it; NULL if there are not so many. */
	const char *(*find)(struct editor *e, const char *text, int nth);
	void (*free)(struct editor *e);
};

struct editor {
	const struct editor_ops *ops;
	char prompt[64];
	bool colour;
};

/* NULL if that can't be. */
struct editor *edit_new(void); /* libedit */
struct editor *edit_simple_new(void);

#endif
