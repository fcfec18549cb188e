/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include "inside_frames.h"
#include "lua_inside_stop.h"
#include "script.h"
#include "util.h"

static struct {
	volatile sig_atomic_t fd;
	struct script *volatile script;
	struct sigaction old;
} stop;

/* Frames are looked at and left there. Those that come while a line runs are short. */
static bool is_asked_for(const char *bytes, ssize_t n)
{
	uint32_t len;

	for (ssize_t i = 0; i + FRAME_HEAD <= n; i += FRAME_HEAD + (ssize_t)len) {
		memcpy(&len, bytes + i, sizeof(len));
		if (bytes[i + 4] == FRAME_INTERRUPT)
			return true;
		if (len > FRAME_MAX)
			return false;
	}
	return false;
}

static bool look(void)
{
	char bytes[256];
	ssize_t n = recv(stop.fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno == ECONNRESET) || is_asked_for(bytes, n);
}

static void on_sigio(int number)
{
	int saved = errno;

	(void)number;
	if (stop.script && look())
		script_call_off(stop.script);
	errno = saved;
}

bool inside_stop_start(int fd, struct script *s)
{
	struct sigaction sa = { .sa_handler = on_sigio, .sa_flags = SA_RESTART };

	stop.fd = fd;
	stop.script = s;
	sigaction(SIGIO, &sa, &stop.old);
	fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
	return look();
}

void inside_stop_end(int fd)
{
	stop.script = NULL;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	/* one that is on its way still finds the handler */
	sigaction(SIGIO, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	sigaction(SIGIO, &stop.old, NULL);
}
