/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "loop.h"
#include "points_watch.h"
#include "util.h"

#define KERNEL_GROUP 1 /* 2 is udev's */
#define AGAIN_NS     (200 * NSEC_PER_MSEC)

struct points_watch {
	int fd;
	struct loop_watch *watch;
	struct loop_timer *again;
	points_watch_fn fn;
	void *arg;
	char early[56]; /* the module of which it was too early */
};

static void tell(struct points_watch *w, const char *module, bool gone)
{
	if (w->fn(w->arg, module, gone) || gone)
		return;
	snprintf(w->early, sizeof(w->early), "%s", module ? module : "");
	loop_timer_set(w->again, AGAIN_NS, 0);
}

static void once_more(void *arg)
{
	struct points_watch *w = arg;

	w->fn(w->arg, *w->early ? w->early : NULL, false);
}

/* "add@/module/NAME", and then lines of which nothing is needed */
static void on_message(struct points_watch *w, const char *text)
{
	static const char came[] = "add@/module/", went[] = "remove@/module/";

	if (str_starts(text, came))
		tell(w, text + strlen(came), false);
	else if (str_starts(text, went))
		tell(w, text + strlen(went), true);
}

static void on_readable(void *arg, uint32_t events)
{
	struct points_watch *w = arg;
	char text[8192];

	(void)events;
	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(w->fd, text, sizeof(text) - 1, MSG_DONTWAIT,
				     (struct sockaddr *)&from, &size);

		if (n < 0 && errno == ENOBUFS) {
			tell(w, NULL, true);
			tell(w, NULL, false);
			continue;
		}
		if (n <= 0)
			return;
		text[n] = '\0';
		if (!from.nl_pid) /* only the kernel is believed */
			on_message(w, text);
	}
}

static int open_socket(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		close_fd(&fd);
	return fd;
}

struct points_watch *points_watch_new(struct loop *loop, points_watch_fn fn, void *arg)
{
	struct points_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->fn = fn;
	w->arg = arg;
	w->fd = open_socket();
	w->again = loop_timer_new(loop, once_more, w);
	if (w->fd >= 0)
		w->watch = loop_watch(loop, w->fd, EPOLLIN, on_readable, w);
	if (w->watch && w->again)
		return w;
	points_watch_free(w);
	return NULL;
}

void points_watch_free(struct points_watch *w)
{
	if (!w)
		return;
	loop_unwatch(w->watch);
	loop_timer_free(w->again);
	close_fd(&w->fd);
	free(w);
}
