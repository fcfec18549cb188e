/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The class bpf.Redirect: bpf.redirect{...}. */
#include <arpa/inet.h>
#include <lauxlib.h>
#include "loop.h"
#include "lua_bpf.h"
#include "lua_redirect.h"
#include "luax.h"
#include "script.h"
#include "util.h"

#define REDIRECT_CLASS "bpf.Redirect"
#define STOP_SECONDS   2.0

struct lredirect {
	struct script *script;
	struct redirect *redirect; /* NULL: closed */
	struct redirect_lists lists; /* only while it starts; here so that __gc frees them */
	int handler; /* registry */
	int self; /* registry: alive until closed */
};

static struct lredirect *check_at(lua_State *L, int index, const char *where)
{
	struct lredirect *lr = luax_check_self(L, index, REDIRECT_CLASS, where);

	if (!lr->redirect)
		luaL_error(L, "%s: the redirect is closed", where);
	return lr;
}

static struct lredirect *check(lua_State *L, const char *where)
{
	return check_at(L, 1, where);
}

struct redirect *lua_redirect_of(lua_State *L, int index, const char *where)
{
	return check_at(L, index, where)->redirect;
}

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
	lua_pushinteger(L, (lua_Integer)value);
	lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *text)
{
	if (!*text)
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

static void set_address(lua_State *L, const char *name, const uint8_t *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];

	if (memcmp(addr, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, addr + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, addr, text, sizeof(text));
	set_string(L, name, text);
}

static void set_tuple(lua_State *L, const struct redirect_tuple *t)
{
	set_address(L, "saddr", t->saddr);
	set_integer(L, "sport", t->sport);
	set_address(L, "daddr", t->daddr);
	set_integer(L, "dport", t->dport);
	set_integer(L, "netns", t->netns);
}

static void set_counters(lua_State *L, const struct redirect_flow *flow)
{
	set_integer(L, "tx_redirected_bytes", flow->redirected_bytes);
	set_integer(L, "tx_redirected_msgs", flow->redirected_msgs);
	set_integer(L, "tx_passed_bytes", flow->passed_bytes);
	set_integer(L, "tx_passed_msgs", flow->passed_msgs);
}

static void push_event(lua_State *L, const struct redirect_notice *n,
		       const struct redirect_flow *flow)
{
	static const char *const names[] = { [NOTICE_TAKEN] = "taken",
					     [NOTICE_REFUSED] = "refused",
					     [NOTICE_LEAVING] = "let go",
					     [NOTICE_CLOSED] = "closed" };

	lua_newtable(L);
	set_string(L, "event", names[n->kind]);
	set_string(L, "why", redirect_why(n->why));
	set_integer(L, "ts_ns", n->ts_ns);
	set_integer(L, "cookie", n->cookie);
	set_integer(L, "peer", n->peer);
	set_tuple(L, &n->tuple);
	if (flow)
		set_counters(L, flow);
}

static void on_notice(void *arg, const struct redirect_notice *notice,
		      const struct redirect_flow *flow)
{
	struct lredirect *lr = arg;
	lua_State *L = script_callback_state(lr->script);

	if (lr->handler == LUA_NOREF || !lua_checkstack(L, 16))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, lr->self);
	lua_rawgeti(L, LUA_REGISTRYINDEX, lr->handler);
	push_event(L, notice, flow);
	script_call(lr->script, L, 1, 0);
	lua_pop(L, 1); /* self */
}

/* r:stop([seconds]) -> integer: connections that could not be let go within that time */
static int l_stop(lua_State *L)
{
	struct lredirect *lr = check(L, "r:stop");
	lua_Number seconds;

	if (!lua_isnoneornil(L, 2))
		luax_expect(L, 2, LUA_TNUMBER, "r:stop", "seconds");
	seconds = luaL_optnumber(L, 2, STOP_SECONDS);

	if (!(seconds >= 0 && seconds <= 3600))
		luaL_error(L, "r:stop: expected seconds from 0 to 3600, got %s",
			   luaL_tolstring(L, 2, NULL));
	lua_pushinteger(L, redirect_stop(lr->redirect, (uint64_t)(seconds * 1e9)));
	return 1;
}

static void close_redirect(lua_State *L, struct lredirect *lr)
{
	lua_redirect_free_lists(&lr->lists);
	if (!lr->redirect)
		return;
	redirect_free(lr->redirect);
	lr->redirect = NULL;
	loop_release(script_loop(lr->script));
	luaL_unref(L, LUA_REGISTRYINDEX, lr->handler);
	luaL_unref(L, LUA_REGISTRYINDEX, lr->self);
	lr->handler = LUA_NOREF;
}

/* r:close(), __gc, __close */
static int l_close(lua_State *L)
{
	close_redirect(L, luax_check_self(L, 1, REDIRECT_CLASS, "r:close"));
	return 0;
}

void lua_redirect_set_stats(lua_State *L, const struct redirect_stats *s)
{
	set_integer(L, "taken", s->taken);
	set_integer(L, "refused", s->refused);
	set_integer(L, "let_go", s->let_go);
	set_integer(L, "live", s->live);
	set_integer(L, "leaving", s->leaving);
	set_integer(L, "lost_notices", s->lost_notices);
	set_integer(L, "redirected_bytes", s->sent.redirected_bytes);
	set_integer(L, "redirected_msgs", s->sent.redirected_msgs);
	set_integer(L, "passed_bytes", s->sent.passed_bytes);
	set_integer(L, "passed_msgs", s->sent.passed_msgs);
}

/* r:stats() -> table of integers */
static int l_stats(lua_State *L)
{
	struct lredirect *lr = check(L, "r:stats");
	struct redirect_stats s;

	redirect_stats(lr->redirect, &s);
	lua_createtable(L, 0, 10);
	lua_redirect_set_stats(L, &s);
	return 1;
}

static void append(lua_State *L)
{
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

void lua_redirect_add_flow(void *arg, uint64_t cookie, const struct redirect_flow *flow)
{
	lua_State *L = arg;

	if (flow->mode == FLOW_CLOSED)
		return;
	lua_newtable(L);
	set_tuple(L, &flow->tuple);
	set_integer(L, "cookie", cookie);
	set_integer(L, "peer", flow->peer);
	set_string(L, "way", redirect_way(flow));
	set_string(L, "why", redirect_why(flow->why));
	set_counters(L, flow);
	append(L);
}

void lua_redirect_add_refused(void *arg, uint64_t cookie, const struct redirect_refusal *refusal)
{
	lua_State *L = arg;

	lua_newtable(L);
	set_tuple(L, &refusal->tuple);
	set_integer(L, "cookie", cookie);
	set_integer(L, "peer", refusal->peer);
	set_string(L, "way", "tcp");
	set_string(L, "why", redirect_why(refusal->why));
	append(L);
}

/* r:connections() -> list: each end that was taken, and one end of each that was refused */
static int l_connections(lua_State *L)
{
	struct lredirect *lr = check(L, "r:connections");

	luaL_checkstack(L, 16, NULL);
	lua_newtable(L);
	redirect_each(lr->redirect, lua_redirect_add_flow, L);
	redirect_each_refused(lr->redirect, lua_redirect_add_refused, L);
	return 1;
}

static void set_handler(lua_State *L, int index, struct lredirect *lr)
{
	int type = lua_getfield(L, index, "on_event");

	if (type != LUA_TNIL && type != LUA_TFUNCTION)
		luax_bad_option(L, "bpf.redirect", "on_event", "a function", -1);
	if (type == LUA_TFUNCTION) {
		lr->handler = luaL_ref(L, LUA_REGISTRYINDEX);
		return;
	}
	lua_pop(L, 1);
}

int lua_redirect(lua_State *L)
{
	struct redirect_opts opts = { 0 };
	struct lredirect *lr;
	struct err err;

	luax_expect(L, 1, LUA_TTABLE, "bpf.redirect", "a table of options");
	lua_settop(L, 1);
	lr = lua_newuserdatauv(L, sizeof(*lr), 0);
	*lr = (struct lredirect){ .script = script_of(L), .handler = LUA_NOREF };
	luaL_setmetatable(L, REDIRECT_CLASS);
	lua_redirect_opts(L, 1, &opts, &lr->lists);
	set_handler(L, 1, lr);
	if (redirect_start(&lr->redirect, script_loop(lr->script), &opts, &err))
		return luax_throw(L, &err, "bpf.redirect");
	redirect_on_notice(lr->redirect, on_notice, lr);
	lua_redirect_free_lists(&lr->lists);
	lua_pushvalue(L, 2);
	lr->self = luaL_ref(L, LUA_REGISTRYINDEX);
	loop_hold(script_loop(lr->script));
	lua_settop(L, 2);
	return 1;
}

static int l_tostring(lua_State *L)
{
	struct lredirect *lr = luaL_checkudata(L, 1, REDIRECT_CLASS);

	lua_pushstring(L, lr->redirect ? "Redirect (on)" : "Redirect (closed)");
	return 1;
}

void lua_redirect_install(lua_State *L)
{
	static const luaL_Reg methods[] = { { "stop", l_stop },
					    { "stats", l_stats },
					    { "connections", l_connections },
					    { "close", l_close },
					    { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", l_tostring }, { NULL, NULL } };

	luax_class(L, REDIRECT_CLASS, methods, meta, l_close);
}
