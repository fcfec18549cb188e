/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * prompt.h - lines from the user as one more source of the loop: from a terminal, with editing, history and
 * completion, or from a pipe or a file.
 */
#ifndef BPFNET_PROMPT_H
#define BPFNET_PROMPT_H

#include <stdbool.h>
#include <stddef.h>
#include "err.h"

struct loop;
struct prompt;

struct prompt_ops {
	/* A line was entered. Nothing more is read until prompt_ask(). */
	void (*line)(void *arg, const char *text);
	/* Ctrl-D on an empty line, or the end of the input. Nothing more is read. */
	void (*end)(void *arg);
	/* Tab: prompt_complete() is to be called, now or later. cursor: bytes of text before it. */
	void (*complete)(void *arg, const char *text, size_t cursor);
	/* The terminal has another size; may be NULL. */
	void (*resize)(void *arg);
};

/* Takes over the terminal if that is what the input is. arg is for ops. */
int prompt_new(struct prompt **prompt, struct loop *loop, const struct prompt_ops *ops, void *arg,
	       struct err *err);
void prompt_free(struct prompt *prompt);
/* Asks for a line; what is there of it already may come before this returns. text: UTF-8, without controls. */
void prompt_ask(struct prompt *prompt, const char *text);
/* Does not ask any more; the terminal is in the mode that it was found in. */
void prompt_pause(struct prompt *prompt);
/* The user has pressed Ctrl-C: forgets what was typed, and asks with this text. */
void prompt_interrupt(struct prompt *prompt, const char *text);
/*
 * The words that can stand for text[from..cursor) of the line that ops->complete() was called with; ignored if that is
 * not the line any more.
 */
void prompt_complete(struct prompt *prompt, size_t from, const char *const *words, int n);

#endif
