/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How events get from a probe to Lua: handlers with a table or with arguments, and p:events(). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "loop.h"
#include "lua_bpf.h"
#include "lua_pod.h"
#include "lua_probe.h"
#include "luax.h"
#include "script.h"
#include "util.h"

#define MAX_ARGS   32
#define MAX_QUEUED 65536

/* Takes over a list of n fields as the arguments; n 0 means one table. */
static void set_args(lua_State *L, struct listener *to, const struct field *const *args, int n)
{
	const struct field **copy = NULL;
	bool pods = false;

	for (int i = 0; i < n; i++)
		pods |= lua_pod_is_field(args[i]);
	if (pods) /* now: those that come before the first event have to be known, too */
		lua_pod_start(L);

	if (n) {
		copy = malloc(sizeof(*copy) * (size_t)n);
		if (!copy)
			luaL_error(L, "out of memory");
		memcpy(copy, args, sizeof(*copy) * (size_t)n);
	}
	free(to->args);
	to->args = copy;
	to->nr_args = n;
}

static bool is_pod_member(const struct lprobe *lp, const char *name)
{
	return lp->shape.pod.cgroup && lua_pod_field(name);
}

static const struct field *find_field(lua_State *L, struct lprobe *lp, const char *name,
				      const char *where)
{
	const struct field *field = layout_field(probe_layout(lp->probe), name);
	struct err err;

	if (!field && is_pod_member(lp, name))
		field = lua_pod_field(name);
	if (!field) {
		layout_no_field(probe_layout(lp->probe), name, &err);
		err_prefix(&err, "probe '%s'", probe_name(lp->probe));
		luax_throw(L, &err, where);
	}
	return field;
}

static void args_from_list(lua_State *L, struct lprobe *lp, int index, struct listener *to,
			   const char *where)
{
	const struct field *args[MAX_ARGS];
	lua_Integer n;

	if (!lua_istable(L, index))
		luax_bad_option(L, where, "fields", "a list of field names", index);
	n = luaL_len(L, index);
	if (n < 1 || n > MAX_ARGS)
		luaL_error(L, "%s: bad option \"fields\": expected 1 to %d names, got %I", where,
			   MAX_ARGS, (LUAI_UACINT)n);
	for (lua_Integer i = 1; i <= n; i++) {
		if (lua_geti(L, index, i) != LUA_TSTRING)
			luax_bad_option(L, where, "fields", "a list of field names", -1);
		args[i - 1] = find_field(L, lp, lua_tostring(L, -1), where);
		lua_pop(L, 1);
	}
	set_args(L, to, args, (int)n);
}

void lprobe_set_fields(lua_State *L, struct lprobe *lp, int index, const char *where)
{
	if (lua_isnil(L, index))
		return;
	args_from_list(L, lp, index, &lp->handler, where);
	lp->args_fixed = true;
}

/*
 * function(comm, daddr): a handler whose first parameter is called like a field wants fields as
 * arguments, and then all its parameters have to be fields. Any other name gets the table.
 */
static void args_from_names(lua_State *L, struct lprobe *lp, int index, struct listener *to,
			    const char *where)
{
	const struct layout *layout = probe_layout(lp->probe);
	const struct field *args[MAX_ARGS];
	const char *name;
	int n = 0;

	for (;;) {
		lua_pushvalue(L, index);
		name = lua_getlocal(L, NULL, n + 1); /* of a function on top: a parameter's name */
		lua_pop(L, 1);
		if (!name || (n == 0 && !layout_field(layout, name) && !is_pod_member(lp, name)))
			break;
		if (n == MAX_ARGS)
			luaL_error(L, "%s: more than %d parameters", where, MAX_ARGS);
		args[n++] = find_field(L, lp, name, where);
	}
	set_args(L, to, args, n);
}

void lprobe_read_args(lua_State *L, struct lprobe *lp, int index, int fields, struct listener *to,
		      const char *where)
{
	if (!lua_isnoneornil(L, fields))
		args_from_list(L, lp, fields, to, where);
	else if (!lua_iscfunction(L, index))
		args_from_names(L, lp, index, to, where);
}

void listener_free(lua_State *L, struct listener *listener)
{
	luaL_unref(L, LUA_REGISTRYINDEX, listener->function);
	free(listener->args);
	*listener = (struct listener){ .function = LUA_NOREF };
}

void lprobe_set_handler(lua_State *L, struct lprobe *lp, int index, const char *where)
{
	int ref;

	if (lua_isnoneornil(L, index)) {
		luaL_unref(L, LUA_REGISTRYINDEX, lp->handler.function);
		lp->handler.function = LUA_NOREF;
		return;
	}
	if (!lp->args_fixed && !lua_iscfunction(L, index))
		args_from_names(L, lp, index, &lp->handler, where);
	lua_pushvalue(L, index);
	ref = luaL_ref(L, LUA_REGISTRYINDEX);
	luaL_unref(L, LUA_REGISTRYINDEX, lp->handler.function);
	lp->handler.function = ref;
}

/* [-0, +1] */
static void push_arg(lua_State *L, const struct lprobe *lp, const struct field *field,
		     const void *event)
{
	if (lua_pod_is_field(field))
		lua_pod_push(L, &lp->shape.pod, event, field);
	else
		event_push_field(L, field, event);
}

/* [-0, +n] raises for lack of memory; there is room for ROUND_STACK values */
static int push_event(lua_State *L, const struct lprobe *lp, const struct listener *to,
		      const void *event)
{
	if (!to->nr_args) {
		event_push(L, &lp->shape, event);
		return 1;
	}
	for (int i = 0; i < to->nr_args; i++)
		push_arg(L, lp, to->args[i], event);
	return to->nr_args;
}

/* [-0, +0] raises what the function raises */
static void call_listener(lua_State *L, const struct lprobe *lp, const struct listener *to,
			  const void *event)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, to->function);
	lua_call(L, push_event(L, lp, to, event), 0);
}

/* What is called from C, so that lack of memory while the event is made is an error like others. */
static int deliver(lua_State *L)
{
	const struct lprobe *lp = lua_touserdata(L, 1);
	const struct listener *to = lua_touserdata(L, 2);
	const void *event = lua_touserdata(L, 3);

	luaL_checkstack(L, ROUND_STACK, "event");
	call_listener(L, lp, to, event);
	return 0;
}

static void call_alone(struct lprobe *lp, const struct listener *to, const void *event)
{
	lua_State *L = script_callback_state(lp->script);
	bool outer = lp->in_handler;

	if (script_error(lp->script) || !lua_checkstack(L, ROUND_STACK))
		return;
	lp->in_handler = true;
	lua_pushcfunction(L, deliver);
	lua_pushlightuserdata(L, lp);
	lua_pushlightuserdata(L, (void *)to);
	lua_pushlightuserdata(L, (void *)event);
	script_call(lp->script, L, 3, 0);
	lp->in_handler = outer;
}

void lprobe_call(struct lprobe *lp, const struct listener *to, const void *event)
{
	lua_State *L = script_enter_handler(lp->script, &lp->in_handler);

	script_set_label(lp->script, probe_name(lp->probe));
	if (!L) {
		call_alone(lp, to, event);
		return;
	}
	call_listener(L, lp, to, event);
	script_leave_handler(lp->script);
}

/* queue[last + 1] = {event's values}; for one table, the table itself */
static int enqueue(lua_State *L)
{
	struct lprobe *lp = lua_touserdata(L, 1);
	const void *event = lua_touserdata(L, 2);

	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, lp->queue);
	if (lp->handler.nr_args) {
		lua_createtable(L, lp->handler.nr_args, 0);
		for (int i = 0; i < lp->handler.nr_args; i++) {
			push_arg(L, lp, lp->handler.args[i], event);
			lua_rawseti(L, 2, i + 1);
		}
	} else {
		event_push(L, &lp->shape, event);
	}
	lua_rawseti(L, 1, ++lp->queue_last);
	return 0;
}

void lprobe_enqueue(struct lprobe *lp, const void *event)
{
	lua_State *L = script_callback_state(lp->script);

	loop_stop(script_loop(lp->script));
	/* events() that nobody reads on, as after a break, must not eat all memory */
	if (lp->queue_last - lp->queue_first >= MAX_QUEUED || !lua_checkstack(L, 8)) {
		lp->unread++;
		return;
	}
	lua_pushcfunction(L, enqueue);
	lua_pushlightuserdata(L, lp);
	lua_pushlightuserdata(L, (void *)event);
	script_call(lp->script, L, 2, 0);
}

/* [-0, +n] the oldest in the queue */
static int dequeue(lua_State *L, struct lprobe *lp)
{
	int n = lp->handler.nr_args;

	lua_rawgeti(L, LUA_REGISTRYINDEX, lp->queue);
	lua_rawgeti(L, -1, ++lp->queue_first);
	lua_pushnil(L);
	lua_rawseti(L, -3, lp->queue_first);
	lua_remove(L, -2); /* the queue */
	if (!n)
		return 1;
	for (int i = 1; i <= n; i++)
		lua_rawgeti(L, -i, i);
	return n;
}

/* The iterator: upvalue 1 the Probe, 2 the time (bpf.now) when it ends, 0 for never. */
static int next_event(lua_State *L)
{
	struct lprobe *lp = luaL_checkudata(L, lua_upvalueindex(1), PROBE_CLASS);
	uint64_t end_ns = (uint64_t)lua_tointeger(L, lua_upvalueindex(2)), now;
	double left = -1;

	for (;;) {
		if (!lp->probe || lp->queue == LUA_NOREF)
			return 0;
		if (lp->queue_first < lp->queue_last)
			return dequeue(L, lp);
		now = now_ns();
		if (end_ns && now >= end_ns)
			return 0;
		if (end_ns)
			left = (double)(end_ns - now) / 1e9;
		/* "stopped" may be an event in the queue, or bpf.stop() */
		if (!str_eq(lua_run_loop(L, left, "probe:events"), "stopped") ||
		    lp->queue_first == lp->queue_last) {
			if (lp->queue_first == lp->queue_last)
				return 0;
		}
	}
}

/* __close of the loop's closing value: the handler is in charge again. */
static int end_events(lua_State *L)
{
	struct lprobe *lp = lua_touserdata(L, lua_upvalueindex(1));

	luaL_unref(L, LUA_REGISTRYINDEX, lp->queue);
	lp->queue = LUA_NOREF;
	if (lp->probe)
		lprobe_update_aggs(L, lp, "probe:events");
	return 0;
}

/* p:events([seconds]) -> for comm, daddr in p:events(5) do ... end */
int lprobe_events(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:events");
	double seconds;

	if (!lua_isnoneornil(L, 2))
		luax_expect(L, 2, LUA_TNUMBER, "probe:events", "seconds");
	seconds = luaL_optnumber(L, 2, 0);

	lua_settop(L, 1);
	luaL_unref(L, LUA_REGISTRYINDEX, lp->queue);
	lp->queue = LUA_NOREF;
	lua_newtable(L);
	lp->queue = luaL_ref(L, LUA_REGISTRYINDEX);
	lp->queue_first = lp->queue_last = 0;
	lprobe_update_aggs(L, lp, "probe:events");
	lua_pushvalue(L, 1);
	lua_pushinteger(L, seconds > 0 ? (lua_Integer)(now_ns() + (uint64_t)(seconds * 1e9)) : 0);
	lua_pushcclosure(L, next_event, 2);
	lua_pushnil(L);
	lua_pushnil(L);
	lua_newtable(L); /* closing value */
	lua_newtable(L);
	lua_pushvalue(L, 1);
	lua_pushcclosure(L, end_events, 1);
	lua_setfield(L, -2, "__close");
	lua_setmetatable(L, -2);
	return 4;
}
