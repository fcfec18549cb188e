/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <lauxlib.h>
#include "lua_doctor.h"
#include "lua_files.h"
#include "lua_terminal.h"
#include "modules.h"
#include "util.h"

#define INSIDE "@(inside bpfnet)/"

int luaopen_cjson(lua_State *L);

/* The source tree that this binary was built in: two levels up from .output/bpfnet, or "". */
static const char *source_tree(void)
{
	static char path[512];
	static bool known;
	char probe[600];
	ssize_t n;

	if (known)
		return path;
	known = true;
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(path, '/');

		if (slash)
			*slash = '\0';
	}
	snprintf(probe, sizeof(probe), "%s/lua/bpfnet", path);
	if (access(probe, R_OK))
		path[0] = '\0';
	return path;
}

const char *module_file(const char *source)
{
	const char *tree = source_tree();
	size_t len = strlen(tree);

	if (str_starts(source, INSIDE))
		return source + strlen(INSIDE);
	if (len && *source == '@' && !strncmp(source + 1, tree, len) &&
	    str_starts(source + 1 + len, "/lua/bpfnet/"))
		return source + 1 + len + strlen("/lua/");
	return NULL;
}

static const struct embedded *find(const struct embedded *list, const char *name)
{
	for (; list->name; list++)
		if (str_eq(list->name, name))
			return list;
	return NULL;
}

/* package.searchers: [name] -> loader, or a text that says why not */
static int search(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const struct embedded *m = find(embedded_modules, name);

	if (!m || strstr(name, "._meta")) {
		lua_pushfstring(L, "no module '%s' inside bpfnet", name);
		return 1;
	}
	lua_pushfstring(L, INSIDE "%s.lua", luaL_gsub(L, name, ".", "/"));
	lua_remove(L, -2);
	if (luaL_loadbufferx(L, m->start, (size_t)(m->end - m->start), lua_tostring(L, -1), "t"))
		return lua_error(L);
	lua_pushstring(L, name);
	return 2;
}

/* [-0, +1] the names in a list of what is embedded */
static void push_names(lua_State *L, const struct embedded *list)
{
	lua_newtable(L);
	for (int i = 0; list[i].name; i++) {
		lua_pushstring(L, list[i].name);
		lua_rawseti(L, -2, i + 1);
	}
}

/* embedded.modules() -> names of the modules inside the binary, and of their annotations: "bpfnet._meta" */
static int l_modules(lua_State *L)
{
	push_names(L, embedded_modules);
	return 1;
}

/* embedded.scripts() -> names of the shipped scripts: "tcplife" */
static int l_scripts(lua_State *L)
{
	push_names(L, embedded_scripts);
	return 1;
}

/* embedded.source(name) -> text of a module or script, or nil; that of the binary, also in the source tree */
static int l_source(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const struct embedded *m = find(embedded_modules, name);

	if (!m)
		m = find(embedded_scripts, name);
	if (m)
		lua_pushlstring(L, m->start, (size_t)(m->end - m->start));
	else
		lua_pushnil(L);
	return 1;
}

static int open_embedded(lua_State *L)
{
	static const luaL_Reg functions[] = { { "modules", l_modules },
					      { "scripts", l_scripts },
					      { "source", l_source },
					      { NULL, NULL } };

	luaL_newlib(L, functions);
	return 1;
}

/* Before the file searchers: a module of the same name in the current directory is not ours. */
static void add_searcher(lua_State *L)
{
	lua_getfield(L, -1, "searchers");
	for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
		lua_geti(L, -1, i);
		lua_seti(L, -2, i + 1);
	}
	lua_pushcfunction(L, search);
	lua_seti(L, -2, 2);
	lua_pop(L, 1);
}

void modules_install(lua_State *L)
{
	const char *tree = source_tree();

	lua_getglobal(L, "package");
	if (*tree) {
		lua_getfield(L, -1, "path");
		lua_pushfstring(L, "%s/lua/?.lua;%s", tree, lua_tostring(L, -1));
		lua_setfield(L, -3, "path");
		lua_pop(L, 1);
	} else {
		add_searcher(L);
	}
	lua_getfield(L, -1, "preload");
	lua_pushcfunction(L, luaopen_cjson);
	lua_setfield(L, -2, "cjson");
	lua_pushcfunction(L, luaopen_bpfnet_files);
	lua_setfield(L, -2, "bpfnet.files");
	lua_pushcfunction(L, open_embedded);
	lua_setfield(L, -2, "bpfnet.embedded");
	lua_pushcfunction(L, luaopen_bpfnet_doctor);
	lua_setfield(L, -2, "bpfnet.doctor.native");
	lua_pushcfunction(L, luaopen_bpfnet_terminal);
	lua_setfield(L, -2, "bpfnet.terminal");
	lua_pop(L, 2);
}

const struct embedded *script_find(const char *name)
{
	return find(embedded_scripts, name);
}

const char *script_source_path(const char *name)
{
	static char path[700];

	if (!*source_tree() || strchr(name, '/'))
		return NULL;
	snprintf(path, sizeof(path), "%s/scripts/%s.lua", source_tree(), name);
	return access(path, R_OK) ? NULL : path;
}
