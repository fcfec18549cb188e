/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <bpf/bpf.h>
#include "redirect_trial.h"
#include "util.h"

#define WAIT_MS 500

/* A connected pair on loopback; false if that is not to be had, as with a firewall on it. */
static bool make_pair(int pair[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd ready = { .fd = listener, .events = POLLIN };

	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener >= 0 && pair[0] >= 0 &&
	    bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    listen(listener, 1) == 0 &&
	    getsockname(listener, (struct sockaddr *)&addr, &len) == 0) {
		connect(pair[0], (struct sockaddr *)&addr, sizeof(addr));
		if (poll(&ready, 1, WAIT_MS) == 1)
			pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
	close_fd(&listener);
	return pair[1] >= 0;
}

bool redirect_fionread_is_wrong(int sockets_fd)
{
	struct pollfd ready = { .events = POLLIN };
	uint64_t fd, key = 0; /* cookies begin with 1 */
	int pair[2] = { -1, -1 }, waiting = 0;

	if (make_pair(pair)) {
		ready.fd = pair[1];
		fd = (uint64_t)pair[1];
		bpf_map_update_elem(sockets_fd, &key, &fd, BPF_NOEXIST);
		if (send(pair[0], "trial", 5, MSG_NOSIGNAL) == 5 && poll(&ready, 1, WAIT_MS) == 1)
			ioctl(pair[1], FIONREAD, &waiting);
		bpf_map_delete_elem(sockets_fd, &key);
	}
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	return waiting != 5;
}
