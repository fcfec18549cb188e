/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * lua_text.h - from 16 bytes of a record to their text, which mostly is the same as a moment ago.
 *
 * Formatting an address takes ten times as long as finding it again, and making a Lua string of a
 * name four times.
 */
#ifndef BPFNET_LUA_TEXT_H
#define BPFNET_LUA_TEXT_H

#include <lua.h>

#define TEXT_BYTES 16

enum text_kind { TEXT_ADDR, TEXT_NAME, TEXT_KSYM, TEXT_KINDS };

/*
 * [-0, +1] address (v4-mapped as IPv4); text up to the first NUL; symbol of a kernel address that is
 * not 0, in the first 8 bytes, the others zero. raises for lack of memory
 */
void lua_text_push(lua_State *L, enum text_kind kind, const void *bytes);

#endif
