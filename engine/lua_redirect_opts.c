/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <lauxlib.h>
#include "cgroup.h"
#include "lua_pod.h"
#include "lua_redirect.h"
#include "luax.h"
#include "util.h"

#define WHERE "bpf.redirect"
#define PORTS "ports like 8080, \"9000-9100\" or a list of them"

static void add_port(lua_State *L, const char *name, struct port_range *list, int *n,
		     unsigned long first, unsigned long last)
{
	if (*n == REDIRECT_LIST)
		luaL_error(L, WHERE ": option \"%s\": more than %d ranges", name, REDIRECT_LIST);
	list[*n].first = (uint16_t)first;
	list[(*n)++].last = (uint16_t)last;
}

/* "8080,9000-9100"; false if it is not. */
static bool read_port_text(lua_State *L, const char *name, const char *text,
			   struct port_range *list, int *n)
{
	do {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (end == text)
			return false;
		text = end;
		if (*text == '-') {
			last = strtoul(text + 1, &end, 10);
			if (end == text + 1)
				return false;
			text = end;
		}
		if (!first || first > last || last > 65535)
			return false;
		add_port(L, name, list, n, first, last);
	} while (*text++ == ',');
	return text[-1] == '\0';
}

static bool read_port(lua_State *L, const char *name, struct port_range *list, int *n)
{
	lua_Integer port = lua_tointeger(L, -1);

	if (lua_isinteger(L, -1)) {
		if (port < 1 || port > 65535)
			return false;
		add_port(L, name, list, n, (unsigned long)port, (unsigned long)port);
		return true;
	}
	return lua_type(L, -1) == LUA_TSTRING &&
	       read_port_text(L, name, lua_tostring(L, -1), list, n);
}

/* {9000, 9100} inside of a list: a range */
static bool read_range(lua_State *L, const char *name, struct port_range *list, int *n)
{
	lua_Integer first, last;

	if (!lua_istable(L, -1) || luaL_len(L, -1) != 2)
		return false;
	lua_geti(L, -1, 1);
	lua_geti(L, -2, 2);
	first = lua_tointeger(L, -2);
	last = lua_tointeger(L, -1);
	lua_pop(L, 2);
	if (first < 1 || first > last || last > 65535)
		return false;
	add_port(L, name, list, n, (unsigned long)first, (unsigned long)last);
	return true;
}

static void read_ports(lua_State *L, int index, const char *key, const char *name,
		       struct port_range *list, int *n)
{
	*n = 0;
	if (lua_getfield(L, index, key) == LUA_TTABLE) {
		for (int i = 1; i <= luaL_len(L, -1); i++) {
			lua_geti(L, -1, i);
			if (!read_port(L, name, list, n) && !read_range(L, name, list, n))
				luax_bad_option(L, WHERE, name, PORTS, -1);
			lua_pop(L, 1);
		}
	} else if (!lua_isnil(L, -1) && !read_port(L, name, list, n)) {
		luax_bad_option(L, WHERE, name, PORTS, -1);
	}
	lua_pop(L, 1);
}

/* Calls each for a value, or for every one of a list. */
static void for_each(lua_State *L, int index, const char *key,
		     void (*each)(lua_State *L, const char *key, void *arg), void *arg)
{
	if (lua_getfield(L, index, key) == LUA_TTABLE) {
		for (int i = 1; i <= luaL_len(L, -1); i++) {
			lua_geti(L, -1, i);
			each(L, key, arg);
			lua_pop(L, 1);
		}
	} else if (!lua_isnil(L, -1)) {
		each(L, key, arg);
	}
	lua_pop(L, 1);
}

struct pid_list {
	int *list;
	int n;
};

static void add_pid(lua_State *L, const char *key, void *arg)
{
	lua_Integer pid = lua_tointeger(L, -1);
	struct pid_list *p = arg;

	if (!lua_isinteger(L, -1) || pid < 1 || pid > INT32_MAX)
		luax_bad_option(L, WHERE, key, "a process id, or a list of them", -1);
	if (p->n == REDIRECT_LIST)
		luaL_error(L, WHERE ": option \"%s\": more than %d processes", key, REDIRECT_LIST);
	p->list[p->n++] = (int)pid;
}

static int read_pids(lua_State *L, int index, const char *key, int *list)
{
	struct pid_list p = { .list = list };

	for_each(L, index, key, add_pid, &p);
	return p.n;
}

struct cgroup_list {
	char **list;
	int n;
};

static void add_path(lua_State *L, struct cgroup_list *c, char *path)
{
	/* of one inside of another: its programs would run twice for the same socket */
	for (int i = 0; i < c->n; i++) {
		size_t have = strlen(c->list[i]), want = strlen(path);

		if (str_starts(path, c->list[i]) &&
		    (path[have] == '/' || path[have] == '\0' || c->list[i][have - 1] == '/')) {
			free(path);
			return;
		}
		if (str_starts(c->list[i], path) && c->list[i][want] == '/') {
			free(c->list[i]);
			c->list[i--] = c->list[--c->n];
		}
	}
	if (c->n == REDIRECT_LIST) {
		free(path);
		luaL_error(L, WHERE ": more than %d cgroups", REDIRECT_LIST);
	}
	c->list[c->n++] = path;
}

static void add_cgroup(lua_State *L, const char *key, void *arg)
{
	struct err err;
	char *path;

	if (lua_type(L, -1) != LUA_TSTRING)
		luax_bad_option(L, WHERE, key, "a cgroup's path, or a list of them", -1);
	if (cgroup_path(&path, lua_tostring(L, -1), &err))
		luax_throw(L, &err, WHERE);
	add_path(L, arg, path);
}

static void add_uid(lua_State *L, const char *uid, struct cgroup_list *cgroups)
{
	struct err err;
	char *path;

	if (cgroup_of_pod(&path, uid, &err))
		luax_throw(L, &err, WHERE);
	add_path(L, cgroups, path);
}

/* As Kubernetes makes them, and the digits alone of a static pod's. */
static bool is_uid(const char *text)
{
	size_t digits = strspn(text, "0123456789abcdef-");

	return !text[digits] && (digits == 36 || digits == 32);
}

/* A uid, or a name, which bpfnet.pod knows the pods of. */
static void add_pod(lua_State *L, const char *key, void *arg)
{
	if (lua_type(L, -1) != LUA_TSTRING)
		luax_bad_option(L, WHERE, key, "a pod's name or uid, or a list of them", -1);
	if (is_uid(lua_tostring(L, -1))) {
		add_uid(L, lua_tostring(L, -1), arg);
		return;
	}
	lua_pod_uids(L, lua_tostring(L, -1));
	for (lua_Integer i = 1; lua_geti(L, -1, i) == LUA_TSTRING; i++) {
		add_uid(L, lua_tostring(L, -1), arg);
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
}

static uint64_t limit(lua_State *L, int index, const char *key)
{
	lua_Integer n = 0;

	if (lua_getfield(L, index, key) != LUA_TNIL) {
		n = lua_tointeger(L, -1);
		if (!lua_isinteger(L, -1) || n < 1 || n > INT32_MAX)
			luax_bad_option(L, WHERE, key, "a number from 1 to 2147483647", -1);
	}
	lua_pop(L, 1);
	return (uint64_t)n;
}

static bool flag(lua_State *L, int index, const char *key)
{
	bool set;

	if (lua_getfield(L, index, key) != LUA_TNIL && !lua_isboolean(L, -1))
		luax_bad_option(L, WHERE, key, "true or false", -1);
	set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

static void read_policy_table(lua_State *L, int index, struct redirect_policy *p)
{
	static const char *const known[] = { "turns",       "turn_bytes",  "stream_bytes",
					     "stream_msgs", "queue_bytes", "queue_msgs",
					     "streams",     "blocking",    NULL };

	luax_check_keys(L, index, WHERE ": policy", known);
	p->turns = (uint32_t)limit(L, index, "turns");
	p->turn_bytes = limit(L, index, "turn_bytes");
	p->stream_bytes = limit(L, index, "stream_bytes");
	p->stream_msgs = (uint32_t)limit(L, index, "stream_msgs");
	p->queue_bytes = limit(L, index, "queue_bytes");
	p->queue_msgs = (uint32_t)limit(L, index, "queue_msgs");
	p->streams = flag(L, index, "streams");
	p->blocking = flag(L, index, "blocking");
}

static void read_policy(lua_State *L, int index, struct redirect_policy *p)
{
	int type = lua_getfield(L, index, "policy");

	if (type == LUA_TTABLE)
		read_policy_table(L, lua_gettop(L), p);
	else if (type == LUA_TSTRING && str_eq(lua_tostring(L, -1), "all"))
		p->turns = 1, p->streams = true;
	else if (type != LUA_TNIL && !(type == LUA_TSTRING && str_eq(lua_tostring(L, -1), "turns")))
		luax_bad_option(L, WHERE, "policy", "\"turns\", \"all\" or a table of limits", -1);
	lua_pop(L, 1);
}

static void read_exclude(lua_State *L, int index, struct redirect_opts *opts,
			 struct redirect_lists *lists)
{
	static const char *const known[] = { "ports", "pids", NULL };
	int type = lua_getfield(L, index, "exclude"), top = lua_gettop(L);

	if (type == LUA_TTABLE) {
		luax_check_keys(L, top, WHERE ": exclude", known);
		read_ports(L, top, "ports", "exclude.ports", lists->excluded, &opts->nr_excluded);
		opts->nr_excluded_pids = read_pids(L, top, "pids", lists->excluded_pids);
	} else if (type != LUA_TNIL) {
		luax_bad_option(L, WHERE, "exclude", "a table with ports and pids", -1);
	}
	lua_pop(L, 1);
}

void lua_redirect_opts(lua_State *L, int index, struct redirect_opts *opts,
		       struct redirect_lists *lists)
{
	static const char *const known[] = { "cgroup", "ports",    "pids",       "pods", "exclude",
					     "policy", "on_event", "any_kernel", NULL };
	struct cgroup_list cgroups = { .list = lists->cgroups };

	luax_check_keys(L, index, WHERE, known);
	for_each(L, index, "cgroup", add_cgroup, &cgroups);
	for_each(L, index, "pods", add_pod, &cgroups);
	if (!cgroups.n)
		luaL_error(L, WHERE ": which connections? give cgroup (\"/\" is all of this host), "
				    "or pods");
	read_ports(L, index, "ports", "ports", lists->ports, &opts->nr_ports);
	opts->nr_pids = read_pids(L, index, "pids", lists->pids);
	read_exclude(L, index, opts, lists);
	read_policy(L, index, &opts->policy);
	opts->any_kernel = flag(L, index, "any_kernel");
	opts->cgroups = (const char *const *)lists->cgroups;
	opts->nr_cgroups = cgroups.n;
	opts->ports = lists->ports;
	opts->excluded = lists->excluded;
	opts->pids = lists->pids;
	opts->excluded_pids = lists->excluded_pids;
}

void lua_redirect_free_lists(struct redirect_lists *lists)
{
	for (int i = 0; i < REDIRECT_LIST; i++)
		free(lists->cgroups[i]);
	memset(lists, 0, sizeof(*lists));
}
