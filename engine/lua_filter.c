/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Of the class bpf.Probe: filters, those by the container of an event among them. */
#include <errno.h>
#include <lauxlib.h>
#include "lua_pod.h"
#include "lua_probe.h"
#include "luax.h"
#include "script.h"
#include "util.h"

/* One value, or each of a list, under `name`. False: err says why. */
static bool add_filter(lua_State *L, struct filter *filter, const char *name, struct err *err)
{
	struct value value;

	if (!lua_istable(L, -1)) {
		if (luax_to_value(L, -1, &value))
			return filter_add(filter, name, &value, err) == 0;
		err_set(err, -EINVAL, "filter \"%s\": expected a value or a list, got %s", name,
			luax_typename(L, -1));
		return false;
	}
	for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, -1); i <= n; i++) {
		lua_rawgeti(L, -1, i);
		bool ok = luax_to_value(L, -1, &value) && value.type != VALUE_NIL;

		if (!ok)
			err_set(err, -EINVAL, "filter \"%s\": value %d is a %s", name, (int)i,
				luax_typename(L, -1));
		ok = ok && filter_add(filter, name, &value, err) == 0;
		lua_pop(L, 1);
		if (!ok)
			return false;
	}
	if (lua_rawlen(L, -1) == 0) {
		err_set(err, -EINVAL, "filter \"%s\": the list is empty, nothing could pass", name);
		return false;
	}
	return true;
}

/* Is the word at the top one for bpfnet.pod, and has the probe a use for it? */
static bool is_pod_word(lua_State *L, int index, const struct lprobe *lp)
{
	return lua_type(L, index) == LUA_TSTRING && filter_is_pod_word(lua_tostring(L, index)) &&
	       filter_kinds_pod(probe_filter_kinds(lp->probe));
}

/* What is decided already, from the table of verdicts at index. What finds no room stays undecided. */
static void add_verdicts(lua_State *L, struct filter *filter, int index)
{
	bool room = true;

	filter_use_pod(filter);
	lua_pushnil(L);
	while (lua_next(L, index)) {
		room = room && filter_add_pod(filter, (uint64_t)lua_tointeger(L, -2),
					      (enum pod_verdict)lua_tointeger(L, -1)) == 0;
		lua_pop(L, 1);
	}
}

/*
 * From the table at index; verdicts: index of what lua_pod_filter() gave, or 0. Nothing here may raise: the
 * filter would leak. lua_next on a plain table with a good key can't.
 */
static struct filter *make_filter(lua_State *L, struct lprobe *lp, int index, int verdicts,
				  struct err *err)
{
	struct filter *filter = filter_new(probe_filter_kinds(lp->probe));
	bool ok = true;

	if (!filter) {
		err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	lua_pushnil(L);
	while (ok && lua_next(L, index)) {
		if (lua_type(L, -2) != LUA_TSTRING) {
			err_set(err, -EINVAL, "filters have names, got a key of type %s",
				luax_typename(L, -2));
			ok = false;
		} else if (!is_pod_word(L, -2, lp)) {
			ok = add_filter(L, filter, lua_tostring(L, -2), err);
		}
		lua_pop(L, 1);
	}
	if (ok) {
		if (verdicts)
			add_verdicts(L, filter, verdicts);
		return filter;
	}
	filter_free(filter);
	return NULL;
}

/* As filter_passes_pod() of bpf/filter.h: of an event's cgroup, or else of its task's. [-0, +0] */
static enum pod_verdict find_verdict(lua_State *L, const struct lprobe *lp, const void *event)
{
	const struct pod_fields *pod = &lp->shape.pod;
	lua_Integer verdict, task;

	lua_rawgeti(L, LUA_REGISTRYINDEX, lp->verdicts);
	lua_rawgeti(L, -1, (lua_Integer)pod_fields_get(pod->cgroup, event));
	lua_rawgeti(L, -2, (lua_Integer)pod_fields_get(pod->task_cgroup, event));
	verdict = lua_tointeger(L, -2); /* 0 for nil */
	task = lua_tointeger(L, -1);
	lua_pop(L, 3);
	return (enum pod_verdict)(verdict >= POD_NONE && task < POD_NONE ? task : verdict);
}

/* judge(cgroup, task_cgroup, netns, netns_cookie) -> boolean. [-0, +1] raises what it raises */
static void call_judge(lua_State *L, const struct lprobe *lp, const void *event)
{
	const struct pod_fields *pod = &lp->shape.pod;

	lua_rawgeti(L, LUA_REGISTRYINDEX, lp->judge);
	lua_pushinteger(L, (lua_Integer)pod_fields_get(pod->cgroup, event));
	lua_pushinteger(L, (lua_Integer)pod_fields_get(pod->task_cgroup, event));
	lua_pushinteger(L, (lua_Integer)pod_fields_get(pod->netns, event));
	lua_pushinteger(L, (lua_Integer)pod_fields_get(pod->netns_cookie, event));
	lua_call(L, 4, 1);
}

static int judge_alone(lua_State *L)
{
	call_judge(L, lua_touserdata(L, 1), lua_touserdata(L, 2));
	return 1;
}

static bool judge(struct lprobe *lp, const void *event)
{
	bool wanted, outer = lp->in_handler;
	lua_State *L = script_enter_handler(lp->script, &lp->in_handler);

	if (L) {
		call_judge(L, lp, event);
		script_leave_handler(lp->script);
		lp->in_handler = outer;
	} else {
		L = script_callback_state(lp->script);
		if (script_error(lp->script))
			return false;
		lua_pushcfunction(L, judge_alone);
		lua_pushlightuserdata(L, lp);
		lua_pushlightuserdata(L, (void *)event);
		if (!script_call(lp->script, L, 2, 1))
			return false;
	}
	wanted = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return wanted;
}

/* For probe_set_wants(): what passed in the kernel may still be of a container that is not wanted. */
static bool wants(void *arg, const void *event)
{
	struct lprobe *lp = arg;
	lua_State *L = script_callback_state(lp->script);

	if (lp->verdicts == LUA_NOREF || !lua_checkstack(L, ROUND_STACK))
		return true;
	switch (find_verdict(L, lp, event)) {
	case POD_WANTED:
	case POD_NONE_WANTED:
		return true;
	case POD_UNDECIDED:
		return judge(lp, event);
	default:
		return false;
	}
}

static void replace_ref(lua_State *L, int *ref, int index)
{
	luaL_unref(L, LUA_REGISTRYINDEX, *ref);
	*ref = LUA_NOREF;
	if (!index)
		return;
	lua_pushvalue(L, index);
	*ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void lprobe_set_filter(lua_State *L, struct lprobe *lp, int self, int index, const char *where)
{
	struct filter *filter;
	struct err err;
	int ref, verdicts = 0, top = lua_gettop(L);

	if (lua_isnil(L, index))
		return;
	if (!lua_istable(L, index))
		luax_bad_option(L, where, "filter", "a table like {pid = 42}", index);
	if (filter_kinds_pod(probe_filter_kinds(lp->probe)) && lua_pod_asked(L, index)) {
		lua_pod_filter(L, self, index);
		verdicts = top + 1;
	}
	lua_pushvalue(L, index);
	ref = luaL_ref(L, LUA_REGISTRYINDEX);
	filter = make_filter(L, lp, index, verdicts, &err);
	if (!filter || probe_set_filter(lp->probe, filter, &err)) {
		luaL_unref(L, LUA_REGISTRYINDEX, ref);
		err_prefix(&err, "probe '%s'", probe_name(lp->probe));
		luax_throw(L, &err, where);
	}
	luaL_unref(L, LUA_REGISTRYINDEX, lp->filter);
	lp->filter = ref;
	replace_ref(L, &lp->verdicts, verdicts);
	replace_ref(L, &lp->judge, verdicts ? verdicts + 1 : 0);
	/* Packets are decided on by their namespace, in the kernel alone. */
	probe_set_wants(lp->probe, verdicts && lp->shape.pod.task_cgroup ? wants : NULL);
	lua_settop(L, top);
}

/*
 * p:_verdict(verdicts, key, verdict) -> boolean: a container has come, gone or changed. False: the table is
 * not that of the filter in force, so its owner need not tell any more. For bpfnet.pod_filter.
 */
int lprobe_verdict(lua_State *L)
{
	struct lprobe *lp = luaL_checkudata(L, 1, PROBE_CLASS);
	bool current = lp->probe && !lp->close_later && lp->verdicts != LUA_NOREF;

	if (current) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, lp->verdicts);
		current = lua_rawequal(L, -1, 2);
	}
	if (current)
		probe_set_pod(lp->probe, (uint64_t)luaL_checkinteger(L, 3),
			      (enum pod_verdict)luaL_checkinteger(L, 4));
	lua_pushboolean(L, current);
	return 1;
}
