/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_bpf.h - what the files that make up the Lua module need of each other. */
#ifndef BPFNET_LUA_BPF_H
#define BPFNET_LUA_BPF_H

#include <lua.h>

/* Global `bpf` and require "bpfnet". raises */
void lua_bpf_install(lua_State *L);

/* Registers the classes. raises */
void lua_probe_install(lua_State *L);
void lua_timer_install(lua_State *L);
void lua_map_install(lua_State *L);
void lua_redirect_install(lua_State *L);
void lua_http_install(lua_State *L);

/* bpf.attach, bpf.load: [name [, opts] [, on_event]] -> Probe; raises */
int lua_probe_attach(lua_State *L);
int lua_probe_load(lua_State *L);
/* bpf.redirect(opts) -> Redirect; raises */
int lua_redirect(lua_State *L);
/* bpf.http(opts) -> Request; raises */
int lua_http(lua_State *L);
/* bpf.probes() -> list */
int lua_probes(lua_State *L);
/* bpf.probe_names() -> list of their names */
int lua_probe_names(lua_State *L);
/* bpf.every, bpf.after: seconds, f -> Timer */
int lua_timer_every(lua_State *L);
int lua_timer_after(lua_State *L);
/*
 * Runs the loop for `seconds` (< 0: no limit) with callbacks on L; raises the error of a callback.
 * Returns the reason why it ended as a static string.
 */
const char *lua_run_loop(lua_State *L, double seconds, const char *where);

#endif
