/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_doctor.h - the module `bpfnet.doctor.native`, for require. */
#ifndef BPFNET_LUA_DOCTOR_H
#define BPFNET_LUA_DOCTOR_H

#include <lua.h>

int luaopen_bpfnet_doctor(lua_State *L);

#endif
