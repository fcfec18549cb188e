/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_terminal.h - the module bpfnet.terminal. */
#ifndef BPFNET_LUA_TERMINAL_H
#define BPFNET_LUA_TERMINAL_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* package.preload */
int luaopen_bpfnet_terminal(lua_State *L);

/* The terminal of somebody who is attached, in the place of our own as long as it is set. */
struct remote_terminal {
	bool tty, colour, moves;
	int columns, rows;
	/* False if it can't be shown. */
	bool (*above)(void *arg, const char *const *lines, int n);
	void (*write)(void *arg, const char *text, size_t len);
	void *arg;
};

/* NULL: there is none any more. */
void lua_terminal_set_remote(const struct remote_terminal *remote);

#endif
