/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * prompt_history.h - entered lines in a file, the oldest first: $XDG_STATE_HOME/bpfnet_history, or
 * ~/.bpfnet_history. Sessions append to it side by side. Without such a file there is just no history.
 */
#ifndef BPFNET_PROMPT_HISTORY_H
#define BPFNET_PROMPT_HISTORY_H

/* Calls fn for the newest lines of the file, the oldest of them first. */
void history_load(void (*fn)(void *arg, const char *line), void *arg);
/* Not lines that begin with a space, and no empty ones. */
void history_append(const char *line);

#endif
