/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The client of streams: sends as fast as it can. */
#include <errno.h>
#include <stdlib.h>
#include "load_priv.h"

#define PER_LOOK 32 /* sends between two looks at the clock */

struct pourer {
	int fd;
	bool full; /* an event will come when it is not */
	uint32_t sent; /* of the message that is on its way */
};

static int pour(struct load_role *role, struct pourer *p)
{
	uint32_t size = role->spec->request;

	for (int i = 0; i < PER_LOOK && !p->full; i++) {
		ssize_t n = send(p->fd, role->out, size - p->sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_sys(role->err, -errno, "load: send");
		p->full = n < 0 && errno == EAGAIN;
		p->sent += n > 0 ? (uint32_t)n : 0;
		if (p->sent == size)
			p->sent = 0;
	}
	return 0;
}

/* Edge-triggered, so that no call is needed to be told again. */
static int connect_pourers(struct load_role *role, struct pourer *all)
{
	int rc = 0;

	for (int i = 0; i < role->spec->connections && !rc; i++) {
		all[i].fd = load_connect(role);
		if (all[i].fd < 0)
			return all[i].fd;
		rc = load_watch(role, all[i].fd, EPOLLOUT | EPOLLET, &all[i]);
	}
	return rc;
}

static int wait_for_room(struct load_role *role)
{
	struct epoll_event events[LOAD_EVENTS];
	int n = load_wait(role, events);

	for (int i = 0; i < n; i++)
		((struct pourer *)events[i].data.ptr)->full = false;
	return n < 0 ? n : 0;
}

static int pour_all(struct load_role *role, struct pourer *all)
{
	int n = role->spec->connections, rc = 0;

	while (!rc && !load_clock(role, now_ns())) {
		bool full = true;

		for (int i = 0; i < n && !rc; i++) {
			rc = pour(role, &all[i]);
			full &= all[i].full;
		}
		if (!rc && full)
			rc = wait_for_room(role);
	}
	return rc;
}

int load_pour(struct load_role *role)
{
	struct pourer *all = calloc((size_t)role->spec->connections, sizeof(*all));
	int rc;

	if (!all)
		return err_set(role->err, -ENOMEM, "load: out of memory");
	rc = connect_pourers(role, all);
	load_clock_start(role);
	rc = rc ? rc : pour_all(role, all);
	free(all);
	return rc;
}
