/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "lua_inside_out.h"
#include "script.h"

struct inside_out {
	FILE *file;
	void (*fn)(void *arg, const char *text, size_t len);
	void *arg;
	luaL_Stream *lua_out, *lua_err, /* io.stdout, io.stderr; the registry holds them for us */
		*lua_in; /* io.stdin */
	FILE *nothing; /* to be read instead: the script's input is not the session's, and may never come */
	FILE *saved_out, *saved_err, *saved_lua_out, *saved_lua_err, *saved_lua_in;
};

static ssize_t write_out(void *cookie, const char *data, size_t len)
{
	const struct inside_out *o = cookie;

	o->fn(o->arg, data, len);
	return (ssize_t)len;
}

static luaL_Stream *find(lua_State *L, const char *name)
{
	luaL_Stream *s;

	lua_getglobal(L, "io");
	lua_getfield(L, -1, name);
	s = luaL_checkudata(L, -1, LUA_FILEHANDLE);
	lua_rawsetp(L, LUA_REGISTRYINDEX, s);
	return s;
}

/* [out] before the script, which could put something else there */
static int find_all(lua_State *L)
{
	struct inside_out *o = lua_touserdata(L, 1);

	o->lua_out = find(L, "stdout");
	o->lua_err = find(L, "stderr");
	o->lua_in = find(L, "stdin");
	return 0;
}

struct inside_out *inside_out_new(struct script *s,
				  void (*fn)(void *arg, const char *text, size_t len), void *arg)
{
	struct inside_out *o = calloc(1, sizeof(*o));
	lua_State *L = script_state(s);

	if (!o)
		return NULL;
	o->fn = fn;
	o->arg = arg;
	lua_pushcfunction(L, find_all);
	lua_pushlightuserdata(L, o);
	if (!script_try(s, L, 1, 0, false)) {
		lua_pop(L, 1);
		free(o);
		return NULL;
	}
	return o;
}

void inside_out_free(struct inside_out *o)
{
	if (o && o->file)
		fclose(o->file);
	if (o && o->nothing)
		fclose(o->nothing);
	free(o);
}

void inside_out_take(struct inside_out *o)
{
	fflush(stdout);
	if (!o->nothing)
		o->nothing = fopen("/dev/null", "re");
	if (!o->file)
		o->file = fopencookie(o, "w", (cookie_io_functions_t){ .write = write_out });
	if (o->file)
		setvbuf(o->file, NULL, _IOLBF, BUFSIZ);
	else
		return; /* out of memory: it goes where the script prints */
	o->saved_out = stdout;
	o->saved_err = stderr;
	o->saved_lua_out = o->lua_out->f;
	o->saved_lua_err = o->lua_err->f;
	o->saved_lua_in = o->lua_in->f;
	stdout = stderr = o->file;
	if (o->saved_lua_in == stdin && o->nothing)
		o->lua_in->f = o->nothing;
	/* unless the script has closed or replaced them */
	if (o->saved_lua_out == o->saved_out)
		o->lua_out->f = o->file;
	if (o->saved_lua_err == o->saved_err)
		o->lua_err->f = o->file;
}

void inside_out_give_back(struct inside_out *o)
{
	if (!o->file)
		return;
	fflush(o->file);
	stdout = o->saved_out;
	stderr = o->saved_err;
	if (o->lua_out->f == o->file)
		o->lua_out->f = o->saved_lua_out;
	if (o->lua_err->f == o->file)
		o->lua_err->f = o->saved_lua_err;
	if (o->lua_in->f == o->nothing)
		o->lua_in->f = o->saved_lua_in;
}
