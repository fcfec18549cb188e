/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_inside_out.h - what is printed while a line of an attached session runs goes to its client. */
#ifndef BPFNET_LUA_INSIDE_OUT_H
#define BPFNET_LUA_INSIDE_OUT_H

#include <stddef.h>

struct inside_out;
struct script;

/* NULL: out of memory. */
struct inside_out *inside_out_new(struct script *script,
				  void (*fn)(void *arg, const char *text, size_t len), void *arg);
void inside_out_free(struct inside_out *out); /* NULL is fine */
/* print(), io.write(), io.stdout, io.stderr and C's stdio from here on ... */
void inside_out_take(struct inside_out *out);
/* ... to here. */
void inside_out_give_back(struct inside_out *out);

#endif
