/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_inside_stop.h - stops the line that runs when its client says so, or is gone, by SIGIO. */
#ifndef BPFNET_LUA_INSIDE_STOP_H
#define BPFNET_LUA_INSIDE_STOP_H

#include <stdbool.h>

struct script;

/* From here on. Nothing is read from the socket. True: it is to be stopped before it has begun. */
bool inside_stop_start(int fd, struct script *script);
/* To here. */
void inside_stop_end(int fd);

#endif
