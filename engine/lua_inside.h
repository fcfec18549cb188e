/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * lua_inside.h - lets `bpfnet repl --attach` into this process: a session in the script's state, over a socket.
 *
 * It neither keeps the script going nor ever waits for who is attached. One session at a time.
 */
#ifndef BPFNET_LUA_INSIDE_H
#define BPFNET_LUA_INSIDE_H

struct inside;
struct script;

/* NULL if there can't be a socket, which is no error of the script; told with -v. */
struct inside *inside_open(struct script *script);
/* Before script_free(). NULL is fine. */
void inside_close(struct inside *inside);

#endif
