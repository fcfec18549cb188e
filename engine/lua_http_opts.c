/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The options table of bpf.http. */
#include <string.h>
#include <lauxlib.h>
#include "lua_http.h"
#include "luax.h"
#include "util.h"

#define WHERE "bpf.http"

static const char *const known[] = { "url",           "method",      "headers",
				     "body",          "unix_socket", "http2",
				     "ca_file",       "ca_data",     "cert_file",
				     "cert_data",     "key_file",    "key_data",
				     "insecure",      "timeout",     "connect_timeout",
				     "stall_timeout", "hold",        "on_headers",
				     "on_data",       "on_done",     NULL };

/* The option's bytes, which its table keeps alive; empty if it isn't there. */
static struct http_bytes get_bytes(lua_State *L, int index, const char *name)
{
	struct http_bytes bytes = { 0 };
	int type = lua_getfield(L, index, name);

	if (type == LUA_TSTRING)
		bytes.data = lua_tolstring(L, -1, &bytes.len);
	else if (type != LUA_TNIL)
		luax_bad_option(L, WHERE, name, "a string", -1);
	lua_pop(L, 1);
	return bytes;
}

static const char *check_text(lua_State *L, const char *what, struct http_bytes bytes)
{
	if (bytes.data && strlen(bytes.data) != bytes.len)
		luaL_error(L, WHERE ": bad option \"%s\": there is a NUL byte in it", what);
	return bytes.data;
}

static const char *get_text(lua_State *L, int index, const char *name)
{
	return check_text(L, name, get_bytes(L, index, name));
}

static bool get_bool(lua_State *L, int index, const char *name)
{
	int type = lua_getfield(L, index, name);
	bool value = lua_toboolean(L, -1);

	if (type != LUA_TNIL && type != LUA_TBOOLEAN)
		luax_bad_option(L, WHERE, name, "true or false", -1);
	lua_pop(L, 1);
	return value;
}

/* Seconds as ns; 0 if it isn't there. */
static uint64_t get_seconds(lua_State *L, int index, const char *name)
{
	int type = lua_getfield(L, index, name);
	lua_Number seconds = lua_tonumber(L, -1);

	if (type != LUA_TNIL && (type != LUA_TNUMBER || !(seconds >= 0.001 && seconds <= 1e6)))
		luaL_error(L,
			   WHERE ": bad option \"%s\": expected seconds from 0.001 to 1e6, got %s",
			   name, luaL_tolstring(L, -1, NULL));
	lua_pop(L, 1);
	return (uint64_t)(seconds * 1e9);
}

static bool has_function(lua_State *L, int index, const char *name, bool needed)
{
	int type = lua_getfield(L, index, name);

	if (type != LUA_TFUNCTION && (needed || type != LUA_TNIL))
		luax_bad_option(L, WHERE, name, "a function", -1);
	lua_pop(L, 1);
	return type == LUA_TFUNCTION;
}

static enum http_version get_version(lua_State *L, int index)
{
	enum http_version version = HTTP_ANY;
	int type = lua_getfield(L, index, "http2");

	if (type == LUA_TBOOLEAN && !lua_toboolean(L, -1))
		version = HTTP_1;
	else if (type == LUA_TSTRING && str_eq(lua_tostring(L, -1), "prior"))
		version = HTTP_2_PRIOR;
	else if (type != LUA_TNIL)
		luaL_error(L, WHERE ": bad option \"http2\": expected \"prior\" or false, got %s",
			   luaL_tolstring(L, -1, NULL));
	lua_pop(L, 1);
	return version;
}

static size_t count_pairs(lua_State *L, int index)
{
	size_t n = 0;

	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
		n++;
	return n;
}

/* [-0, +1] The list, as a userdata: an error further on can't leak it. */
static void get_headers(lua_State *L, int index, struct http_headers *headers)
{
	int type = lua_getfield(L, index, "headers"), table = lua_gettop(L);
	struct http_bytes name, value;

	if (type == LUA_TNIL)
		return;
	if (type != LUA_TTABLE)
		luax_bad_option(L, WHERE, "headers", "a table of names and values", -1);
	headers->list = lua_newuserdatauv(L, count_pairs(L, table) * sizeof(*headers->list), 0);
	for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
		/* not numbers: what they would become as text belongs to nobody */
		if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, WHERE ": bad option \"headers\": expected names and values, "
					    "both strings");
		name.data = lua_tolstring(L, -2, &name.len);
		value.data = lua_tolstring(L, -1, &value.len);
		headers->list[headers->count++] =
			(struct http_header){ check_text(L, "headers", name),
					      check_text(L, "headers", value) };
	}
	lua_remove(L, table);
}

void lua_http_opts(lua_State *L, int index, struct http_opts *o, struct lua_http_more *more)
{
	luax_check_keys(L, index, WHERE, known);
	o->url = get_text(L, index, "url");
	if (!o->url)
		luaL_error(L, WHERE ": bad option \"url\": expected a string, got nil");
	o->method = get_text(L, index, "method");
	o->body = get_bytes(L, index, "body");
	o->unix_socket = get_text(L, index, "unix_socket");
	o->version = get_version(L, index);
	o->ca_file = get_text(L, index, "ca_file");
	o->ca_data = get_bytes(L, index, "ca_data");
	o->cert_file = get_text(L, index, "cert_file");
	o->cert_data = get_bytes(L, index, "cert_data");
	o->key_file = get_text(L, index, "key_file");
	o->key_data = get_bytes(L, index, "key_data");
	o->insecure = get_bool(L, index, "insecure");
	o->timeout_ns = get_seconds(L, index, "timeout");
	o->connect_timeout_ns = get_seconds(L, index, "connect_timeout");
	o->stall_timeout_ns = get_seconds(L, index, "stall_timeout");
	more->hold = get_bool(L, index, "hold");
	more->has_on_headers = has_function(L, index, "on_headers", false);
	more->has_on_data = has_function(L, index, "on_data", false);
	has_function(L, index, "on_done", true);
	get_headers(L, index, &o->headers);
}
