/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* coroutine.resume and wrap are ours (script.c): they must behave as stock Lua's do. */
#include <lauxlib.h>
#include <lualib.h>
#include "lua_run.h"

/* The same code in our state and in a stock one; asserts hold in both. */
static void same(const char *code)
{
	lua_State *L = luaL_newstate();

	luaL_openlibs(L);
	if (luaL_loadbufferx(L, code, strlen(code), "=chunk", "t") || lua_pcall(L, 0, 0, 0))
		FAIL("stock Lua: %s", lua_tostring(L, -1));
	lua_close(L);
	script_start(64 << 20, 5);
	script_ok(code);
	script_end();
}

static void results(void)
{
	same("local function pack(...) return {n = select('#', ...), ...} end\n"
	     "local co = coroutine.create(function(a, b, ...)\n"
	     "  assert(a == 1 and b == nil and select('#', ...) == 1)\n"
	     "  local r = pack(coroutine.yield(a, nil, 3))\n"
	     "  assert(r.n == 0)\n"
	     "  return nil, nil\n"
	     "end)\n"
	     "local r = pack(coroutine.resume(co, 1, nil, nil))\n"
	     "assert(r.n == 4 and r[1] == true and r[2] == 1 and r[3] == nil and r[4] == 3)\n"
	     "assert(coroutine.status(co) == 'suspended')\n"
	     "r = pack(coroutine.resume(co))\n"
	     "assert(r.n == 3 and r[1] == true and coroutine.status(co) == 'dead')\n");
}

static void generators(void)
{
	same("local s = 0\n"
	     "for i, j in coroutine.wrap(function() for i = 1, 5 do coroutine.yield(i, i * i) end end)\n"
	     "do s = s + i * j end\n"
	     "assert(s == 225)\n"
	     "local f = coroutine.wrap(function(...) return select('#', ...), ... end)\n"
	     "local n, a, b = f(nil, nil) assert(n == 2 and a == nil and b == nil)\n");
}

static void dead(void)
{
	same("local co = coroutine.create(function() end)\n"
	     "coroutine.resume(co)\n"
	     "local ok, e = coroutine.resume(co)\n"
	     "assert(ok == false and e == 'cannot resume dead coroutine')\n"
	     "local f = coroutine.wrap(function() end) f()\n"
	     "local ok, e = pcall(function() f() end)\n"
	     "assert(not ok and e == 'chunk:6: cannot resume dead coroutine', e)\n"
	     "local co co = coroutine.create(function() return coroutine.resume(co) end)\n"
	     "local _, ok, e = coroutine.resume(co)\n"
	     "assert(ok == false and e == 'cannot resume non-suspended coroutine', e)\n");
}

static void errors(void)
{
	same("local co = coroutine.create(function()\nerror('oops') end)\n"
	     "local ok, e = coroutine.resume(co)\n"
	     "assert(ok == false and e == 'chunk:2: oops', e)\n"
	     "local t = {}\n"
	     "local ok, e = coroutine.resume(coroutine.create(function() error(t) end))\n"
	     "assert(ok == false and e == t)\n"
	     "local ok, e = pcall(coroutine.wrap(function() error(t) end))\n"
	     "assert(ok == false and e == t)\n"
	     "local ok, e = pcall(coroutine.wrap(function() error() end))\n"
	     "assert(ok == false and e == nil)\n");
}

static void wrapped_errors(void)
{
	same("local f = coroutine.wrap(function()\nerror('oops') end)\n"
	     "local ok, e = pcall(function()\nf()\nend)\n"
	     "assert(ok == false and e == 'chunk:4: chunk:2: oops', e)\n"
	     "local ok, e = pcall(coroutine.wrap(function() error('bare', 0) end))\n"
	     "assert(ok == false and e == 'bare', e)\n");
}

static void arguments(void)
{
	same("local function refused(f, ...)\n"
	     "  local ok, e = pcall(f, ...) assert(not ok)\n"
	     "  return e\n"
	     "end\n"
	     "assert(refused(coroutine.resume, 1):find('bad argument #1'))\n"
	     "assert(refused(coroutine.resume, 1):find('expected'))\n"
	     "assert(refused(coroutine.resume):find('bad argument #1'))\n"
	     "assert(refused(coroutine.wrap, 1):find('bad argument #1'))\n"
	     "assert(refused(coroutine.wrap):find('bad argument #1'))\n");
}

static void yieldable(void)
{
	same("assert(not coroutine.isyieldable())\n"
	     "coroutine.wrap(function()\n"
	     "  assert(coroutine.isyieldable())\n"
	     "  coroutine.wrap(function() assert(coroutine.isyieldable()) end)()\n"
	     "  local co, main = coroutine.running() assert(not main)\n"
	     "end)()\n"
	     "assert(select(2, coroutine.running()))\n"
	     "local ok, e = pcall(coroutine.yield) assert(not ok and e:find('outside a coroutine'))\n");
}

static void across(void)
{
	same("local co = coroutine.wrap(function()\n"
	     "  local ok, v = pcall(function() return coroutine.yield(1) + 1 end)\n"
	     "  assert(ok and v == 11)\n"
	     "  local t = setmetatable({}, {__index = function(_, k) return coroutine.yield(k) end})\n"
	     "  return t.name\n"
	     "end)\n"
	     "assert(co() == 1 and co(10) == 'name' and co('value') == 'value')\n"
	     "local outer = coroutine.wrap(function()\n"
	     "  local inner = coroutine.wrap(function() coroutine.yield(1) return 2 end)\n"
	     "  coroutine.yield(inner()) coroutine.yield(inner()) return 'done' end)\n"
	     "assert(outer() == 1 and outer() == 2 and outer() == 'done')\n");
}

static void closing(void)
{
	same("local log = {}\n"
	     "local function new(n) return setmetatable({}, {__close = function(_, e)\n"
	     "  log[#log + 1] = n .. ':' .. tostring(e) end}) end\n"
	     "local co = coroutine.create(function() local x <close> = new('a')\n"
	     "  coroutine.yield() end)\n"
	     "coroutine.resume(co)\n"
	     "assert(coroutine.close(co) == true and log[1] == 'a:nil')\n"
	     "assert(coroutine.status(co) == 'dead')\n"
	     "co = coroutine.create(function() local x <close> = new('b') error('e', 0) end)\n"
	     "assert(not coroutine.resume(co) and log[2] == nil)\n"
	     "local ok, e = coroutine.close(co)\n"
	     "assert(ok == false and e == 'e' and log[2] == 'b:e')\n");
}

/* wrap has nobody who could close the coroutine, so an error closes it. */
static void wrap_closes(void)
{
	same("local log = {}\n"
	     "local f = coroutine.wrap(function()\n"
	     "  local x <close> = setmetatable({}, {__close = function(_, e) log[1] = e end})\n"
	     "  error('e', 0) end)\n"
	     "local ok, e = pcall(f)\n"
	     "assert(not ok and e == 'e', e) assert(log[1] == 'e', 'not closed')\n"
	     "local g = coroutine.wrap(function()\n"
	     "  local x <close> = setmetatable({}, {__close = function() error('later', 0) end})\n"
	     "  error('first', 0) end)\n"
	     "ok, e = pcall(g) assert(not ok and e == 'later', e)\n");
}

static void deep(void)
{
	same("local function nest(n) if n == 0 then return 0 end\n"
	     "  return 1 + coroutine.wrap(function() return nest(n - 1) end)() end\n"
	     "assert(nest(30) == 30)\n"
	     "local function forever() return coroutine.wrap(forever)() end\n"
	     "local ok, e = pcall(forever) assert(not ok and e:find('overflow'), e)\n"
	     "local function resumes() return coroutine.resume(coroutine.create(resumes)) end\n"
	     "resumes()\n");
}

static void many_values(void)
{
	same("local t = {} for i = 1, 5000 do t[i] = i end\n"
	     "local co = coroutine.wrap(function(...)\n"
	     "  local n = select('#', coroutine.yield(...)) return n, ... end)\n"
	     "assert(select('#', co(table.unpack(t))) == 5000)\n"
	     "assert(select('#', co(table.unpack(t))) == 5001)\n");
}

static void garbage(void)
{
	same("local weak = setmetatable({}, {__mode = 'v'})\n"
	     "weak[1] = coroutine.wrap(function() end) weak[2] = coroutine.create(function() end)\n"
	     "collectgarbage() collectgarbage()\n"
	     "assert(weak[1] == nil and weak[2] == nil)\n"
	     "for i = 1, 3000 do coroutine.wrap(function() coroutine.yield() end)() end\n");
}

static const struct t_case cases[] = {
	{ "values go in and come out, nils too", results },
	{ "wrapped coroutines are generators", generators },
	{ "dead and running coroutines can't be resumed", dead },
	{ "errors come out as they are", errors },
	{ "errors of wrapped coroutines have their caller's place", wrapped_errors },
	{ "wrong arguments are refused", arguments },
	{ "coroutines know where they can yield", yieldable },
	{ "yields pass pcall, metamethods and coroutines", across },
	{ "coroutine.close closes variables", closing },
	{ "an error in a wrapped coroutine closes its variables", wrap_closes },
	{ "coroutines nest, and too deep is an error", deep },
	{ "thousands of values pass", many_values },
	{ "coroutines are garbage like all else", garbage },
};

T_MAIN(cases)
