/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_files.h - the module `bpfnet.files`, for require. */
#ifndef BPFNET_LUA_FILES_H
#define BPFNET_LUA_FILES_H

#include <lua.h>

int luaopen_bpfnet_files(lua_State *L);

#endif
