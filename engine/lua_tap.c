/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Of the class bpf.Probe: who else sees its events. Taps are listeners beside the handler, for somebody
 * who looks on; and the last events can be kept as the records they are, which costs a copy and no Lua.
 */
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "log.h"
#include "lua_probe.h"
#include "luax.h"
#include "util.h"

#define MAX_KEPT       100000
#define MAX_KEPT_BYTES (64U << 20)
#define DEFAULT_KEPT   1000

struct ltap {
	struct listener listener; /* function LUA_NOREF: taken away */
	struct ltap *next;
};

/* A ring: the event number i, counted from 0, is at i % room. */
struct lkeep {
	uint64_t seen;
	uint32_t room;
	uint32_t size; /* of a record */
	char records[];
};

static void *kept(struct lkeep *k, uint64_t i)
{
	return k->records + (size_t)(i % k->room) * k->size;
}

/*
 * The list is only freed by lprobe_free_taps(), which no tap can call: so one that takes itself or
 * another away, or is left by an error, does no harm.
 */
void lprobe_to_taps(struct lprobe *lp, const void *event)
{
	if (lp->keep)
		memcpy(kept(lp->keep, lp->keep->seen++), event, lp->keep->size);
	for (struct ltap *t = lp->taps; t && !lp->close_later; t = t->next)
		if (t->listener.function != LUA_NOREF)
			lprobe_call(lp, &t->listener, event);
}

bool lprobe_has_taps(const struct lprobe *lp)
{
	for (const struct ltap *t = lp->taps; t; t = t->next)
		if (t->listener.function != LUA_NOREF)
			return true;
	return false;
}

void lprobe_free_taps(lua_State *L, struct lprobe *lp, bool all)
{
	struct ltap **p = &lp->taps;

	while (*p) {
		struct ltap *t = *p;

		if (!all && t->listener.function != LUA_NOREF) {
			p = &t->next;
			continue;
		}
		*p = t->next;
		listener_free(L, &t->listener);
		free(t);
	}
	if (all) {
		free(lp->keep);
		lp->keep = NULL;
	}
}

/* p:tap(f [, fields]) -> p: f gets each event as a handler would, before the handler does */
int lprobe_tap(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:tap");
	struct ltap *t, **last = &lp->taps;

	lua_settop(L, 3);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	t = calloc(1, sizeof(*t));
	if (!t)
		return luaL_error(L, "probe:tap: out of memory");
	/* In the list at once: what raises from here on leaves a tap without a function, which is none. */
	t->listener.function = LUA_NOREF;
	while (*last)
		last = &(*last)->next;
	*last = t;
	lprobe_read_args(L, lp, 2, 3, &t->listener, "probe:tap");
	lua_pushvalue(L, 2);
	t->listener.function = luaL_ref(L, LUA_REGISTRYINDEX);
	lprobe_update_aggs(L, lp, "probe:tap");
	lua_settop(L, 1);
	return 1;
}

/* p:untap([f]) -> p: takes the taps of f away; without f all of them */
int lprobe_untap(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:untap");

	lua_settop(L, 2);
	for (struct ltap *t = lp->taps; t; t = t->next) {
		bool same;

		lua_rawgeti(L, LUA_REGISTRYINDEX, t->listener.function);
		same = lua_isnil(L, 2) || lua_rawequal(L, 2, -1);
		lua_pop(L, 1);
		if (!same)
			continue;
		/* its arguments may be in use; the rest goes with lprobe_free_taps() */
		luaL_unref(L, LUA_REGISTRYINDEX, t->listener.function);
		t->listener.function = LUA_NOREF;
	}
	lprobe_update_aggs(L, lp, "probe:untap");
	lua_settop(L, 1);
	return 1;
}

/* p:keep([n]) -> p: keeps the last n events for p:last(), 1000 without n; 0: none. What was kept is gone. */
int lprobe_keep(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:keep");
	lua_Integer n = luaL_optinteger(L, 2, DEFAULT_KEPT);
	uint32_t size = probe_layout(lp->probe)->size;
	struct lkeep *k = NULL;

	if (n < 0 || n > MAX_KEPT || n > MAX_KEPT_BYTES / size)
		return luaL_error(L, "probe:keep: expected a number from 0 to %d, got %I",
				  (int)(MAX_KEPT_BYTES / size < MAX_KEPT ? MAX_KEPT_BYTES / size :
									   MAX_KEPT),
				  (LUAI_UACINT)n);
	if (n) {
		k = malloc(sizeof(*k) + (size_t)n * size);
		if (!k)
			return luaL_error(L, "probe:keep: out of memory");
		*k = (struct lkeep){ .room = (uint32_t)n, .size = size };
	}
	free(lp->keep);
	lp->keep = k;
	lua_settop(L, 1);
	return 1;
}

lua_Integer lprobe_kept(const struct lprobe *lp)
{
	return lp->keep ? (lua_Integer)lp->keep->room : 0;
}

/*
 * p:last() -> the newest event that is kept, or nil; p:last(n) -> list of the last n at most, oldest first
 */
int lprobe_last(lua_State *L)
{
	struct lprobe *lp = lprobe_check(L, "probe:last");
	struct lkeep *k = lp->keep;
	uint64_t have = !k ? 0 : k->seen < k->room ? k->seen : k->room, want;
	bool list = !lua_isnoneornil(L, 2);
	void *record;
	lua_Integer n = luaL_optinteger(L, 2, 1);

	if (n < 0)
		return luaL_error(L, "probe:last: expected a number from 0 on, got %I",
				  (LUAI_UACINT)n);
	want = (uint64_t)n < have ? (uint64_t)n : have;
	/* Making a table may run a finalizer, which may end the keeping: so each is copied first. */
	record = lua_newuserdatauv(L, probe_layout(lp->probe)->size, 0);
	if (list)
		lua_createtable(L, (int)want, 0);
	else if (!want)
		lua_pushnil(L);
	for (uint64_t i = 0; i < want && lp->keep == k; i++) {
		memcpy(record, kept(k, k->seen - want + i), k->size);
		event_push(L, &lp->shape, record);
		if (list)
			lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}
