/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * lua_coroutine.h - coroutine.resume and coroutine.wrap that tell the script which coroutine runs.
 *
 * Hooks belong to one coroutine each, and a signal handler that wants to stop runaway code has to
 * know where to put its hook.
 */
#ifndef BPFNET_LUA_COROUTINE_H
#define BPFNET_LUA_COROUTINE_H

#include <lua.h>

/* Replaces the two in the library that is loaded. raises */
void coroutine_install(lua_State *L);

#endif
