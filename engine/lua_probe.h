/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_probe.h - struct lprobe, for the files that implement the class bpf.Probe. */
#ifndef BPFNET_LUA_PROBE_H
#define BPFNET_LUA_PROBE_H

#include <stdbool.h>
#include <lua.h>
#include "lua_event.h"
#include "probe.h"
#include "stage.h"

#define PROBE_CLASS "bpf.Probe"

struct loop_timer;
struct points;
struct script;

/* A function of the script's that is called for each event, and what it gets. */
struct listener {
	int function; /* registry; LUA_NOREF: none */
	const struct field **args; /* fields passed as arguments; NULL: one table */
	int nr_args;
};

struct lprobe {
	struct script *script;
	struct probe *probe; /* NULL: closed */
	struct event_shape shape;
	struct listener handler;
	bool args_fixed; /* by opts.fields; else the handler's parameter names decide */
	struct ltap *taps; /* other listeners, see lua_tap.c */
	struct lkeep *keep; /* the last events, NULL: none are kept */
	int self; /* registry: keeps it alive until closed */
	int filter; /* registry: the table that the filter was made from */
	int verdicts; /* registry: enum pod_verdict by cgroup, if it has a word for bpfnet.pod */
	int judge; /* registry: the function that is asked about others */
	int aggs; /* registry: list of the aggregations that the kernel fills */
	int queue; /* registry: what events() has not given out yet */
	long long queue_first, queue_last;
	uint64_t unread; /* events that found no room in it */
	uint64_t unread_told;
	struct loop_timer *housekeeping;
	bool held; /* it is attached, and so kept alive; the loop is held, too, */
	bool background; /* unless this is set */
	bool in_handler;
	bool close_later;
};

/* raises if argument 1 is no Probe, or a closed one. */
struct lprobe *lprobe_check(lua_State *L, const char *where);
/* [-0, +1] The options table at index (0: none) into C; strings are the table's or what is pushed. raises */
void lprobe_read_opts(lua_State *L, int index, const char *where, struct probe_opts *opts);
/* The option `pods`; without it a filter by container means yes. index 0: no options. raises. [-0, +0] */
bool lprobe_wants_pods(lua_State *L, int index, const char *where);
/* raises. Makes the value at index (nil: none) the handler. */
void lprobe_set_handler(lua_State *L, struct lprobe *lp, int index, const char *where);
/*
 * [-0, +0] raises. The filter from the table at index, nil: it stays as it is. self: index of the Probe.
 */
void lprobe_set_filter(lua_State *L, struct lprobe *lp, int self, int index, const char *where);
/* p:_verdict(verdicts, key, verdict) */
int lprobe_verdict(lua_State *L);
/* raises. The names in the list at index (nil: none) become the handler's arguments. */
void lprobe_set_fields(lua_State *L, struct lprobe *lp, int index, const char *where);
/* raises. The options pcap, where, threshold, sample and rate of the table at index. [-0, +0] */
void lprobe_set_stage(lua_State *L, struct lprobe *lp, int opts, const char *where);
/* [-0, +0] Takes aggregations that the script has closed out of the kernel. */
void lprobe_drop_closed_aggs(lua_State *L, struct lprobe *lp);
/* raises. A handler has come or gone: are events sent, besides being added up? [-0, +0] */
void lprobe_update_aggs(lua_State *L, struct lprobe *lp, const char *where);
/*
 * [-0, +1] { {name=, group=, optional=, wanted=, way=, where=, why=}, ... }; way is nil for a point
 * that is not seen.
 */
void lprobe_push_points(lua_State *L, const struct points *points);
/* [-0, +1] { {program=, what=, way=, hook=, used=, loses=}, ... } */
void lprobe_push_ways(lua_State *L, const struct ways *ways);
/* p:stats(); p.name, p.state, p.fields, p.maps, p.points, p.ways and the methods; tostring(p) */
int lprobe_stats(lua_State *L);
int lprobe_index(lua_State *L);
int lprobe_tostring(lua_State *L);
/* p:background() */
int lprobe_background(lua_State *L);
/* p:aggregate{...} */
int lprobe_aggregate(lua_State *L);
/* p:where([text]), p:pcap([text]), p:threshold([text]), p:sample(part), p:rate(n) */
int lprobe_where(lua_State *L);
int lprobe_pcap(lua_State *L);
int lprobe_threshold(lua_State *L);
int lprobe_sample(lua_State *L);
int lprobe_rate(lua_State *L);
/* raises. Parameter names of the function at index, or the list of names at `fields`, become its arguments. */
void lprobe_read_args(lua_State *L, struct lprobe *lp, int index, int fields, struct listener *to,
		      const char *where);
void listener_free(lua_State *L, struct listener *listener);
/* Calls it; an error in it ends the loop and is kept by the script. */
void lprobe_call(struct lprobe *lp, const struct listener *listener, const void *event);
/* p:tap(f [, fields]), p:untap(f), p:keep([n]), p:last([n]) */
int lprobe_tap(lua_State *L);
int lprobe_untap(lua_State *L);
int lprobe_keep(lua_State *L);
int lprobe_last(lua_State *L);
/* p.kept: how many events p:keep() has room for, 0: none are kept */
lua_Integer lprobe_kept(const struct lprobe *lp);
/* Hands an event to the taps, and keeps it. */
void lprobe_to_taps(struct lprobe *lp, const void *event);
/* Does anybody but the handler get events? */
bool lprobe_has_taps(const struct lprobe *lp);
/* Frees taps that have been taken away; all: the others, too, and what is kept. */
void lprobe_free_taps(lua_State *L, struct lprobe *lp, bool all);
/* Called for each event while events() is in use. */
void lprobe_enqueue(struct lprobe *lp, const void *event);
/* [-0, +1] p.maps of the Probe at index 1: a table that finds maps by name. raises */
void lprobe_push_maps(lua_State *L);
/* p:events([seconds]) */
int lprobe_events(lua_State *L);

#endif
