/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Runaway callbacks are stopped, whatever they hide in. */
#include <signal.h>
#define T_SECONDS 10
#include "lua_run.h"
#include "util.h"

#define LIMIT 0.2

/* The code runs in a timer's callback and is stopped in time; so the state works on. */
static void stopped(const char *code)
{
	char chunk[2048];
	uint64_t began;
	double took;

	script_start(64 << 20, LIMIT);
	snprintf(chunk, sizeof(chunk),
		 "bpf.after(0, function() %s end)\n"
		 "local ok, e = pcall(bpf.run, 30)\n"
		 "assert(not ok and e:find('ran longer than 0.2'), e)",
		 code);
	began = now_ns();
	script_ok(chunk);
	took = (double)(now_ns() - began) / 1e9;
	if (took < LIMIT * 0.7 || took > LIMIT * 20) /* other tests may keep the machine busy */
		FAIL("stopped after %.3f s", took);
	script_ok("local n = 0 for i = 1, 1000 do n = n + 1 end"
		  " bpf.after(0, function() for i = 1, 1e5 do n = n + 1 end end)"
		  " assert(bpf.run(5) == 'idle') assert(n == 101000)");
	script_end();
}

static void loops(void)
{
	stopped("while true do end");
}

static void calls(void)
{
	stopped("local function f() return f() end f()");
}

static void in_pcall(void)
{
	stopped("while true do pcall(function() while true do end end) end");
}

static void in_xpcall(void)
{
	stopped("while true do xpcall(function() while true do end end, print) end");
}

/* The handler runs where the hook raised, and Lua has hooks off there; so a second signal it is. */
static void in_message_handler(void)
{
	if (!getenv("T_ALL"))
		SKIP("Lua calls no hooks inside a hook");
	stopped("local function spin() while true do end end xpcall(spin, spin)");
}

static void in_sort(void)
{
	stopped("local t = {} for i = 1, 100000 do t[i] = i end "
		"while true do table.sort(t, function(a, b) return a > b end) end");
}

static void in_gsub(void)
{
	stopped("while true do (('x'):rep(1000)):gsub('x', function() return 'y' end) end");
}

static void in_metamethods(void)
{
	stopped("local t = setmetatable({}, {__index = function(t, k) while true do end end}) "
		"while true do pcall(function() return t.x end) end");
}

static void in_resume(void)
{
	stopped("coroutine.resume(coroutine.create(function() while true do end end)) "
		"while true do end");
}

static void in_wrap(void)
{
	stopped("while true do coroutine.wrap(function() while true do end end)() end");
}

static void pcall_around_wrap(void)
{
	stopped("while true do pcall(coroutine.wrap(function() while true do end end)) end");
}

static void pcall_in_coroutine(void)
{
	stopped("coroutine.wrap(function() while true do "
		"pcall(function() while true do end end) end end)()");
}

static void yields(void)
{
	stopped("local co = coroutine.wrap(function() while true do coroutine.yield() end end) "
		"while true do co() end");
}

static void new_coroutines(void)
{
	stopped("while true do local co = coroutine.create(function() return 1 end) "
		"coroutine.resume(co) end");
}

/* The innermost is stopped; those around it must not go on with the next one. */
static void nested_coroutines(void)
{
	stopped("local function spin() while true do end end "
		"local function again() while true do pcall(coroutine.wrap(spin)) end end "
		"local function outer() while true do pcall(coroutine.wrap(again)) end end "
		"while true do coroutine.resume(coroutine.create(outer)) end");
}

static void run_in_coroutine(void)
{
	uint64_t began;

	script_start(64 << 20, LIMIT);
	began = now_ns();
	script_ok("local function spin() while true do end end\n"
		  "bpf.after(0, function() while true do pcall(coroutine.wrap(spin)) end end)\n"
		  "coroutine.wrap(function()\n"
		  "local ok, e = pcall(bpf.run, 30)\n"
		  "assert(not ok and e:find('ran longer than 0.2'), e)\n"
		  "end)()");
	CHECK(now_ns() - began < NSEC_PER_SEC);
	script_end();
}

static void in_close(void)
{
	stopped("local co = coroutine.create(function() "
		"local x <close> = setmetatable({}, {__close = function() while true do end end}) "
		"coroutine.yield() end) coroutine.resume(co) coroutine.close(co) while true do end");
}

static void without_hooks(void)
{
	stopped("while true do pcall(debug.sethook) end");
}

static void quick_ones(void)
{
	script_start(0, LIMIT);
	/* 40 callbacks take longer than the limit together, and none of them alone */
	script_ok("local n, t = 0 t = bpf.every(0.001, function() n = n + 1 "
		  "local e = bpf.now() + 20000000 while bpf.now() < e do end "
		  "if n == 40 then bpf.stop() end end) "
		  "assert(bpf.run(30) == 'stopped') t:close()");
	script_end();
}

static void main_chunk(void)
{
	script_start(0, LIMIT);
	script_ok("local e = bpf.now() + 600000000 while bpf.now() < e do end");
	script_end();
}

static void no_limit(void)
{
	script_start(0, 0);
	script_ok("bpf.after(0, function() local e = bpf.now() + 1500000000 "
		  "while bpf.now() < e do end end) assert(bpf.run(30) == 'idle')");
	script_end();
}

/* SIGINT while the main chunk runs ends it, within pcall and coroutines too. */
static void interrupted(const char *code)
{
	pid_t me = getpid(), pid = fork();

	if (pid == 0) {
		usleep(200 * 1000);
		kill(me, SIGINT);
		_exit(0);
	}
	script_start(0, LIMIT);
	script_fails(code, "interrupted");
	CHECK(script_was_interrupted(script));
	CHECK_INT(loop_signal(script_loop(script)), SIGINT);
	script_end();
	waitpid(pid, NULL, 0);
}

static void interrupt(void)
{
	interrupted("while true do end");
}

static void interrupt_pcall(void)
{
	interrupted("while true do pcall(function() while true do end end) end");
}

static void interrupt_coroutines(void)
{
	interrupted("local function spin() while true do end end "
		    "local function again() while true do pcall(coroutine.wrap(spin)) end end "
		    "while true do pcall(coroutine.wrap(again)) end");
}

/* bpf.run() returns on the first signal, and the script may still finish its work. */
static void interrupt_run(void)
{
	script_start(0, LIMIT);
	script_ok("os.execute('(sleep 0.5; kill -TERM $PPID) &') bpf.every(1000, print) "
		  "assert(bpf.run() == 'interrupted') "
		  "local n = 0 for i = 1, 1e6 do n = n + 1 end");
	script_end();
}

static const struct t_case cases[] = {
	{ "an endless loop is stopped", loops },
	{ "endless tail calls are stopped", calls },
	{ "pcall does not help a runaway", in_pcall },
	{ "xpcall does not help a runaway", in_xpcall },
	{ "an endless message handler is stopped", in_message_handler },
	{ "sorting for ever is stopped", in_sort },
	{ "gsub for ever is stopped", in_gsub },
	{ "an endless metamethod is stopped", in_metamethods },
	{ "a resumed coroutine is stopped", in_resume },
	{ "a wrapped coroutine is stopped", in_wrap },
	{ "pcall around coroutines does not help", pcall_around_wrap },
	{ "pcall in a coroutine does not help", pcall_in_coroutine },
	{ "endless yields are stopped", yields },
	{ "endlessly many coroutines are stopped", new_coroutines },
	{ "coroutines in coroutines are stopped", nested_coroutines },
	{ "callbacks of bpf.run in a coroutine are stopped", run_in_coroutine },
	{ "an endless __close of a coroutine is stopped", in_close },
	{ "debug.sethook does not help", without_hooks },
	{ "many short callbacks are not stopped", quick_ones },
	{ "the main chunk has no limit", main_chunk },
	{ "a limit of 0 is none", no_limit },
	{ "an interrupt stops the main chunk", interrupt },
	{ "an interrupt stops the main chunk in pcall", interrupt_pcall },
	{ "an interrupt stops the main chunk in coroutines", interrupt_coroutines },
	{ "an interrupt of bpf.run lets the script finish", interrupt_run },
};

T_MAIN(cases)
