/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The class bpf.Timer: bpf.every(seconds, f), bpf.after(seconds, f). */
#include <lauxlib.h>
#include "loop.h"
#include "lua_bpf.h"
#include "luax.h"
#include "script.h"

#define TIMER_CLASS "bpf.Timer"

struct ltimer {
	struct script *script;
	struct loop_timer *timer; /* NULL: closed */
	int function; /* registry */
	int self; /* registry: alive until closed */
	bool once;
	bool holds; /* the loop */
};

/* The loop is idle without it. */
static void let_go(struct ltimer *t)
{
	if (t->holds)
		loop_release(script_loop(t->script));
	t->holds = false;
}

static void close_timer(lua_State *L, struct ltimer *t)
{
	if (!t->timer)
		return;
	loop_timer_free(t->timer);
	t->timer = NULL;
	let_go(t);
	luaL_unref(L, LUA_REGISTRYINDEX, t->function);
	luaL_unref(L, LUA_REGISTRYINDEX, t->self);
}

/* t:close(), __gc, __close */
static int l_close(lua_State *L)
{
	close_timer(L, luax_check_self(L, 1, TIMER_CLASS, "timer:close"));
	return 0;
}

/* t:background() -> t: bpf.run() does not go on for this timer alone */
static int l_background(lua_State *L)
{
	let_go(luax_check_self(L, 1, TIMER_CLASS, "timer:background"));
	lua_settop(L, 1);
	return 1;
}

static void on_time(void *arg)
{
	struct ltimer *t = arg;
	lua_State *L = script_callback_state(t->script);

	if (!lua_checkstack(L, 8))
		return;
	/* The function stays on the stack, so closing the timer from within is harmless. */
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->self);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->function);
	if (t->once)
		close_timer(L, t);
	script_set_label(t->script, "a timer");
	script_call(t->script, L, 0, 0);
	lua_pop(L, 1); /* self */
}

static int new_timer(lua_State *L, bool once, const char *where)
{
	lua_Number seconds = lua_tonumber(L, 1);
	struct ltimer *t;

	luax_expect(L, 1, LUA_TNUMBER, where, "seconds");
	luax_expect(L, 2, LUA_TFUNCTION, where, "a function");
	/* the negation also catches NaN; a period of 0 would starve all else */
	if (!(seconds >= (once ? 0 : 0.001)) || seconds > 1e9)
		luaL_error(L, "%s: expected seconds from %s to 1e9, got %s", where,
			   once ? "0" : "0.001", luaL_tolstring(L, 1, NULL));
	t = lua_newuserdatauv(L, sizeof(*t), 0);
	*t = (struct ltimer){ .script = script_of(L), .once = once };
	luaL_setmetatable(L, TIMER_CLASS);
	lua_pushvalue(L, 2);
	t->function = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushvalue(L, -1);
	t->self = luaL_ref(L, LUA_REGISTRYINDEX);
	t->timer = loop_timer_new(script_loop(t->script), on_time, t);
	if (!t->timer)
		luaL_error(L, "%s: out of memory", where);
	loop_hold(script_loop(t->script));
	t->holds = true;
	loop_timer_set(t->timer, (uint64_t)(seconds * 1e9), once ? 0 : (uint64_t)(seconds * 1e9));
	return 1;
}

int lua_timer_every(lua_State *L)
{
	return new_timer(L, false, "bpf.every");
}

int lua_timer_after(lua_State *L)
{
	return new_timer(L, true, "bpf.after");
}

static int l_tostring(lua_State *L)
{
	struct ltimer *t = luaL_checkudata(L, 1, TIMER_CLASS);

	lua_pushstring(L, t->timer ? "Timer (running)" : "Timer (closed)");
	return 1;
}

void lua_timer_install(lua_State *L)
{
	static const luaL_Reg methods[] = { { "close", l_close },
					    { "background", l_background },
					    { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", l_tostring }, { NULL, NULL } };

	luax_class(L, TIMER_CLASS, methods, meta, l_close);
}
