/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include <lualib.h>
#include "lua_coroutine.h"
#include "loop.h"
#include "lua_bpf.h"
#include "lua_os.h"
#include "modules.h"
#include "script_priv.h"
#include "script_trace.h"
#include "tracer.h"
#include "util.h"

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct script *s = ud;
	size_t old = ptr ? osize : 0;
	size_t max = s->max_memory - (s->guest ? s->reserved : 0);
	void *p;

	if (!nsize) {
		free(ptr);
		s->memory -= old;
		return NULL;
	}
	if (nsize > old && s->max_memory && s->memory + (nsize - old) > max) {
		/* No message handler is called for want of memory: who asked is known only now. */
		if (s->running)
			script_trace_where(s->running, s->no_memory_at, sizeof(s->no_memory_at));
		return NULL;
	}
	p = realloc(ptr, nsize);
	if (p)
		s->memory += nsize - old;
	return p;
}

void script_reserve(struct script *s)
{
	s->reserved = s->memory < s->max_memory ? (s->max_memory - s->memory) / 2 : 0;
}

bool script_set_guest(struct script *s, bool guest)
{
	bool old = s->guest;

	s->guest = guest;
	return old;
}

bool script_is_guest(const struct script *s)
{
	return s->guest;
}

struct script *script_of(lua_State *L)
{
	return *(struct script **)lua_getextraspace(L);
}

const char *script_error(const struct script *s)
{
	return s->error;
}

void script_clear_error(struct script *s)
{
	free(s->error);
	s->error = NULL;
}

bool script_was_interrupted(const struct script *s)
{
	return s->interrupted;
}

void script_set_session(struct script *s, const struct script_session *session)
{
	s->session = *session;
	loop_keep_catching(s->loop);
}

bool script_is_session(const struct script *s)
{
	return s->session.fn;
}

void script_forget_interrupt(struct script *s)
{
	s->interrupted = s->told = false;
	script_clear_error(s);
	loop_clear_signal(s->loop);
}

void script_set_told(struct script *s)
{
	s->told = true;
}

bool script_was_told(const struct script *s)
{
	return s->told;
}

void script_set_label(struct script *s, const char *label)
{
	s->label = label;
}

static bool loaded(struct script *s, int rc)
{
	if (rc != LUA_OK)
		script_keep_error(s, s->L);
	return rc == LUA_OK;
}

bool script_load_file(struct script *s, const char *path)
{
	return loaded(s, luaL_loadfilex(s->L, path, "t"));
}

bool script_load_string(struct script *s, const char *code, size_t len, const char *name)
{
	return loaded(s, luaL_loadbufferx(s->L, code, len, name, "t"));
}

/* name, argc, argv */
static int set_args(lua_State *L)
{
	int argc = (int)lua_tointeger(L, 2);
	char **argv = lua_touserdata(L, 3);

	lua_createtable(L, argc, 1);
	for (int i = 0; i <= argc; i++) {
		lua_pushstring(L, i ? argv[i - 1] : lua_touserdata(L, 1));
		lua_rawseti(L, -2, i);
	}
	lua_setglobal(L, "arg");
	return 0;
}

void script_set_args(struct script *s, const char *name, int argc, char **argv)
{
	lua_pushcfunction(s->L, set_args);
	lua_pushlightuserdata(s->L, (void *)name);
	lua_pushinteger(s->L, argc);
	lua_pushlightuserdata(s->L, argv);
	loaded(s, lua_pcall(s->L, 3, 0, 0));
}

static int open_libraries(lua_State *L)
{
	luaL_openlibs(L);
	coroutine_install(L);
	lua_os_install(L);
	modules_install(L);
	lua_bpf_install(L);
	return 0;
}

static int open_state(struct script *s, struct err *err)
{
	s->L = lua_newstate(allocate, s);
	if (!s->L)
		return err_set(err, -ENOMEM, "out of memory");
	s->callback_L = s->L;
	tracer_set_guard(s->tracer, script_guard_round, s);
	*(struct script **)lua_getextraspace(s->L) = s;
	lua_pushcfunction(s->L, open_libraries);
	if (lua_pcall(s->L, 0, 0, 0) != LUA_OK)
		return err_set(err, -ENOMEM, "can't start Lua: %s", lua_tostring(s->L, -1));
	return 0;
}

int script_new(struct script **out, const struct script_opts *opts, struct err *err)
{
	struct script *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->max_memory = opts->max_memory;
	s->max_seconds = opts->max_seconds;
	rc = loop_new(&s->loop, err);
	if (!rc)
		rc = script_watch(s, err);
	if (!rc) {
		s->tracer = tracer_new(s->loop, opts->ring_bytes);
		rc = s->tracer ? open_state(s, err) : err_set(err, -ENOMEM, "out of memory");
	}
	if (rc) {
		script_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void script_free(struct script *s)
{
	if (!s)
		return;
	if (s->L)
		lua_close(s->L); /* its __gc close probes and timers */
	tracer_free(s->tracer);
	script_unwatch(s);
	loop_free(s->loop);
	free(s->error);
	free(s);
}

lua_State *script_state(struct script *s)
{
	return s->L;
}

struct script_texts **script_texts(lua_State *L, int kind)
{
	return &script_of(L)->texts[kind];
}

lua_State *script_callback_state(struct script *s)
{
	return s->callback_L;
}

lua_State *script_set_callback_state(struct script *s, lua_State *L)
{
	lua_State *old = s->callback_L;

	s->callback_L = L;
	return old;
}

void script_set_ran(struct script *s)
{
	s->ran = true;
}

bool script_has_run(const struct script *s)
{
	return s->ran;
}

struct loop *script_loop(struct script *s)
{
	return s->loop;
}

struct tracer *script_tracer(struct script *s)
{
	return s->tracer;
}
