/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_os.h - what of Lua's own library os is another for who has signals to notice. */
#ifndef BPFNET_LUA_OS_H
#define BPFNET_LUA_OS_H

#include <lua.h>

void lua_os_install(lua_State *L); /* [-0, +0] after luaL_openlibs() */

#endif
