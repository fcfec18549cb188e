/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* prompt_signals.h - SIGWINCH, SIGTSTP and SIGCONT, told in the loop. */
#ifndef BPFNET_PROMPT_SIGNALS_H
#define BPFNET_PROMPT_SIGNALS_H

struct loop;
struct prompt_signals;

/*
 * Ctrl-Z gives the terminal back in the mode it was found in, and stops the process. A process has one of these. NULL:
 * out of memory or descriptors.
 */
struct prompt_signals *prompt_signals_new(struct loop *loop, void (*on_resize)(void *arg),
					  void (*on_continue)(void *arg), void *arg);
void prompt_signals_free(struct prompt_signals *signals); /* NULL is fine */

#endif
