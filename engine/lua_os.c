/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <lauxlib.h>
#include <lualib.h>
#include "lua_os.h"

/*
 * os.execute([command]) as in Lua's manual. system() ignores SIGINT while it waits: a script that mostly waits there
 * could not be ended by Ctrl-C. Here our handler notes it, and the loop sees it afterwards.
 */
static int l_execute(lua_State *L)
{
	const char *command = luaL_optstring(L, 1, NULL);
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
	int status;
	pid_t pid;

	if (!command) {
		lua_pushboolean(L, !access("/bin/sh", X_OK));
		return 1;
	}
	errno = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
	if (errno)
		return luaL_fileresult(L, 0, NULL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return luaL_fileresult(L, 0, NULL);
	errno = 0; /* or it would be taken for the reason */
	return luaL_execresult(L, status);
}

void lua_os_install(lua_State *L)
{
	lua_getglobal(L, LUA_OSLIBNAME);
	lua_pushcfunction(L, l_execute);
	lua_setfield(L, -2, "execute");
	lua_pop(L, 1);
}
