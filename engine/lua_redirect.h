/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_redirect.h - the options of bpf.redirect{...} on their way from Lua to the engine. */
#ifndef BPFNET_LUA_REDIRECT_H
#define BPFNET_LUA_REDIRECT_H

#include <lua.h>
#include "redirect.h"

#define REDIRECT_LIST 64

struct redirect_lists {
	char *cgroups[REDIRECT_LIST];
	struct port_range ports[REDIRECT_LIST];
	struct port_range excluded[REDIRECT_LIST];
	int pids[REDIRECT_LIST];
	int excluded_pids[REDIRECT_LIST];
};

/*
 * Reads the options in the table at index; lists get what opts points to. raises, so the caller keeps lists where
 * lua_redirect_free_lists() is sure to be called.
 */
void lua_redirect_opts(lua_State *L, int index, struct redirect_opts *opts,
		       struct redirect_lists *lists);
void lua_redirect_free_lists(struct redirect_lists *lists);

/* The redirect of the bpf.Redirect at index; raises if it is closed, naming `where`. */
struct redirect *lua_redirect_of(lua_State *L, int index, const char *where);
/* Numbers as members of the table on top. */
void lua_redirect_set_stats(lua_State *L, const struct redirect_stats *stats);
/* For redirect_each() and redirect_each_refused(): append to the list on top of arg, a lua_State. */
void lua_redirect_add_flow(void *arg, uint64_t cookie, const struct redirect_flow *flow);
void lua_redirect_add_refused(void *arg, uint64_t cookie, const struct redirect_refusal *refusal);

#endif
