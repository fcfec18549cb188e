/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <bpf/bpf.h>
#include "attach.h"
#include "caps.h"
#include "points_kprobe.h"
#include "points_priv.h"
#include "util.h"

/* Where a kprobe's program finds the instruction pointer: behind the breakpoint's one byte. */
#define IP_OFFSET 1

static int tell_cookie(const struct site *site, int cookies_fd)
{
	uint64_t address = site->sym.address + IP_OFFSET, cookie = site_cookie(site);

	if (!site->sym.address)
		return -EACCES; /* hidden */
	return bpf_map_update_elem(cookies_fd, &address, &cookie, BPF_ANY) ? -errno : 0;
}

int point_kprobe(struct site *site, bool at_return, const struct hook *hook, int cookies_fd)
{
	const struct attach_kprobe at = {
		.function = site->row->target,
		.address = site->sym.address,
		.at_return = at_return,
		.has_cookie = caps_attach_cookie(),
		.cookie = site_cookie(site),
	};
	int rc = at.has_cookie || at_return ? 0 : tell_cookie(site, cookies_fd);

	return rc ? rc :
		    attach_kprobe(hook->stub_fd, &at, &site->events[at_return],
				  &site->links[at_return]);
}

uint64_t point_kprobe_missed(const struct site *site)
{
	uint64_t missed = 0;

	for (int at = 0; at < 2; at++)
		missed += attach_missed(site->links[at]);
	return missed;
}
