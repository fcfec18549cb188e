/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * modules.h - the Lua files and scripts that travel inside the binary.
 *
 * When the binary is run from the source tree, lua/ and scripts/ there are used instead.
 */
#ifndef BPFNET_MODULES_H
#define BPFNET_MODULES_H

#include <lua.h>
#include <stddef.h>

struct embedded {
	const char *name; /* "bpfnet.hist", or a script's "tcplife" */
	const char *start;
	const char *end;
};

extern const struct embedded embedded_modules[]; /* both end with a NULL name */
extern const struct embedded embedded_scripts[];

/* require finds bpfnet.* and cjson. raises */
void modules_install(lua_State *L);
/*
 * Of a chunk's source (lua_Debug): "bpfnet/hist.lua" if it is a module of ours, else NULL. Those of the
 * source tree and those inside are called the same.
 */
const char *module_file(const char *source);
/* The shipped script of that name, NULL if there is none. */
const struct embedded *script_find(const char *name);
/* Path of the script in the source tree, if that is where we run; else NULL. */
const char *script_source_path(const char *name);

#endif
