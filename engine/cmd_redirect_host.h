/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cmd_redirect_host.h - what lua/bpfnet/redirect.lua can't do in Lua. */
#ifndef BPFNET_CMD_REDIRECT_HOST_H
#define BPFNET_CMD_REDIRECT_HOST_H

#include <lua.h>
#include <stdbool.h>

struct loop_watch;

struct redirect_host {
	bool verbose;
	bool quiet;
	bool detached;
	bool (*ready)(
		void); /* the background may go on without whoever started it; false: they are gone */
	struct loop_watch *output; /* NULL: nobody asked; for loop_unwatch() */
	int status; /* what it ended with */
};

/* [-0, +1] The table that is redirect.main()'s second argument; raises for lack of memory. */
void redirect_host_push(lua_State *L, struct redirect_host *host);

#endif
