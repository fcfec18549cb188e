/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * lua_guest.h - a prompt is a guest in the script that it is attached to: what its code may not do there.
 *
 * Code is a guest's while script_is_guest(): a line that runs, and handlers that lines have given.
 */
#ifndef BPFNET_LUA_GUEST_H
#define BPFNET_LUA_GUEST_H

#include <lua.h>

/*
 * [-0, +0] raises. Once for a state: os.exit, bpf.stop and Probe:events raise in a guest's code. All other code calls what
 * was there before.
 */
void lua_guest_install(lua_State *L);
/*
 * contain(f, ...) -> true | false, message: f is called as a guest. Like pcall without results, but what was stopped because
 * it ran too long is over as well, and the callback goes on behind it.
 */
int lua_guest_contain(lua_State *L);

#endif
