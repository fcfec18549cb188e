/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "terminal_end.h"
#include "util.h"

static const char paste_on[] = "\033[?2004h", paste_off[] = "\033[?2004l";
static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGQUIT };

static struct {
	volatile sig_atomic_t watching;
	volatile sig_atomic_t paste;
	struct termios saved;
	struct sigaction old[ARRAY_SIZE(crashes)];
} e;

/* Only what a signal handler may do. */
void end_put_back(void)
{
	if (!e.watching)
		return;
	if (e.paste && write(STDOUT_FILENO, paste_off, sizeof(paste_off) - 1) < 0)
		errno = 0; /* the terminal has gone */
	e.paste = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &e.saved);
}

/* The default effect comes when the handler has returned. */
static void on_crash(int number)
{
	end_put_back();
	raise(number);
}

void end_watch(void)
{
	struct sigaction sa = { .sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND };
	static bool at_exit;

	if (tcgetattr(STDIN_FILENO, &e.saved))
		return;
	e.watching = 1;
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		sigaction(crashes[i], &sa, &e.old[i]);
	if (!at_exit)
		atexit(end_put_back);
	at_exit = true;
}

void end_unwatch(void)
{
	if (!e.watching)
		return;
	end_put_back();
	e.watching = 0;
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		sigaction(crashes[i], &e.old[i], NULL);
}

const struct termios *end_saved(void)
{
	return &e.saved;
}

void end_set_paste(int on)
{
	const char *text = on ? paste_on : paste_off;

	if (e.paste != on && write(STDOUT_FILENO, text, strlen(text)) > 0)
		e.paste = on;
}
