/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Handlers that do things to the probe that they are called for. Needs root. */
#include "lua_run.h"

static void start(void)
{
	need_bpf();
	script_start(64 << 20, 1);
	/* connections that are refused: an event each */
	script_ok("function connect(n) os.execute(\"bash -c 'for i in $(seq \" .. n .. "
		  "\"); do (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; done'\") end");
}

static void detach_in_drain(void)
{
	start();
	script_ok("local n, seen = 0, {}\n"
		  "local p p = bpf.attach('tcpconnect', {filter = {dport = 9}}, function(ev)\n"
		  "  n = n + 1\n"
		  "  assert(not seen[ev.ts_ns], 'the same event twice') seen[ev.ts_ns] = true\n"
		  "  p:detach() end)\n"
		  "connect(5) p:detach() assert(n == 5, n) p:close()\n");
	script_end();
}

static void run_in_drain(void)
{
	start();
	script_ok("local n, p = 0\n"
		  "p = bpf.attach('tcpconnect', {filter = {dport = 9}}, function(ev)\n"
		  "  n = n + 1 assert(n <= 5, 'the same event twice') pcall(bpf.run, 0.05) end)\n"
		  "connect(5) p:detach() bpf.run(0.1) assert(n == 5, n) p:close()\n");
	script_end();
}

/* The ring of its own is being read at that moment. */
static void close_own_ring(void)
{
	start();
	script_ok("local n, p = 0\n"
		  "p = bpf.attach('tcpconnect', {filter = {dport = 9}, buffer = 4096},\n"
		  "  function(ev) n = n + 1 p:close() end)\n"
		  "connect(3) assert(bpf.run(5) == 'idle') assert(n == 1, n)\n"
		  "assert(p.state == 'closed' and not pcall(p.stats, p))\n");
	script_ok("local n, p = 0\n"
		  "p = bpf.attach('tcpconnect', {filter = {dport = 9}, buffer = 4096},\n"
		  "  function(ev) n = n + 1 p:close() end)\n"
		  "connect(3) p:detach() assert(n == 1, n)\n"
		  "p = nil collectgarbage() collectgarbage()\n");
	script_end();
}

static void close_other(void)
{
	start();
	script_ok("local n, p, q = 0\n"
		  "local function f() n = n + 1 p:close() q:close() end\n"
		  "p = bpf.attach('tcpconnect', {filter = {dport = 9}}, f)\n"
		  "q = bpf.attach('tcpconnect', {filter = {dport = 9}, buffer = 4096}, f)\n"
		  "connect(3) bpf.run(0.3) assert(n == 1, n)\n");
	script_end();
}

static void inject_errors(void)
{
	start();
	script_ok(
		"local p = bpf.load('tcpconnect', function(ev) error('in handler') end)\n"
		"local ok, e = pcall(p.inject, p, {})\n"
		"assert(not ok and e:find('in handler'), e)\n"
		"ok, e = pcall(p.inject, p, {dprot = 1}) assert(e:find('did you mean \"dport\"'), e)\n"
		"ok, e = pcall(p.inject, p, {dport = 65536}) assert(e:find('does not fit'), e)\n"
		"ok, e = pcall(p.inject, p, {dport = {}}) assert(e:find('got table'), e)\n"
		"ok, e = pcall(p.inject, p, {[1] = 2}) assert(e:find('fields have names'), e)\n"
		"p:close()");
	script_end();
}

/* pcall in a callback has dealt with the error: the loop goes on. */
static void inject_caught(void)
{
	start();
	script_ok("local p = bpf.load('tcpconnect', function(ev) error('in handler') end)\n"
		  "local after = false\n"
		  "bpf.after(0, function() assert(not pcall(p.inject, p, {})) end)\n"
		  "bpf.after(0.05, function() after = true end)\n"
		  "local why = bpf.run(5) assert(why == 'idle' and after, why)\n"
		  "p:close()");
	script_end();
}

static void inject_values(void)
{
	start();
	script_ok(
		"local got local p = bpf.load('tcpconnect', function(ev) got = ev end)\n"
		"p:inject{comm = 'curl', dport = 443, daddr = '10.0.0.1', pid = 42}\n"
		"assert(got.comm == 'curl' and got.dport == 443 and got.daddr == '10.0.0.1')\n"
		"assert(got.pid == 42 and got:json():find('\"daddr\":\"10.0.0.1\"'))\n"
		"assert(p:stats().events == 1) p:close()\n"
		"assert(select(2, pcall(p.stats, p)):find('probe:stats: the probe is closed'))\n");
	script_end();
}

static void runaway_handler(void)
{
	start();
	script_ok("local p = bpf.attach('tcpconnect', {filter = {dport = 9}}, function()\n"
		  "  while true do end end)\n"
		  "connect(1) local ok, e = pcall(bpf.run, 10)\n"
		  "assert(not ok and e:find('ran longer than'), e) p:close()");
	script_end();
}

static const struct t_case cases[] = {
	{ "detach in a handler gives no event twice", detach_in_drain },
	{ "run in a handler gives no event twice", run_in_drain },
	{ "a probe with its own ring can be closed by its handler", close_own_ring },
	{ "a handler can close other probes", close_other },
	{ "wrong injections are refused, errors of the handler come out", inject_errors },
	{ "a caught error of an injection does not end the loop", inject_caught },
	{ "injected events look like the kernel's", inject_values },
	{ "a handler that never returns is stopped", runaway_handler },
};

T_MAIN(cases)
