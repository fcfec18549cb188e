/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The class bpf.Probe: its life, its filter, its numbers. How events get out: lua_handler.c. */
#include <errno.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "log.h"
#include "loop.h"
#include "lua_bpf.h"
#include "lua_packets.h"
#include "lua_pod.h"
#include "lua_probe.h"
#include "luax.h"
#include "script.h"
#include "script_trace.h"
#include "tracer.h"
#include "util.h"

#define HOUSEKEEPING_NS NSEC_PER_SEC

struct lprobe *lprobe_check(lua_State *L, const char *where)
{
	struct lprobe *lp = luax_check_self(L, 1, PROBE_CLASS, where);

	if (!lp->probe || lp->close_later)
		luaL_error(L, "%s: the probe is closed", where);
	return lp;
}

static void tell_drops(struct lprobe *lp)
{
	uint64_t n = probe_new_drops(lp->probe);

	if (n)
		log_msg(LOG_WARN,
			"probe '%s': %llu events lost, the ring was full (hint: filter, "
			"give fields=, or a larger --buffer)",
			probe_name(lp->probe), (unsigned long long)n);
	n = probe_new_left(lp->probe);
	if (n)
		log_msg(LOG_WARN,
			"probe '%s': %llu events lost, their handler had not come to them %d s after the end",
			probe_name(lp->probe), (unsigned long long)n,
			(int)(TRACER_LAST_NS / NSEC_PER_SEC));
	n = lp->unread - lp->unread_told;
	lp->unread_told = lp->unread;
	if (n)
		log_msg(LOG_WARN, "probe '%s': %llu events lost, nobody read on from p:events()",
			probe_name(lp->probe), (unsigned long long)n);
}

/* The loop must not end while something is attached, nor a probe vanish that nobody refers to. */
static void hold(lua_State *L, struct lprobe *lp, int index)
{
	if (lp->held)
		return;
	lua_pushvalue(L, index);
	lp->self = luaL_ref(L, LUA_REGISTRYINDEX);
	if (!lp->background)
		loop_hold(script_loop(lp->script));
	lp->held = true;
}

static void release(lua_State *L, struct lprobe *lp)
{
	if (!lp->held)
		return;
	luaL_unref(L, LUA_REGISTRYINDEX, lp->self);
	if (!lp->background)
		loop_release(script_loop(lp->script));
	lp->held = false;
}

static void close_now(lua_State *L, struct lprobe *lp)
{
	if (!lp->probe)
		return;
	probe_detach(lp->probe);
	tell_drops(lp);
	event_shape_fini(L, &lp->shape); /* while there still is the layout */
	probe_close(lp->probe);
	lp->probe = NULL;
	loop_timer_free(lp->housekeeping);
	listener_free(L, &lp->handler);
	lprobe_free_taps(L, lp, true);
	luaL_unref(L, LUA_REGISTRYINDEX, lp->filter);
	luaL_unref(L, LUA_REGISTRYINDEX, lp->verdicts);
	luaL_unref(L, LUA_REGISTRYINDEX, lp->judge);
	luaL_unref(L, LUA_REGISTRYINDEX, lp->aggs);
	luaL_unref(L, LUA_REGISTRYINDEX, lp->queue);
	lp->filter = lp->aggs = lp->queue = lp->verdicts = lp->judge = LUA_NOREF;
	lp->close_later = false;
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, lp);
	release(L, lp);
}

/* Every second, and at once after a close from within the handler. */
static void housekeeping(void *arg)
{
	struct lprobe *lp = arg;

	if (lp->close_later) {
		close_now(script_callback_state(lp->script), lp);
		return;
	}
	tell_drops(lp);
	lprobe_free_taps(script_callback_state(lp->script), lp, false);
	lprobe_drop_closed_aggs(script_callback_state(lp->script), lp);
}

/* p:close(), __gc, __close */
static int l_close(lua_State *L)
{
	struct lprobe *lp = luax_check_self(L, 1, PROBE_CLASS, "probe:close");

	if (!lp->in_handler) {
		close_now(L, lp);
		return 0;
	}
	/* Its own handler closes it: its ring is being read, so the rest has to wait for the loop. */
	lp->close_later = true;
	lua_settop(L, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, lp); /* till then it lives, even if this is its __gc */
	probe_detach(lp->probe);
	loop_timer_set(lp->housekeeping, 0, 0);
	return 0;
}

static void on_event(void *arg, const void *event)
{
	struct lprobe *lp = arg;

	if (lp->close_later)
		return;
	if (lp->keep || lp->taps)
		lprobe_to_taps(lp, event);
	if (lp->close_later) /* a tap has closed it */
		return;
	if (lp->queue != LUA_NOREF)
		lprobe_enqueue(lp, event);
	else if (lp->handler.function != LUA_NOREF)
		lprobe_call(lp, &lp->handler, event);
}

/* [-0, +1] a closed Probe, so that whatever fails later, __gc finds a sane one */
static struct lprobe *push_closed(lua_State *L)
{
	struct lprobe *lp = lua_newuserdatauv(L, sizeof(*lp), 0);

	memset(lp, 0, sizeof(*lp));
	lp->script = script_of(L);
	lp->handler.function = LUA_NOREF;
	lp->filter = lp->aggs = lp->queue = lp->self = LUA_NOREF;
	lp->verdicts = lp->judge = LUA_NOREF;
	lp->shape.keys = lp->shape.meta = LUA_NOREF;
	luaL_setmetatable(L, PROBE_CLASS);
	return lp;
}

/* raises. Event tables, with or without the container's names. [-0, +0] */
static void init_shape(lua_State *L, struct lprobe *lp, int opts_index, const char *where)
{
	bool pods = lprobe_wants_pods(L, opts_index, where);

	event_shape_init(L, &lp->shape, probe_layout(lp->probe), probe_name(lp->probe), pods);
	if (pods && !lp->shape.pod.cgroup)
		luaL_error(L,
			   "%s: probe '%s' has no use for the option \"pods\": its events have no "
			   "cgroup",
			   where, probe_name(lp->probe));
	if (lp->shape.pods)
		lua_pod_start(L);
}

/* lp is the Probe on top of the stack */
static void open_probe(lua_State *L, struct lprobe *lp, const char *name, int opts_index,
		       const char *where)
{
	struct probe_opts opts;
	struct err err;
	int self = lua_gettop(L);

	lprobe_read_opts(L, opts_index, where, &opts);
	if (probe_open(&lp->probe, script_tracer(lp->script), name, &opts, on_event, lp, &err))
		luax_throw(L, &err, where);
	lua_pop(L, 1);
	lp->housekeeping = loop_timer_new(script_loop(lp->script), housekeeping, lp);
	if (!lp->housekeeping)
		luaL_error(L, "%s: out of memory", where);
	init_shape(L, lp, opts_index, where);
	if (!opts_index)
		return;
	lua_getfield(L, opts_index, "fields");
	lprobe_set_fields(L, lp, lua_gettop(L), where);
	lua_getfield(L, opts_index, "filter");
	lprobe_set_filter(L, lp, self, lua_gettop(L), where);
	lua_pop(L, 2);
	lprobe_set_stage(L, lp, opts_index, where);
	lua_packet_threshold(L, lp, opts_index, where);
}

static void attach(lua_State *L, struct lprobe *lp, int index, const char *where)
{
	struct err err;

	if (probe_attach(lp->probe, &err))
		luax_throw(L, &err, where);
	loop_timer_set(lp->housekeeping, HOUSEKEEPING_NS, HOUSEKEEPING_NS);
	hold(L, lp, index);
}

/* name [, opts] [, on_event]: leaves the Probe on the stack */
static struct lprobe *from_args(lua_State *L, const char *where)
{
	int opts = lua_istable(L, 2) ? 2 : 0, handler = opts || lua_isnoneornil(L, 2) ? 3 : 2;
	struct lprobe *lp;
	const char *name;

	luax_expect(L, 1, LUA_TSTRING, where, "the name of a probe");
	name = lua_tostring(L, 1);
	if (!lua_isnoneornil(L, handler) && !lua_isfunction(L, handler))
		luaL_error(L, "%s: expected a function or an options table, got %s", where,
			   luax_typename(L, handler));
	lua_settop(L, 3);
	if (opts)
		lua_pod_where(L, opts);
	lp = push_closed(L); /* 4 */
	open_probe(L, lp, name, opts, where);
	lprobe_set_handler(L, lp, handler, where);
	return lp;
}

int lua_probe_attach(lua_State *L)
{
	struct lprobe *lp = from_args(L, "bpf.attach");

	attach(L, lp, 4, "bpf.attach");
	return 1;
}

int lua_probe_load(lua_State *L)
{
	struct lprobe *lp = from_args(L, "bpf.load");
	struct err err;

	if (probe_load(lp->probe, &err))
		luax_throw(L, &err, "bpf.load");
	return 1;
}

/* p:attach() -> p */
static int l_attach(lua_State *L)
{
	attach(L, lprobe_check(L, "probe:attach"), 1, "probe:attach");
	lua_settop(L, 1);
	return 1;
}

static void drain(struct script *s)
{
	if (loop_signal(script_loop(s)))
		tracer_drain_last(script_tracer(s));
	else
		tracer_drain(script_tracer(s));
}

/* p:detach() -> p; what it had sent before is delivered first */
static int l_detach(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:detach");

	probe_detach(lp->probe);
	loop_timer_stop(lp->housekeeping);
	if (!loop_is_running(script_loop(lp->script)))
		drain(lp->script);
	tell_drops(lp);
	release(L, lp);
	lua_settop(L, 1);
	return 1;
}

/* p:on_event(f) -> p; nil removes the handler */
static int l_on_event(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:on_event");

	lua_settop(L, 2);
	if (!lua_isnil(L, 2) && !lua_isfunction(L, 2))
		luaL_error(L, "probe:on_event: expected a function or nil, got %s",
			   luax_typename(L, 2));
	lprobe_set_handler(L, lp, 2, "probe:on_event");
	lprobe_update_aggs(L, lp, "probe:on_event");
	lua_settop(L, 1);
	return 1;
}

/* p:_handler() -> the function, or nil */
static int l_handler(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, lprobe_check(L, "probe:_handler")->handler.function);
	return 1;
}

/* p:filter() -> table or nil; p:filter(table) puts it in force; p:filter{} lets all pass */
static int l_filter(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:filter");

	if (lua_gettop(L) > 1)
		lprobe_set_filter(L, lp, 1, 2, "probe:filter");
	lua_rawgeti(L, LUA_REGISTRYINDEX, lp->filter);
	return 1;
}

/* p:inject(table): an event made up by the script, through the same door as the kernel's */
static int l_inject(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:inject");
	const struct layout *layout = probe_layout(lp->probe);
	struct err err;
	struct loop *loop = script_loop(lp->script);
	void *record;
	bool stop, in_round;
	int rc;

	luax_expect(L, 2, LUA_TTABLE, "probe:inject", "a table with fields of the event");
	record = memset(lua_newuserdatauv(L, layout->size, 0), 0, layout->size);
	if (event_pack(L, 2, layout, record, &err))
		luax_throw(L, &err, "probe:inject");
	stop = loop_set_stop(loop, false);
	in_round = script_set_in_round(lp->script, false);
	rc = probe_inject(lp->probe, record, &err);
	script_set_in_round(lp->script, in_round);
	if (!script_error(lp->script)) {
		if (stop)
			loop_stop(loop);
		return rc ? luax_throw(L, &err, "probe:inject") : 0;
	}
	/* The caller gets the error and may catch it: the loop goes on as it was. */
	loop_set_stop(loop, stop);
	return script_raise(L);
}

void lua_probe_install(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "attach", l_attach },
		{ "detach", l_detach },
		{ "close", l_close },
		{ "background", lprobe_background },
		{ "filter", l_filter },
		{ "on_event", l_on_event },
		{ "stats", lprobe_stats },
		{ "inject", l_inject },
		{ "events", lprobe_events },
		{ "tap", lprobe_tap },
		{ "untap", lprobe_untap },
		{ "keep", lprobe_keep },
		{ "last", lprobe_last },
		{ "where", lprobe_where },
		{ "pcap", lprobe_pcap },
		{ "aggregate", lprobe_aggregate },
		{ "threshold", lprobe_threshold },
		{ "sample", lprobe_sample },
		{ "rate", lprobe_rate },
		{ "_verdict", lprobe_verdict },
		{ "_handler", l_handler },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__index", lprobe_index },
		{ "__tostring", lprobe_tostring },
		{ NULL, NULL },
	};

	luax_class(L, PROBE_CLASS, methods, meta, l_close);
}
