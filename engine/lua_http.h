/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_http.h - the options table of bpf.http. */
#ifndef BPFNET_LUA_HTTP_H
#define BPFNET_LUA_HTTP_H

#include <lua.h>
#include <stdbool.h>
#include "http.h"

struct lua_http_more {
	bool has_on_headers, has_on_data;
	bool hold; /* bpf.run() is not idle while the request is open */
};

/*
 * raises. Reads the table at index into opts, but for the callbacks, which it only checks. Texts
 * stay owned by Lua: by the table, and by what this leaves on the stack [-0, +1].
 */
void lua_http_opts(lua_State *L, int index, struct http_opts *opts, struct lua_http_more *more);

#endif
