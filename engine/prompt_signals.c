/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "loop.h"
#include "prompt_signals.h"
#include "terminal_end.h"
#include "util.h"

struct prompt_signals {
	struct loop_watch *watch;
	void (*on_resize)(void *arg);
	void (*on_continue)(void *arg);
	void *arg;
	struct sigaction old_winch, old_tstp;
};

static int wake_fd = -1;
static volatile sig_atomic_t resized, continued;

static void wake(void)
{
	uint64_t one = 1;

	if (write(wake_fd, &one, sizeof(one)) < 0)
		errno = 0; /* it is full, and so awake */
}

static void on_winch(int number)
{
	int saved = errno;

	(void)number;
	resized = 1;
	wake();
	errno = saved;
}

static void on_tstp(int number)
{
	int saved = errno;

	(void)number;
	end_put_back();
	raise(SIGSTOP);
	/* SIGCONT has come */
	resized = continued = 1;
	wake();
	errno = saved;
}

static void on_wake(void *arg, uint32_t events)
{
	struct prompt_signals *s = arg;
	uint64_t n;

	(void)events;
	if (read(wake_fd, &n, sizeof(n)) < 0)
		return;
	if (continued)
		s->on_continue(s->arg);
	continued = 0;
	if (resized)
		s->on_resize(s->arg);
	resized = 0;
}

struct prompt_signals *prompt_signals_new(struct loop *loop, void (*on_resize)(void *arg),
					  void (*on_continue)(void *arg), void *arg)
{
	struct prompt_signals *s = calloc(1, sizeof(*s));
	struct sigaction sa = { .sa_handler = on_winch, .sa_flags = SA_RESTART };

	if (!s)
		return NULL;
	*s = (struct prompt_signals){ .on_resize = on_resize,
				      .on_continue = on_continue,
				      .arg = arg };
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->watch = wake_fd < 0 ? NULL : loop_watch(loop, wake_fd, EPOLLIN, on_wake, s);
	if (!s->watch) {
		close_fd(&wake_fd);
		free(s);
		return NULL;
	}
	sigaction(SIGWINCH, &sa, &s->old_winch);
	sa.sa_handler = on_tstp;
	sigaction(SIGTSTP, NULL, &s->old_tstp);
	/* who started us without job control has it ignored */
	if (s->old_tstp.sa_handler != SIG_IGN)
		sigaction(SIGTSTP, &sa, NULL);
	return s;
}

void prompt_signals_free(struct prompt_signals *s)
{
	if (!s)
		return;
	sigaction(SIGWINCH, &s->old_winch, NULL);
	sigaction(SIGTSTP, &s->old_tstp, NULL);
	loop_unwatch(s->watch);
	close_fd(&wake_fd);
	free(s);
}
