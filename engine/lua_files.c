/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The module `bpfnet.files`: what Lua's own library can't do with files, or not without a process.
 * Failures are told as nil and a message; a wrong argument raises.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <lauxlib.h>
#include "lua_files.h"
#include "luax.h"
#include "util.h"
#include "walk.h"

#define TREE_CLASS "bpfnet.files.Tree"
#define HELD_CLASS "bpfnet.files.Held"
#define MAX_READ   (64 << 20)

/* nil, message, name of the errno */
static int fail(lua_State *L, const char *what, const char *path, int error)
{
	struct err err;

	err_sys(&err, -error, "can't %s \"%s\"", what, path);
	lua_pushnil(L);
	lua_pushstring(L, err.msg);
	lua_pushstring(L, errno_name(error));
	return 3;
}

static int tree_gc(lua_State *L)
{
	walk_fini(luaL_checkudata(L, 1, TREE_CLASS));
	return 0;
}

/*
 * files.tree(directory) -> { [inode] = path, ... }, unread | nil, message: all directories below,
 * with paths from there on ("/a/b", "/" for itself); how many of them could not be looked into
 */
static int l_tree(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct walk *walk = lua_newuserdatauv(L, sizeof(*walk), 0);
	struct err err;

	memset(walk, 0, sizeof(*walk));
	luaL_setmetatable(L, TREE_CLASS);
	if (walk_tree(walk, path, &err)) {
		lua_pushnil(L);
		lua_pushstring(L, err.msg);
		return 2;
	}
	lua_createtable(L, 0, (int)walk->nr_dirs);
	for (size_t i = 0; i < walk->nr_dirs; i++) {
		const char *text = walk->text + walk->dirs[i].path;

		lua_pushstring(L, *text ? text : "/");
		lua_rawseti(L, -2, (lua_Integer)walk->dirs[i].inode);
	}
	lua_pushinteger(L, (lua_Integer)walk->nr_unread);
	walk_fini(walk);
	return 2;
}

static int next_name(lua_State *L)
{
	DIR **dir = lua_touserdata(L, lua_upvalueindex(1));
	const struct dirent *e;

	while (*dir && (e = readdir(*dir))) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		lua_pushstring(L, e->d_name);
		return 1;
	}
	return 0;
}

static int list_gc(lua_State *L)
{
	DIR **dir = lua_touserdata(L, 1);

	if (*dir)
		closedir(*dir);
	*dir = NULL;
	return 0;
}

/* files.list(directory) -> { name, ... } | nil, message, errno: in the order in which they come */
static int l_list(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	DIR **dir = lua_newuserdatauv(L, sizeof(*dir), 0);

	*dir = NULL;
	luaL_setmetatable(L, "bpfnet.files.Dir");
	*dir = opendir(path);
	if (!*dir)
		return fail(L, "read the directory", path, errno);
	lua_pushcclosure(L, next_name, 1);
	lua_newtable(L);
	for (lua_Integer n = 1;; n++) {
		lua_pushvalue(L, -2);
		lua_call(L, 0, 1);
		if (lua_isnil(L, -1))
			break;
		lua_rawseti(L, -2, n);
	}
	lua_pop(L, 1);
	return 1;
}

static int read_all(lua_State *L, int fd, const char *path, size_t max)
{
	luaL_Buffer text;
	size_t size = 0;

	luaL_buffinit(L, &text);
	for (;;) {
		ssize_t n = read(fd, luaL_prepbuffer(&text), LUAL_BUFFERSIZE);

		if (n < 0)
			return fail(L, "read", path, errno);
		if (n == 0)
			break;
		luaL_addsize(&text, (size_t)n);
		size += (size_t)n;
		if (size > max)
			return fail(L, "read", path, EFBIG);
	}
	luaL_pushresult(&text);
	return 1;
}

static int close_held(lua_State *L)
{
	close_fd(luaL_checkudata(L, 1, HELD_CLASS));
	return 0;
}

/* [-0, +1] something that closes fd once it is collected */
static int *push_held(lua_State *L)
{
	int *fd = lua_newuserdatauv(L, sizeof(*fd), 0);

	*fd = -1;
	luaL_setmetatable(L, HELD_CLASS);
	return fd;
}

/*
 * files.read(path, max) -> text | nil, message, errno: all of a file of at most `max` bytes (EFBIG);
 * never waits, for it takes nothing but regular files (EINVAL), which those in /proc are
 */
static int l_read(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	lua_Integer max = luaL_checkinteger(L, 2);
	struct stat st;
	int *fd, n;

	luaL_argcheck(L, max > 0 && max <= MAX_READ, 2, "bytes, from 1 to 2^26");
	fd = push_held(L);
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0 || fstat(*fd, &st))
		return fail(L, "open", path, errno);
	if (!S_ISREG(st.st_mode))
		return fail(L, "read", path, EINVAL);
	if (st.st_size > max)
		return fail(L, "read", path, EFBIG);
	n = read_all(L, *fd, path, (size_t)max);
	close_fd(fd);
	return n;
}

/* files.link(path) -> what a symbolic link says | nil, message, errno */
static int l_link(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	char text[PATH_MAX];
	ssize_t n = readlink(path, text, sizeof(text));

	if (n < 0)
		return fail(L, "read the link", path, errno);
	lua_pushlstring(L, text, (size_t)n);
	return 1;
}

/* files.inode(path) -> integer | nil, message, errno: its inode number, where links lead */
static int l_inode(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct stat st;

	if (stat(path, &st))
		return fail(L, "find", path, errno);
	lua_pushinteger(L, (lua_Integer)st.st_ino);
	return 1;
}

/*
 * files.hold(path) -> Held, inode | nil, message, errno: while it is held, the kernel gives the inode
 * number to no other file; for namespaces, whose numbers it uses again soon. held:close(), __close, __gc
 */
static int l_hold(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	int *fd = push_held(L);
	struct stat st;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0 || fstat(*fd, &st))
		return fail(L, "open", path, errno);
	lua_pushinteger(L, (lua_Integer)st.st_ino);
	return 2;
}

int luaopen_bpfnet_files(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "tree", l_tree },   { "list", l_list }, { "read", l_read }, { "link", l_link },
		{ "inode", l_inode }, { "hold", l_hold }, { NULL, NULL },
	};
	static const luaL_Reg none[] = { { NULL, NULL } };
	static const luaL_Reg held[] = { { "close", close_held }, { NULL, NULL } };

	luax_class(L, TREE_CLASS, none, none, tree_gc);
	luax_class(L, "bpfnet.files.Dir", none, none, list_gc);
	luax_class(L, HELD_CLASS, held, none, close_held);
	luaL_newlib(L, functions);
	return 1;
}
