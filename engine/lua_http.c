/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The class bpf.Request: bpf.http{...}. */
#include <lauxlib.h>
#include "http.h"
#include "loop.h"
#include "lua_bpf.h"
#include "lua_http.h"
#include "luax.h"
#include "script.h"

#define REQUEST_CLASS "bpf.Request"
#define CLIENT_CLASS  "bpf.http client"

struct lrequest {
	struct script *script;
	struct http_request *request; /* NULL: closed */
	bool holds; /* the loop */
	int on_headers, on_data, on_done; /* registry */
	int self; /* registry: alive until closed */
};

static const char client_key = 0; /* its address is the registry key */

static int close_client(lua_State *L)
{
	struct http **http = lua_touserdata(L, 1);

	http_free(*http);
	*http = NULL;
	return 0;
}

/*
 * raises. The client of this state, made when first asked for. Lua ends what was made last first:
 * requests before their client.
 */
static struct http *client(lua_State *L)
{
	struct http **http;
	struct err err;

	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &client_key) == LUA_TUSERDATA) {
		http = lua_touserdata(L, -1);
		lua_pop(L, 1);
		return *http;
	}
	http = lua_newuserdatauv(L, sizeof(*http), 0);
	*http = NULL;
	luaL_setmetatable(L, CLIENT_CLASS);
	if (http_new(http, script_loop(script_of(L)), &err))
		luax_throw(L, &err, "bpf.http");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &client_key);
	lua_pop(L, 1); /* the nil */
	return *http;
}

static void unref(lua_State *L, struct lrequest *lr)
{
	luaL_unref(L, LUA_REGISTRYINDEX, lr->on_headers);
	luaL_unref(L, LUA_REGISTRYINDEX, lr->on_data);
	luaL_unref(L, LUA_REGISTRYINDEX, lr->on_done);
	luaL_unref(L, LUA_REGISTRYINDEX, lr->self);
}

static void close_request(lua_State *L, struct lrequest *lr)
{
	if (!lr->request)
		return;
	http_cancel(lr->request);
	lr->request = NULL;
	if (lr->holds)
		loop_release(script_loop(lr->script));
	unref(L, lr);
}

/* request:close(), __gc, __close */
static int l_close(lua_State *L)
{
	close_request(L, luax_check_self(L, 1, REQUEST_CLASS, "request:close"));
	return 0;
}

struct piece {
	struct lrequest *lr;
	const void *data;
	size_t len;
};

static int call_on_data(lua_State *L)
{
	const struct piece *piece = lua_touserdata(L, 1);

	/* The function is on the stack, so closing the request from within is harmless. */
	lua_rawgeti(L, LUA_REGISTRYINDEX, piece->lr->on_data);
	lua_pushlstring(L, piece->data, piece->len);
	lua_call(L, 1, 0);
	return 0;
}

static void on_data(void *arg, const void *data, size_t len)
{
	struct lrequest *lr = arg;
	struct piece piece = { lr, data, len };
	lua_State *L = script_callback_state(lr->script);

	if (!lua_checkstack(L, 8))
		return;
	lua_pushcfunction(L, call_on_data);
	lua_pushlightuserdata(L, &piece);
	script_set_label(lr->script, "a request");
	script_call(lr->script, L, 1, 0);
}

/* One that comes again is one list, as in RFC 9110, 5.2. */
static void push_headers(lua_State *L, const struct http_headers *headers)
{
	lua_newtable(L);
	for (size_t i = 0; i < headers->count; i++) {
		const struct http_header *h = &headers->list[i];

		if (lua_getfield(L, -1, h->name) == LUA_TNIL)
			lua_pushstring(L, h->value);
		else
			lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), h->value);
		lua_setfield(L, -3, h->name);
		lua_pop(L, 1);
	}
}

struct beginning {
	struct lrequest *lr;
	unsigned int status;
	const struct http_headers *headers;
};

static int call_on_headers(lua_State *L)
{
	const struct beginning *b = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, b->lr->on_headers);
	lua_pushinteger(L, b->status);
	push_headers(L, b->headers);
	lua_call(L, 2, 0);
	return 0;
}

static void on_headers(void *arg, unsigned int status, const struct http_headers *headers)
{
	struct lrequest *lr = arg;
	struct beginning beginning = { lr, status, headers };
	lua_State *L = script_callback_state(lr->script);

	if (!lua_checkstack(L, 8))
		return;
	lua_pushcfunction(L, call_on_headers);
	lua_pushlightuserdata(L, &beginning);
	script_set_label(lr->script, "a request");
	script_call(lr->script, L, 1, 0);
}

struct ending {
	struct lrequest *lr;
	const struct http_result *result;
};

static int call_on_done(lua_State *L)
{
	const struct ending *e = lua_touserdata(L, 1);
	const struct http_result *r = e->result;

	lua_rawgeti(L, LUA_REGISTRYINDEX, e->lr->on_done);
	if (r->status)
		lua_pushinteger(L, r->status);
	else
		lua_pushnil(L);
	push_headers(L, &r->headers);
	push_headers(L, &r->trailers);
	lua_pushstring(L, r->error); /* NULL: nil */
	close_request(L, e->lr); /* before what it calls could do it */
	lua_call(L, 4, 0);
	return 0;
}

static void on_done(void *arg, const struct http_result *result)
{
	struct lrequest *lr = arg;
	struct ending ending = { lr, result };
	lua_State *L = script_callback_state(lr->script);

	if (!lua_checkstack(L, 8))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, lr->self);
	lua_pushcfunction(L, call_on_done);
	lua_pushlightuserdata(L, &ending);
	if (!script_call(lr->script, L, 1, 0))
		close_request(L, lr); /* without the memory to tell of it */
	lua_pop(L, 1); /* self */
}

int lua_http(lua_State *L)
{
	struct http_opts opts = { .on_done = on_done };
	struct lua_http_more more = { 0 };
	struct http *http;
	struct lrequest *lr;
	struct err err;

	luax_expect(L, 1, LUA_TTABLE, "bpf.http", "a table of options");
	lua_settop(L, 1);
	http = client(L);
	lr = lua_newuserdatauv(L, sizeof(*lr), 0); /* 2 */
	*lr = (struct lrequest){ .script = script_of(L) };
	luaL_setmetatable(L, REQUEST_CLASS);
	lua_http_opts(L, 1, &opts, &more);
	opts.on_headers = more.has_on_headers ? on_headers : NULL;
	opts.on_data = more.has_on_data ? on_data : NULL;
	opts.arg = lr;
	lua_getfield(L, 1, "on_headers");
	lua_getfield(L, 1, "on_data");
	lua_getfield(L, 1, "on_done");
	lua_pushvalue(L, 2);
	lr->self = luaL_ref(L, LUA_REGISTRYINDEX);
	lr->on_done = luaL_ref(L, LUA_REGISTRYINDEX);
	lr->on_data = luaL_ref(L, LUA_REGISTRYINDEX);
	lr->on_headers = luaL_ref(L, LUA_REGISTRYINDEX);
	if (http_start(&lr->request, http, &opts, &err)) {
		unref(L, lr);
		return luax_throw(L, &err, "bpf.http");
	}
	lr->holds = more.hold;
	if (lr->holds)
		loop_hold(script_loop(lr->script));
	lua_settop(L, 2);
	return 1;
}

static int l_tostring(lua_State *L)
{
	struct lrequest *lr = luaL_checkudata(L, 1, REQUEST_CLASS);

	lua_pushstring(L, lr->request ? "Request (open)" : "Request (closed)");
	return 1;
}

void lua_http_install(lua_State *L)
{
	static const luaL_Reg methods[] = { { "close", l_close }, { NULL, NULL } };
	static const luaL_Reg meta[] = { { "__tostring", l_tostring }, { NULL, NULL } };
	static const luaL_Reg none[] = { { NULL, NULL } };

	luax_class(L, REQUEST_CLASS, methods, meta, l_close);
	luax_class(L, CLIENT_CLASS, none, none, close_client);
}
