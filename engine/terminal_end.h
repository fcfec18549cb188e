/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * terminal_end.h - the terminal's mode: noted at the start, and put back however the process ends.
 */
#ifndef BPFNET_TERMINAL_END_H
#define BPFNET_TERMINAL_END_H

#include <termios.h>

/* Notes the mode; signals that crash, SIGQUIT, SIGTSTP and exit() put it back from now on. */
void end_watch(void);
void end_unwatch(void);
/* Puts it back now; async-signal-safe. */
void end_put_back(void);
/* How it was at end_watch(). */
const struct termios *end_saved(void);
/* Bracketed paste: the terminal says what was pasted. */
void end_set_paste(int on);

#endif
