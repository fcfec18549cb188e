/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "lua_guest.h"
#include "lua_session.h"
#include "script.h"
#include "util.h"

#define MAX_WORDS 200

struct session {
	struct script *script;
	struct session_opts opts;
	int object; /* registry: what repl.new() has returned */
	struct session **box; /* of the function `out`, which may live longer than we do */
};

/* out(text) -> boolean: somebody gets it */
static int l_out(lua_State *L)
{
	struct session *const *box = lua_touserdata(L, lua_upvalueindex(1));
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);

	lua_pushboolean(L, *box && (*box)->opts.out((*box)->opts.arg, text, len));
	return 1;
}

/* A call of a method, as the argument of what calls it under protection. */
struct call {
	struct session *session;
	const char *method;
	const char *text; /* NULL: no argument */
	size_t len;
	lua_Integer cursor; /* < 0: no argument */
	int more; /* < 0: no argument */
	bool unlimited; /* the user's code, which only Ctrl-C ends */
};

/* [call] -> what the method returns, two values */
static int call_method(lua_State *L)
{
	const struct call *c = lua_touserdata(L, 1);

	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, c->session->object);
	lua_getfield(L, -1, c->method);
	lua_insert(L, 1);
	if (c->text)
		lua_pushlstring(L, c->text, c->len);
	if (c->cursor >= 0)
		lua_pushinteger(L, c->cursor);
	if (c->more >= 0)
		lua_pushboolean(L, c->more);
	lua_call(L, lua_gettop(L) - 1, 2);
	return 2;
}

static void say(struct session *ss, const char *text)
{
	ss->opts.out(ss->opts.arg, text, strlen(text));
}

/* An interrupt, or a limit of time or memory: all else the session tells itself. */
static void say_failure(struct session *ss, const char *msg)
{
	const char *end = msg ? strstr(msg, "\nstack traceback:") : NULL;
	int len = !msg ? 0 : end ? (int)(end - msg) : (int)strlen(msg);
	char text[512];

	if (!msg || strstr(msg, "interrupted"))
		snprintf(text, sizeof(text), "%s\n", msg ? "interrupted" : "out of memory");
	else
		snprintf(text, sizeof(text), "%.*s\n", len < 500 ? len : 500, msg);
	say(ss, text);
}

/* [-0, +2 on success, +0 on failure] */
static bool try_method(lua_State *L, struct call *c)
{
	struct session *ss = c->session;

	if (!lua_checkstack(L, LUA_MINSTACK))
		return false;
	lua_pushcfunction(L, call_method);
	lua_pushlightuserdata(L, c);
	if (script_try(ss->script, L, 1, 2, !c->unlimited))
		return true;
	say_failure(ss, lua_tostring(L, -1));
	lua_pop(L, 1);
	return false;
}

/* The state that callbacks are called on: a script may run its loop from a coroutine. */
static lua_State *state_of(const struct session *ss)
{
	return script_callback_state(ss->script);
}

enum session_answer session_line(struct session *ss, const char *text, size_t len)
{
	lua_State *L = state_of(ss);
	struct call c = { ss, "line", text, len, -1, -1, !ss->opts.attached };
	bool was_guest = script_set_guest(ss->script, ss->opts.attached);
	bool ok = try_method(L, &c), more;

	script_set_guest(ss->script, was_guest);
	if (!ok)
		return SESSION_FAILED;
	more = lua_type(L, -2) == LUA_TSTRING && str_eq(lua_tostring(L, -2), "more");
	lua_pop(L, 2);
	return more ? SESSION_MORE : SESSION_DONE;
}

/* [session, chunk] */
static int adopt(lua_State *L)
{
	const struct session *ss = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, ss->object);
	lua_getfield(L, -1, "env");
	if (lua_istable(L, -1))
		lua_setupvalue(L, 2, 1); /* a chunk's first one is _ENV */
	return 0;
}

bool session_adopt(struct session *ss)
{
	lua_State *L = script_state(ss->script);

	lua_pushcfunction(L, adopt);
	lua_pushlightuserdata(L, ss);
	lua_pushvalue(L, -3);
	if (script_try(ss->script, L, 2, 0, false))
		return true;
	say_failure(ss, lua_tostring(L, -1));
	lua_pop(L, 1);
	return false;
}

void session_reset(struct session *ss)
{
	struct call c = { ss, "reset", NULL, 0, -1, -1, false };

	if (try_method(state_of(ss), &c))
		lua_pop(state_of(ss), 2);
}

static void get_text(struct session *ss, struct call *c, char *text, size_t size)
{
	lua_State *L = state_of(ss);

	text[0] = '\0';
	if (!try_method(L, c))
		return;
	if (lua_type(L, -2) == LUA_TSTRING)
		snprintf(text, size, "%s", lua_tostring(L, -2));
	lua_pop(L, 2);
}

void session_banner(struct session *ss, char *text, size_t size)
{
	struct call c = { ss, "banner", NULL, 0, -1, -1, false };

	get_text(ss, &c, text, size);
}

void session_prompt(struct session *ss, bool more, char *text, size_t size)
{
	struct call c = { ss, "prompt", NULL, 0, -1, more, false };

	get_text(ss, &c, text, size);
	/* out of memory, which has been told: there is a line to be typed all the same */
	if (!*text)
		snprintf(text, size, "%s", more ? "> " : "bpf> ");
}

void session_complete(struct session *ss, const char *text, size_t len, size_t cursor,
		      void (*fn)(void *arg, size_t from, const char *const *words, int n),
		      void *arg)
{
	lua_State *L = state_of(ss);
	struct call c = { ss, "complete", text, len, (lua_Integer)cursor, -1, false };
	const char *words[MAX_WORDS];
	lua_Integer from;
	int n = 0;

	if (!try_method(L, &c))
		return;
	from = lua_tointeger(L, -2);
	if (lua_istable(L, -1) && from >= 1 && from <= (lua_Integer)cursor + 1) {
		/* strings of the table, which stays on the stack */
		while (n < MAX_WORDS && lua_rawgeti(L, -1, n + 1) == LUA_TSTRING) {
			words[n++] = lua_tostring(L, -1);
			lua_pop(L, 1);
		}
		if (n < MAX_WORDS)
			lua_pop(L, 1);
		fn(arg, (size_t)from - 1, words, n);
	} else {
		fn(arg, cursor, words, 0);
	}
	lua_pop(L, 2);
}

/* [session] */
static int make(lua_State *L)
{
	struct session *ss = lua_touserdata(L, 1);

	lua_getglobal(L, "require");
	lua_pushliteral(L, "bpfnet.repl");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "new");
	lua_createtable(L, 0, 6);
	lua_pushboolean(L, ss->opts.tty);
	lua_setfield(L, -2, "tty");
	lua_pushboolean(L, ss->opts.colour);
	lua_setfield(L, -2, "colour");
	lua_pushinteger(L, ss->opts.columns);
	lua_setfield(L, -2, "width");
	lua_pushboolean(L, ss->opts.attached);
	lua_setfield(L, -2, "attached");
	if (ss->opts.attached) {
		lua_guest_install(L);
		lua_pushcfunction(L, lua_guest_contain);
		lua_setfield(L, -2, "contain");
	}
	ss->box = lua_newuserdatauv(L, sizeof(*ss->box), 0);
	*ss->box = ss;
	/* so that it lives at least as long as we do */
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, ss);
	lua_pushcclosure(L, l_out, 1);
	lua_setfield(L, -2, "out");
	lua_call(L, 1, 1);
	ss->object = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

int session_new(struct session **out, struct script *s, const struct session_opts *opts,
		struct err *err)
{
	struct session *ss = calloc(1, sizeof(*ss));
	lua_State *L = script_callback_state(s);
	int rc = 0;

	*out = NULL;
	if (!ss || !lua_checkstack(L, LUA_MINSTACK)) {
		free(ss);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ss = (struct session){ .script = s, .opts = *opts, .object = LUA_NOREF };
	lua_pushcfunction(L, make);
	lua_pushlightuserdata(L, ss);
	script_reserve(s);
	if (!script_try(s, L, 1, 0, opts->attached)) {
		rc = err_set(err, -EINVAL, "%.600s", lua_tostring(L, -1));
		lua_pop(L, 1);
		if (ss->box)
			*ss->box = NULL;
		free(ss);
		return rc;
	}
	*out = ss;
	return 0;
}

void session_free(struct session *ss)
{
	struct call c = { ss, "close", NULL, 0, -1, -1, false };
	lua_State *L;

	if (!ss)
		return;
	L = state_of(ss);
	if (try_method(L, &c))
		lua_pop(L, 2);
	*ss->box = NULL;
	luaL_unref(L, LUA_REGISTRYINDEX, ss->object);
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, ss);
	free(ss);
}
