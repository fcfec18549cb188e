/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <lauxlib.h>
#include "lua_terminal.h"
#include "terminal.h"

#define MAX_LINES 500

static const struct remote_terminal *remote;

void lua_terminal_set_remote(const struct remote_terminal *r)
{
	remote = r;
}

/* terminal.size() -> columns, rows */
static int l_size(lua_State *L)
{
	int columns, rows;

	terminal_size(&columns, &rows);
	lua_pushinteger(L, remote ? remote->columns : columns);
	lua_pushinteger(L, remote ? remote->rows : rows);
	return 2;
}

/* terminal.is_tty() -> boolean */
static int l_is_tty(lua_State *L)
{
	lua_pushboolean(L, remote ? remote->tty : terminal_is_tty());
	return 1;
}

/* terminal.colour() -> boolean: it shows colours, and the user wants them */
static int l_colour(lua_State *L)
{
	lua_pushboolean(L, remote ? remote->colour : terminal_colour());
	return 1;
}

static bool show_above(const char *const *lines, int n)
{
	return remote ? remote->above(remote->arg, lines, n) : terminal_above(lines, n);
}

static void write_text(const char *text, size_t len)
{
	if (remote)
		remote->write(remote->arg, text, len);
	else
		terminal_write(text, len);
}

/* terminal.above(lines or nil): a block above the prompt; printed where there is none */
static int l_above(lua_State *L)
{
	const char *lines[MAX_LINES];
	int n = 0;

	if (!lua_isnoneornil(L, 1)) {
		lua_Integer len;

		luaL_checktype(L, 1, LUA_TTABLE);
		len = luaL_len(L, 1);
		lua_settop(L, 1);
		luaL_checkstack(L, MAX_LINES, "terminal.above");
		for (lua_Integer i = 1; i <= len && n < MAX_LINES; i++) {
			if (lua_geti(L, 1, i) != LUA_TSTRING)
				return luaL_error(L,
						  "terminal.above: expected a list of strings,"
						  " got a %s in it",
						  luaL_typename(L, -1));
			lines[n++] = lua_tostring(L, -1);
		}
	}
	if (show_above(lines, n))
		return 0;
	for (int i = 0; i < n; i++) {
		write_text(lines[i], lua_rawlen(L, i + 2));
		write_text("\n", 1);
	}
	return 0;
}

/* terminal.lend(): a child process is about to write there */
static int l_lend(lua_State *L)
{
	(void)L;
	terminal_lend();
	return 0;
}

/* terminal.write(text) */
static int l_write(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);

	write_text(text, len);
	return 0;
}

int luaopen_bpfnet_terminal(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "size", l_size },   { "is_tty", l_is_tty }, { "colour", l_colour },
		{ "above", l_above }, { "write", l_write },   { "lend", l_lend },
		{ NULL, NULL },
	};

	luaL_newlib(L, functions);
	return 1;
}
