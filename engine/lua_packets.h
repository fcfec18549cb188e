/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_packets.h - the options of probes that follow packets: podnet's. `timeout` is tcprequest's too. */
#ifndef BPFNET_LUA_PACKETS_H
#define BPFNET_LUA_PACKETS_H

#include <lua.h>
#include "lua_probe.h"

/* Their names, for the list of all that are known. */
#define LUA_PACKET_OPTS "paths", "between", "slower_than", "dropped", "stack", "timeout"

/* raises. Reads them from the table at index; names stay Lua's. [-0, +0] */
void lua_packet_opts(lua_State *L, int index, const char *where, struct probe_opts *opts);
/* [-0, +1] The points of the pairs in `between` as one text, NULL (and nil) if there are none. */
const char *lua_packet_points(lua_State *L, const struct probe_opts *opts);
/* raises. slower_than and dropped are a threshold of their own. [-0, +0] */
void lua_packet_threshold(lua_State *L, struct lprobe *lp, int index, const char *where);

#endif
