/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <sys/epoll.h>
#include <lauxlib.h>
#include "cmd_redirect_host.h"
#include "loop.h"
#include "lua_redirect.h"
#include "luax.h"
#include "redirect_view.h"
#include "script.h"
#include "util.h"

/* What failed, as two values: nil and the message, with a hint on a line of its own. */
static int push_failure(lua_State *L, const struct err *err)
{
	lua_pushnil(L);
	if (*err->hint)
		lua_pushfstring(L, "%s\nhint: %s", err->msg, err->hint);
	else
		lua_pushstring(L, err->msg);
	return 2;
}

static int push_done(lua_State *L, int rc, const struct err *err)
{
	if (rc)
		return push_failure(L, err);
	lua_pushboolean(L, 1);
	return 1;
}

/* host.check(name) -> true, or nil and why a redirect can't be started by that name */
static int l_check(lua_State *L)
{
	struct err err;

	return push_done(L, redirect_name_check(luaL_checkstring(L, 1), &err), &err);
}

/* host.publish(r, name or nil, scope) -> true, or nil and why not: shows it to other processes */
static int l_publish(lua_State *L)
{
	struct redirect *r = lua_redirect_of(L, 1, "host.publish");
	const char *name = luaL_optstring(L, 2, NULL);
	struct err err;

	return push_done(L, redirect_publish(r, name, luaL_checkstring(L, 3), &err), &err);
}

static void set_integer(lua_State *L, const char *name, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, name);
}

static void set_boolean(lua_State *L, const char *name, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, name);
}

static void append(lua_State *L)
{
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* A redirect as a table, added to the list on top. */
static void add_view(void *arg, const struct redirect_view *view)
{
	struct redirect_stats stats;
	lua_State *L = arg;

	lua_newtable(L);
	if (view->info.name[0])
		luax_set_text(L, "name", view->info.name);
	set_integer(L, "pid", view->info.pid);
	set_boolean(L, "alive", view->alive);
	set_boolean(L, "goes_on", view->goes_on);
	set_boolean(L, "pinned", view->pinned);
	set_integer(L, "since", (lua_Integer)view->info.since_s);
	luax_set_text(L, "scope", view->info.scope);
	redirect_view_stats(view, &stats);
	lua_redirect_set_stats(L, &stats);
	lua_newtable(L);
	redirect_view_each(view, lua_redirect_add_flow, L);
	redirect_view_each_refused(view, lua_redirect_add_refused, L);
	lua_setfield(L, -2, "connections");
	append(L);
}

/* host.list() -> list of redirects, and nil or why there may be more that can't be seen */
static int l_list(lua_State *L)
{
	struct err err;

	luaL_checkstack(L, 24, NULL);
	lua_newtable(L);
	if (redirect_views(add_view, L, &err) == 0)
		return 1;
	lua_pushstring(L, err.msg);
	return 2;
}

static void push_ended(lua_State *L, const struct redirect_ended *ended)
{
	lua_newtable(L);
	luax_set_text(L, "name", ended->name);
	set_integer(L, "pid", ended->pid);
	set_integer(L, "left", ended->left);
	set_boolean(L, "was_dead", ended->was_dead);
}

static uint64_t seconds_at(lua_State *L, int index)
{
	return (uint64_t)(luaL_checknumber(L, index) * 1e9);
}

/* host.stop(name, seconds) -> { name=, pid=, left=, was_dead= }, or nil and why not */
static int l_stop(lua_State *L)
{
	struct redirect_ended ended;
	struct err err;

	if (redirect_end(luaL_checkstring(L, 1), seconds_at(L, 2), &ended, &err))
		return push_failure(L, &err);
	push_ended(L, &ended);
	return 1;
}

static void add_ended(void *arg, const struct redirect_ended *ended)
{
	push_ended(arg, ended);
	append(arg);
}

/* host.clean(seconds) -> list of what was removed, as by stop, or nil and why not */
static int l_clean(lua_State *L)
{
	uint64_t timeout_ns = seconds_at(L, 1);
	struct err err;

	luaL_checkstack(L, 8, NULL);
	lua_newtable(L);
	return redirect_clean(timeout_ns, add_ended, L, &err) ? push_failure(L, &err) : 1;
}

static void on_output_gone(void *arg, uint32_t events)
{
	(void)events;
	loop_stop(arg);
}

/* host.watch_output(): bpf.run() returns "stopped" once nobody can read standard output any more */
static int l_watch_output(lua_State *L)
{
	struct redirect_host *host = lua_touserdata(L, lua_upvalueindex(1));
	struct loop *loop = script_loop(script_of(L));

	/* what can't lose its reader, as a file, can't be waited for */
	if (!host->output)
		host->output = loop_watch(loop, STDOUT_FILENO, EPOLLERR, on_output_gone, loop);
	return 0;
}

/* host.ready() -> boolean */
static int l_ready(lua_State *L)
{
	const struct redirect_host *host = lua_touserdata(L, lua_upvalueindex(1));

	lua_pushboolean(L, host->ready());
	return 1;
}

/* host.done(status): the command has ended with that exit status */
static int l_done(lua_State *L)
{
	struct redirect_host *host = lua_touserdata(L, lua_upvalueindex(1));

	host->status = (int)luaL_checkinteger(L, 1);
	return 0;
}

void redirect_host_push(lua_State *L, struct redirect_host *host)
{
	static const luaL_Reg functions[] = { { "check", l_check }, { "publish", l_publish },
					      { "list", l_list },   { "stop", l_stop },
					      { "clean", l_clean }, { NULL, NULL } };

	luaL_newlib(L, functions);
	lua_pushlightuserdata(L, host);
	lua_pushcclosure(L, l_watch_output, 1);
	lua_setfield(L, -2, "watch_output");
	lua_pushlightuserdata(L, host);
	lua_pushcclosure(L, l_ready, 1);
	lua_setfield(L, -2, "ready");
	lua_pushlightuserdata(L, host);
	lua_pushcclosure(L, l_done, 1);
	lua_setfield(L, -2, "done");
	set_boolean(L, "verbose", host->verbose);
	set_boolean(L, "quiet", host->quiet);
	set_boolean(L, "detached", host->detached);
}
