/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The module `bpfnet.doctor.native`: what lua/bpfnet/doctor*.lua can't do itself. */
#include <lauxlib.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include "caps.h"
#include "doctor_job.h"
#include "doctor_try.h"
#include "log.h"
#include "loop.h"
#include "lua_doctor.h"
#include "luax.h"
#include "redirect.h"
#include "redirect_kernels.h"
#include "script.h"
#include "util.h"

#define JOB_CLASS "bpfnet.doctor.Job"

static const char code[] = "return require('bpfnet.doctor_jobs').run(...)";

struct work {
	const char *kind;
	const char *name;
};

static void write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* In the child, with a state and a loop of its own: those of the parent are its own business. */
static void work(void *arg, int fd)
{
	const struct script_opts opts = { .ring_bytes = 4096 };
	const struct work *w = arg;
	struct script *s;
	struct err err;
	lua_State *L;

	if (log_get_level() < LOG_DEBUG)
		log_set_level(LOG_ERROR);
	if (script_new(&s, &opts, &err) || !script_load_string(s, code, strlen(code), "=doctor"))
		return;
	L = script_state(s);
	lua_pushstring(L, w->kind);
	lua_pushstring(L, w->name);
	if (lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isstring(L, -1))
		write_all(fd, lua_tostring(L, -1), (size_t)lua_rawlen(L, -1));
	else
		log_msg(LOG_ERROR, "doctor: %s %s: %s", w->kind, w->name, lua_tostring(L, -1));
	/* not closed: the end of the process does that, when all have answered */
}

/* native.start(kind, name) -> Job | nil, message: doctor_jobs.run(kind, name) in a process of its own */
static int l_start(lua_State *L)
{
	struct work w = { luaL_checkstring(L, 1), luaL_optstring(L, 2, "") };
	struct doctor_job *job = lua_newuserdatauv(L, sizeof(*job), 0);
	int rc;

	*job = (struct doctor_job){ .answer = -1 };
	luaL_setmetatable(L, JOB_CLASS);
	rc = doctor_job_start(job, work, &w);
	if (!rc)
		return 1;
	lua_pushnil(L);
	lua_pushfstring(L, "can't start a process (%s)", errno_name(-rc));
	return 2;
}

/* job:wait(seconds) -> text, "" if it failed | nil: it has taken too long */
static int l_wait(lua_State *L)
{
	struct doctor_job *job = luaL_checkudata(L, 1, JOB_CLASS);
	lua_Number seconds = luaL_checknumber(L, 2);

	if (!doctor_job_wait(job, now_ns() + (uint64_t)(seconds * NSEC_PER_SEC)))
		return 0;
	lua_pushlstring(L, job->text ? job->text : "", job->len);
	return 1;
}

/* job:dismiss(): it may end */
static int l_dismiss(lua_State *L)
{
	doctor_job_dismiss(luaL_checkudata(L, 1, JOB_CLASS));
	return 0;
}

/* job:finish(wait): waits for the end of one that has answered and was dismissed, or kills it */
static int l_finish(lua_State *L)
{
	doctor_job_end(luaL_checkudata(L, 1, JOB_CLASS), lua_toboolean(L, 2));
	return 0;
}

static int l_gc(lua_State *L)
{
	doctor_job_end(luaL_checkudata(L, 1, JOB_CLASS), false);
	return 0;
}

/* native.try() -> { { name=, error= "EPERM" or nil }, ... }: only in a job, see doctor_try.h */
static int l_try(lua_State *L)
{
	const char *name;

	lua_newtable(L);
	for (int i = 0; (name = doctor_way(i)); i++) {
		int rc = doctor_try(i);

		lua_createtable(L, 0, 2);
		lua_pushstring(L, name);
		lua_setfield(L, -2, "name");
		if (rc) {
			/* the kernel's own ENOTSUPP, 524, has no name here */
			lua_pushstring(L, errno_name(-rc) ? errno_name(-rc) : "ENOTSUPP");
			lua_setfield(L, -2, "error");
		}
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static int push_err(lua_State *L, const struct err *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->msg);
	lua_pushstring(L, *err->hint ? err->hint : NULL);
	return 3;
}

/*
 * native.redirect() -> true | nil, message, hint: loads and attaches all of the redirect but its
 * program on cgroups, so that it takes nothing, and ends it; only in a job, whose loop it uses
 */
static int l_redirect(lua_State *L)
{
	const struct redirect_opts opts = { .any_kernel = true };
	struct redirect *r;
	struct err err;

	if (redirect_start(&r, script_loop(script_of(L)), &opts, &err))
		return push_err(L, &err);
	redirect_free(r);
	lua_pushboolean(L, 1);
	return 1;
}

/*
 * native.kernel() -> { release=, version=, machine=, known=, bad={ {what=, fixed=, source=, warns=}, ... } }:
 * what this kernel is known for with a redirect; known is false if its version can't be told
 */
static int l_kernel(lua_State *L)
{
	const struct redirect_kernel *row = NULL;
	char release[256] = "", version[256] = "", fixed[64];
	struct kernel_version v;
	struct utsname u;
	bool known = !uname(&u) && !redirect_kernel_here(release, version, sizeof(release)) &&
		     redirect_kernel_version(release, version, &v);

	lua_newtable(L);
	luax_set_text(L, "release", release);
	luax_set_text(L, "version", version);
	luax_set_text(L, "machine", u.machine);
	lua_pushboolean(L, known);
	lua_setfield(L, -2, "known");
	lua_newtable(L);
	for (int i = 1; known && (row = redirect_kernel_next(&v, row)); i++) {
		redirect_kernel_fixed_in(row, &v, fixed, sizeof(fixed));
		lua_createtable(L, 0, 4);
		luax_set_text(L, "what", row->what);
		luax_set_text(L, "fixed", fixed);
		luax_set_text(L, "source", row->source);
		lua_pushboolean(L, row->warns);
		lua_setfield(L, -2, "warns");
		lua_rawseti(L, -2, i);
	}
	lua_setfield(L, -2, "bad");
	return 1;
}

/* native.check() -> true | nil, message, hint: may probes run at all */
static int l_check(lua_State *L)
{
	struct err err;

	if (caps_check(&err))
		return push_err(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

/* native.memcg() -> boolean: maps are not counted against RLIMIT_MEMLOCK; nil if not permitted to know */
static int l_memcg(lua_State *L)
{
	int known = caps_memcg();

	if (known >= 0)
		lua_pushboolean(L, known);
	else
		lua_pushnil(L);
	return 1;
}

int luaopen_bpfnet_doctor(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "start", l_start },   { "try", l_try },     { "redirect", l_redirect },
		{ "kernel", l_kernel }, { "check", l_check }, { "memcg", l_memcg },
		{ NULL, NULL },
	};
	static const luaL_Reg methods[] = {
		{ "wait", l_wait }, { "dismiss", l_dismiss }, { "finish", l_finish }, { NULL, NULL }
	};
	static const luaL_Reg none[] = { { NULL, NULL } };

	luax_class(L, JOB_CLASS, methods, none, l_gc);
	luaL_newlib(L, functions);
	return 1;
}
