/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The Lua state: memory cap and errors. The time limit: test_deadline.c. */
#include <lauxlib.h>
#include "lua_run.h"
#include "util.h"

#define MIB (1 << 20)

static void memory_cap(void)
{
	script_start(8 * MIB, 1);
	script_fails("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
		     "not enough memory");
	script_ok("assert(#('y'):rep(1000) == 1000)"); /* the state is as good as new */
	script_fails("return ('x'):rep(1 << 30)", "not enough memory");
	script_ok("local ok, e = pcall(string.rep, 'x', 20 << 20) assert(not ok, e) return");
	script_end();
}

static void no_cap(void)
{
	script_start(0, 1);
	script_ok("assert(#('y'):rep(64 << 20) == 64 << 20)");
	script_end();
}

static void cap_in_callback(void)
{
	script_start(8 * MIB, 5);
	script_ok("bpf.after(0, function() t = {} while true do t[#t + 1] = {} end end)"
		  "local ok, e = pcall(bpf.run, 5)"
		  "t = nil assert(not ok and e:find('not enough memory'), e)"
		  "local n = 0 bpf.after(0, function() n = n + 1 end) bpf.run(5) assert(n == 1)");
	script_end();
}

/* C code allocates for scripts as well, and a cap that it goes around is none. */
static void cap_for_json(void)
{
	script_start(8 * MIB, 1);
	script_fails("local t = {} for i = 1, 22 do t = {t, t} end bpf.json(t)", "memory");
	script_end();
}

/* A cap too small for Lua itself is an error like any other, not a crash. */
static void small_caps(void)
{
	char *args[] = { (char *)"a", (char *)"b", NULL };
	struct script_opts opts = { 0, 1, 4096 };
	struct err err;

	for (size_t cap = 1000; cap < 400 * 1000; cap += 1000) {
		opts.max_memory = cap;
		if (script_new(&script, &opts, &err)) {
			CHECK_HAS(err.msg, "memory");
			continue;
		}
		script_set_args(script, "x", 2, args);
		script_run("return 1");
		script_end();
	}
}

static void error_text(void)
{
	script_start(0, 1);
	script_fails("local function f()\nerror('bad thing')\nend\nf()", "chunk:2: bad thing");
	CHECK_HAS(script_error(script), "\nstack traceback:");
	CHECK_HAS(script_error(script), "chunk:4: in main chunk");
	CHECK(!strstr(script_error(script), "[C]"));
	script_fails("error('here')", "chunk:1: here");
	CHECK_STR(script_error(script), "chunk:1: here");
	script_fails("x = = 1", "chunk:1: unexpected symbol");
	script_fails("local a = nil + 1", "attempt to perform arithmetic on a nil value");
	script_fails("error('no place', 0)", "no place\nstack traceback");
	CHECK(strncmp(script_error(script), "no place", 8) == 0);
	script_end();
}

static void error_objects(void)
{
	script_start(0, 1);
	script_fails("error({})", "(error object is a table value)");
	script_fails("error()", "(error object is a nil value)");
	script_fails("error(nil)", "(error object is a nil value)");
	script_fails("error(12)", "12");
	script_fails("error(true)", "(error object is a boolean value)");
	script_fails("error(setmetatable({}, {__tostring = function() return 'mine' end}))",
		     "mine");
	script_fails("error(setmetatable({}, {__tostring = function() return 1 end}))",
		     "(error object is a table value)");
	script_fails("error(setmetatable({}, {__tostring = function() error('worse') end}))", "");
	script_end();
}

static void deep_recursion(void)
{
	script_start(0, 1);
	script_fails("local function f() return 1 + f() end f()", "stack overflow");
	script_fails("local function f() local ok, e = pcall(f) error(e, 0) end f()", "");
	script_fails("local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) "
		     "return s[k .. 'x'] end return t.a",
		     "overflow");
	script_ok("return 1");
	script_end();
}

static void call_from_c(void)
{
	lua_State *L;

	script_start(0, 1);
	L = script_state(script);
	luaL_loadstring(L, "local a, b = ... return a + b, a - b, 7");
	lua_pushinteger(L, 5);
	lua_pushinteger(L, 3);
	CHECK(script_call(script, L, 2, 2));
	CHECK_INT(lua_gettop(L), 2);
	CHECK_INT(lua_tointeger(L, 1), 8);
	CHECK_INT(lua_tointeger(L, 2), 2);
	luaL_loadstring(L, "error('in callback')");
	CHECK(!script_call(script, L, 0, 3));
	CHECK_INT(lua_gettop(L), 2); /* nothing pushed */
	CHECK_HAS(script_error(script), "in callback");
	luaL_loadstring(L, "error('another')");
	CHECK(!script_call(script, L, 0, 0));
	CHECK_HAS(script_error(script), "in callback"); /* the first one is kept */
	CHECK(!script_was_interrupted(script));
	CHECK(script_of(L) == script);
	script_end();
}

/* An error ends the loop, and bpf.run() raises it where it was called. */
static void error_in_callback(void)
{
	script_start(0, 1);
	script_fails("bpf.after(0, function()\nerror('inside')\nend)\nbpf.run()",
		     "chunk:2: inside");
	CHECK(!strstr(script_error(script),
		      "stack traceback")); /* of bpf.run() and who called it */
	script_fails("local function f()\nerror('in f')\nend\n"
		     "bpf.after(0, function()\nf()\nend)\nbpf.run()",
		     "chunk:2: in f\nstack traceback:\n\tchunk:2: in upvalue 'f'\n"
		     "\tchunk:5: in function <chunk:4>");
	CHECK(!strstr(script_error(script), "main chunk"));
	script_ok("local n = 0 "
		  "bpf.every(0.001, function() n = n + 1 if n == 2 then error('at 2') end end) "
		  "local ok, e = pcall(bpf.run, 1) assert(not ok and e:find('at 2'), e) "
		  "assert(n == 2) assert(bpf.run(0.01) == 'timeout') assert(n > 2)");
	script_end();
}

static void arguments(void)
{
	char *args[] = { (char *)"--port", (char *)"", NULL };

	script_start(0, 1);
	script_set_args(script, "tool", 2, args);
	script_ok("assert(arg[0] == 'tool' and #arg == 2 and arg[1] == '--port' and arg[2] == '')");
	script_set_args(script, NULL, 0, args); /* standard input has no name */
	script_ok("assert(#arg == 0)");
	script_end();
}

static void no_bytecode(void)
{
	script_start(0, 1);
	CHECK(!script_load_string(script, "\x1bLua", 4, "=x"));
	CHECK_HAS(script_error(script), "attempt to load a binary chunk");
	CHECK(!script_load_file(script, "/nowhere/x.lua"));
	script_clear_error(script);
	CHECK(!script_load_file(script, "/nowhere/x.lua"));
	CHECK_HAS(script_error(script), "/nowhere/x.lua");
	script_end();
}

static void timers_outlive(void)
{
	script_start(0, 1);
	script_ok(
		"local n = 0 bpf.every(0.001, function() n = n + 1 if n == 3 then bpf.stop() end end)"
		" for i = 1, 3 do collectgarbage() end assert(bpf.run(5) == 'stopped')"
		" assert(n == 3)");
	script_ok("local t t = bpf.every(0.001, function() t:close() t:close() end)"
		  " bpf.run(0.02) assert(tostring(t) == 'Timer (closed)')");
	script_ok("do local t <close> = bpf.every(0.001, function() error('closed') end) end"
		  " bpf.run(0.01)");
	script_end(); /* with a timer that runs */
}

static void nested_run(void)
{
	script_start(0, 1);
	script_ok("local e bpf.after(0, function() e = select(2, pcall(bpf.run, 0.1)) end)"
		  " assert(bpf.run(5) == 'idle')"
		  " assert(e:find('bpf.run: the loop is already running'), e)");
	script_end();
}

static void run_in_coroutine(void)
{
	script_start(0, 1);
	script_ok(
		"local co = coroutine.create(function()"
		"  local n = 0 bpf.after(0, function() n = n + 1 end)"
		"  local why = bpf.run(5) coroutine.yield(why, n) return 'end' end)"
		"local ok, why, n = coroutine.resume(co) assert(ok and why == 'idle' and n == 1, why)"
		"assert(select(2, coroutine.resume(co)) == 'end')");
	script_end();
}

static const struct t_case cases[] = {
	{ "a script that takes too much memory gets an error", memory_cap },
	{ "without a cap it may take what there is", no_cap },
	{ "a callback that takes too much memory gets an error", cap_in_callback },
	{ "the cap counts the text that bpf.json makes", cap_for_json },
	{ "caps too small for Lua are errors", small_caps },
	{ "errors have their place and a traceback", error_text },
	{ "error objects become text", error_objects },
	{ "deep recursion is an error", deep_recursion },
	{ "a call from C leaves results or nothing on the stack", call_from_c },
	{ "an error in a callback comes out of bpf.run", error_in_callback },
	{ "arg holds the arguments", arguments },
	{ "bytecode and missing files are refused", no_bytecode },
	{ "timers live until they are closed", timers_outlive },
	{ "bpf.run inside a callback is refused", nested_run },
	{ "bpf.run works in a coroutine", run_in_coroutine },
};

T_MAIN(cases)
