-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Bad input gets one clear error that names the thing and what was expected.

local helper = require "helper"

-- Code, and what its error has to say.
local WRONG = {
  { [[bpf.attach("tcpconect")]], 'unknown probe "tcpconect", did you mean "tcpconnect"?' },
  { [[bpf.attach("zzzzzz")]], 'unknown probe "zzzzzz"' },
  { [[bpf.attach("socks")]], 'unknown probe "socks"' },
  { [[bpf.attach()]], "bpf.attach: expected the name of a probe, got nothing" },
  { [[bpf.attach(7)]], "bpf.attach: expected the name of a probe, got integer" },
  { [[bpf.attach("tcpclose", {fliter = {}})]],
    'unknown option "fliter", did you mean "filter"? (known: filter, where' },
  { [[bpf.attach("tcpclose", {1})]], "options have names, got a key of type integer" },
  { [[bpf.attach("tcpclose", {filter = 5})]],
    'bad option "filter": expected a table like {pid = 42}, got integer' },
  { [[bpf.attach("tcpclose", {buffer = "big"})]], 'bad option "buffer": expected bytes' },
  { [[bpf.attach("tcpclose", {latency = "high"})]], 'bad option "latency": expected "low"' },
  { [[bpf.attach("tcpclose", {fields = {"cookei"}})]],
    'unknown field "cookei", did you mean "cookie"?' },
  { [[bpf.attach("tcpclose", {fields = {}})]], 'bad option "fields": expected 1 to 32 names' },
  { [[bpf.attach("tcpclose", {fields = {7}})]], "expected a list of field names" },
  { [[bpf.attach("tcpclose", function(comm, dadr) end)]],
    'unknown field "dadr", did you mean "daddr"?' },
  { [[bpf.attach("tcpclose", 7)]], "expected a function or an options table, got integer" },
  { [[bpf.attach("tcpclose", {filter = {pdi = 7}})]],
    'unknown filter "pdi", did you mean "pid"? (known: pid, tid' },
  { [[bpf.attach("tcpclose", {filter = {pid = "init"}})]],
    'filter "pid": expected an integer from 0 to 2147483647, got "init"' },
  { [[bpf.attach("tcpclose", {filter = {pid = -1}})]], "got -1" },
  { [[bpf.attach("tcpclose", {filter = {pid = 1.5}})]], "expected a value or a list, got number" },
  { [[bpf.attach("tcpclose", {filter = {pid = {}}})]], "the list is empty" },
  { [[bpf.attach("tcpclose", {filter = {pid = {1, true}}})]], "got boolean" },
  { [[bpf.attach("tcpclose", {filter = {dport = 65536}})]], "from 0 to 65535, got 65536" },
  { [[bpf.attach("tcpclose", {filter = {daddr = "10.0.0.0/33"}})]],
    'expected a prefix length from 0 to 32, got "10.0.0.0/33"' },
  { [[bpf.attach("tcpclose", {filter = {daddr = "fd00::/129"}})]], "from 0 to 128" },
  { [[bpf.attach("tcpclose", {filter = {daddr = "10.0.0"}})]],
    'expected an address or a network like 10.0.0.0/8 or fd00::/8, got "10.0.0"' },
  { [[bpf.attach("tcpclose", {filter = {family = "inet"}})]], 'expected "ipv4" or "ipv6"' },
  { [[bpf.attach("tcpclose", {filter = {cgroup = "/no/such"}})]],
    'filter "cgroup": can\'t find "/no/such" (ENOENT)' },
  { [[bpf.attach("tcpclose", {filter = {netns = "/no/such"}})]], "(ENOENT)" },
  { [[bpf.attach("./no/such.bpf.o")]], 'can\'t open "./no/such.bpf.o" (ENOENT)' },
  { [[bpf.attach("/etc/passwd")]], "'passwd' is not a BPF object that can be opened" },
  { [[bpf.attach("/")]], 'is not a BPF object file' },
  { [[bpf.every(0, print)]], "expected seconds from 0.001 to 1e9" },
  { [[bpf.after(-1, print)]], "expected seconds from 0 to 1e9" },
  { [[bpf.every(1)]], "bpf.every: expected a function, got nothing" },
  { [[bpf.every("soon", print)]], "bpf.every: expected seconds, got string" },
  { [[bpf.run({})]], "bpf.run: expected seconds, got table" },
  { [[bpf.http()]], "bpf.http: expected a table of options, got nothing" },
  { [[bpf.redirect("/")]], "bpf.redirect: expected a table of options, got string" },
  { [[bpf.json()]], "bpf.json: expected a value, got nothing" },
  { [[local p = bpf.load("tcpclose") p:events("x")]], "probe:events: expected seconds, got string" },
  { [[local p = bpf.load("tcpclose") p:inject()]], "expected a table with fields of the event, got nothing" },
  { [[local p = bpf.load("tcpclose") p:aggregate()]], "probe:aggregate: expected a table of options, got nothing" },
  { [[local p = bpf.load("tcpclose") p:sample()]], "probe:sample: expected a number above 0, at most 1, got nothing" },
  { [[bpf.run(-1)]], "expected seconds from 0 to 1e9" },
  { [[bpf.after(0, function() bpf.run() end) bpf.run(1)]], "the loop is already running" },
  { [[bpf.log("loud", "x")]], 'bpf.log: expected "error", "warn", "info" or "debug", got "loud"' },
  { [[local p = bpf.load("tcpclose") p:close() p:stats()]], "probe:stats: the probe is closed" },
  { [[local p = bpf.load("tcpclose") p:inject{nosuch = 1}]], 'unknown field "nosuch"' },
  { [[local p = bpf.load("tcpclose") p:inject{pid = "x"}]], 'field "pid": expected integer' },
  { [[local p = bpf.load("tcpclose") print(p.nosuch)]], 'a Probe has no "nosuch"\n' },
  { [[local p = bpf.load("tcpclose") print(p.maps.nosuch)]], "no map 'nosuch'" },
}

describe("a mistake in a script", function()
  it("gets one clear message, and status 1", function()
    local file = os.tmpname()
    for _, case in ipairs(WRONG) do
      local f = assert(io.open(file, "w"))
      f:write(case[1], "\n")
      f:close()
      local text, status = helper.run(file)
      assert.are.equal(1, status, case[1])
      assert.is_truthy(text:find(case[2], 1, true), case[1] .. "\n" .. text)
      assert.is_truthy(text:find("^bpfnet: "), text)
      assert.is_truthy(text:find(file .. ":1:", 1, true), text)
    end
    os.remove(file)
  end)

  it("is told as nil, message, code by try_attach", function()
    local p, why, code = bpf.try_attach("tcpconect")
    assert.is_nil(p)
    assert.is_truthy(why:find("did you mean", 1, true))
    assert.are.equal("ENOENT", code)
    p = assert(bpf.try_attach("tcpclose"))
    p:close()
  end)
end)

-- Lines of a script, and all that is said: F is the script's file.
local EXACT = {
  { "at the top level there is no traceback", "local t\nprint(t.x)",
    "F:2: attempt to index a nil value (local 't')" },
  { "functions on the way are named, without those of C",
    "local function f() error('boom') end\nlocal function g() pcall(type) f() end\ntable.sort({ 1, 2 }, g)",
    "F:1: boom\nstack traceback:\n\tF:1: in upvalue 'f'\n\tF:2: in function <F:2>\n\tF:3: in main chunk" },
  { "a callback's traceback ends with it",
    "local function f() local x = nil + 1 end\nbpf.after(0, function()\n  f()\nend)\nbpf.run(1)",
    "F:1: attempt to perform arithmetic on a nil value\nstack traceback:\n\tF:1: in upvalue 'f'\n"
      .. "\tF:3: in function <F:2>" },
  { "an error in a timer's function has its line, and nothing of who called bpf.run()",
    "bpf.after(0, function()\n  error('late')\nend)\nlocal function main() bpf.run(1) end\nmain()", "F:2: late" },
  { "a handler's error likewise",
    "local p = bpf.load('tcpclose', function(ev)\n  error('bad ' .. ev.comm)\nend)\np:inject { comm = 'x' }",
    "F:2: bad x" },
  { "a wrapped coroutine's error has one place, its own",
    "local f = coroutine.wrap(function()\n  error('inside')\nend)\nf()",
    "F:2: inside\nstack traceback:\n\tF:4: in main chunk" },
  { "what a module refuses is the caller's line",
    "local h = require('bpfnet.hist').new()\nh:add('x')", "F:2: hist:add: expected a number >= 0, got x" },
  { "so is what goes wrong inside one, with the way there", "local out = require('bpfnet.out')\nout.duration({})",
    "F:2: attempt to compare table with number\nstack traceback:\n\tbpfnet/out.lua:L: in field 'duration'\n"
      .. "\tF:2: in main chunk" },
  { "an error without a place gets one", "local function f() error('no place', 0) end\nf()",
    "no place\nstack traceback:\n\tF:1: in local 'f'\n\tF:2: in main chunk" },
  { "members of bpf are guessed", "bpf.atach('tcpclose')", 'F:1: bpf has no "atach", did you mean "attach"?' },
  { "methods of a probe", "bpf.load('tcpclose'):filtre {}", 'F:1: a Probe has no "filtre", did you mean "filter"?' },
  { "a method without its colon", "local p = bpf.load('tcpclose')\np.filter({ pid = 1 })",
    "F:2: probe:filter: expected a Probe, got table\nhint: a method is called with a colon: probe:filter(...)" },
  { "methods of others", "bpf.after(1, print):clsoe()", 'F:1: a Timer has no "clsoe", did you mean "close"?' },
  { "members of an aggregation", "bpf.aggregate {}:rwos()", 'F:1: an Aggregate has no "rwos", did you mean "rows"?' },
  { "globals", "prnt(1)", [[F:1: attempt to call a nil value (global 'prnt'), did you mean "print"?]] },
  { "functions of a module", "local hist = require('bpfnet.hist')\nhist.nwe()",
    [[F:2: attempt to call a nil value (field 'nwe'), did you mean "new"?]] },
  { "fields of an event", "bpf.load('tcpclose', function(ev)\n  print(ev.rx_byte + 1)\nend):inject {}",
    [[F:2: attempt to perform arithmetic on a nil value (field 'rx_byte'), did you mean "rx_bytes"?]] },
  { "an event's field that is unknown is no slip",
    "bpf.load('tcpclose', function(ev)\n  print(ev.duration_ns + 1)\nend):inject {}",
    "F:2: attempt to perform arithmetic on a nil value (field 'duration_ns')\n"
      .. "hint: duration_ns of a tcpclose event is nil where it is unknown" },
  { "modules", "require('bpfnet.hst')", [[F:1: module 'bpfnet.hst' not found, did you mean "bpfnet.hist"?]] },
  { "a filter's value", "bpf.attach('tcpclose', { filter = { dport = 'http' } })",
    "F:1: bpf.attach: probe 'tcpclose': filter \"dport\": expected an integer from 0 to 65535, got \"http\"" },
  { "where: the place in the text", "bpf.attach('tcpclose', { where = 'dport = 443' })",
    "F:1: bpf.attach: probe 'tcpclose': where \"dport = 443\": column 7: expected an operator or the end, got \"=\"\n"
      .. "hint: compare with ==" },
  { "syntax", "x = = 1", "F:1: unexpected symbol near '='" },
  { "objects thrown", "error(setmetatable({}, { __tostring = function() return 'mine' end }))", "mine" },
  { "the memory's limit", "local t = {}\nfor i = 1, 1e8 do\n  t[i] = ('x'):rep(100) .. i\nend",
    "F:3: not enough memory: the script may use 10 MiB\nhint: --limit-mem changes that", "--limit-mem 10" },
  { "the time's limit", "bpf.after(0, function()\n  while true do end\nend)",
    "F:2: callback ran longer than 0.2 s and was stopped\nhint: --limit-time changes that", "--limit-time 0.2" },
  { "a deep recursion is cut short", "local function f() return 1 + f() end\nf()",
    "F:1: stack overflow\nstack traceback:" .. ("\n\tF:1: in upvalue 'f'"):rep(11) .. "\n\t... (N more)"
      .. ("\n\tF:1: in upvalue 'f'"):rep(2) .. "\n\tF:1: in local 'f'\n\tF:2: in main chunk" },
}

describe("what is said of a mistake", function()
  for _, case in ipairs(EXACT) do
    it(case[1], function()
      local file = os.tmpname()
      local f = assert(io.open(file, "w"))
      f:write(case[2], "\n")
      f:close()
      local text, status = helper.run((case[4] or "") .. " " .. file)
      os.remove(file)
      text = text:gsub(file:gsub("%p", "%%%0"), "F"):gsub("(bpfnet/%a+%.lua:)%d+", "%1L")
      :gsub("%(%d+ more%)", "(N more)")
      assert.are.equal("bpfnet: " .. case[3] .. "\n", text)
      assert.are.equal(1, status)
    end)
  end
end)

describe("the command line", function()
  local function fails(args, want_status, want)
    local text, status = helper.sh("timeout 20 %s %s", helper.bpfnet, args)
    assert.are.equal(want_status, status, args .. "\n" .. text)
    assert.is_truthy(text:find(want, 1, true), args .. "\n" .. text)
  end

  it("names what it does not know", function()
    fails("", 2, "usage: bpfnet COMMAND")
    fails("rnu", 2, 'unknown command "rnu", did you mean "run"?')
    fails("run", 2, "expected a script")
    fails("run --nosuch", 2, 'unknown option "--nosuch"')
    fails("run --limt-time 1 x", 2, 'unknown option "--limt-time", did you mean "--limit-time"?')
    fails("run /tmp", 2, 'bpfnet run: can\'t open "/tmp" (EISDIR)\nhint: bpfnet help run\n')
    fails("run -e", 2, 'option "-e" needs a value')
    fails("run --limit-time soon x", 2, '--limit-time: expected seconds, got "soon"')
    fails("run --buffer 3X x", 2, "--buffer: expected bytes")
    fails("run /no/such.lua", 2, 'can\'t open "/no/such.lua" (ENOENT)')
    fails("run tcplive", 2, 'can\'t open "tcplive" (ENOENT), did you mean the shipped script "tcplife"?')
    fails("run zzz", 2, "no shipped script is called that (there are: connections, drops,")
    fails("run -e 'x ='", 1, "(command line):1: unexpected symbol")
    fails("help nosuch", 2, 'unknown command "nosuch"')
    fails("tcpconnect", 2, "bpfnet: \"tcpconnect\" is a probe: bpfnet run -e 'tcpconnect()'\nhint: bpfnet help\n")
    fails("tcplife", 2, 'bpfnet: "tcplife" is a script: bpfnet run tcplife\n')
    fails("run tcpconnect", 2, "bpfnet run: \"tcpconnect\" is a probe, not a script: bpfnet run -e 'tcpconnect()'\n")
    fails("socks", 2, 'unknown command "socks"')
    fails("-e 'tcpconnect()'", 2, "bpfnet: expected a command first: bpfnet run -e CODE\n")
    fails("run -e 'tcpconnect()' -p 1", 2, "unknown option \"-p\" (filters and the like stand in the code: -e '")
    fails("probes nosuch", 1, "nosuch")
  end)

  it("tells when what it prints gets nowhere, also at its end and when that is by os.exit()", function()
    local full = "bpfnet: can't write to standard output (ENOSPC)\n"
    local closed = "bpfnet: can't write to standard output (EBADF)\n"
    for _, args in ipairs { "help", "help --man", "--version", "run tcplife --help", "run -e 'print(1)'",
      "run -e 'print(1) os.exit(0, true)'" } do
      fails(args .. " 2>&1 >/dev/full || exit", 1, full)
      fails(args .. " 2>&1 >&- || exit", 1, closed)
    end
    fails("doctor --json 2>&1 >/dev/full || exit", 1, "bpfnet: can't write to standard output")
    local text, status = helper.sh("%s run -e 'io.stderr:write(\"quiet\")' 2>&1 >&- <&- || exit", helper.bpfnet)
    assert.are.equal("quiet", text)
    assert.are.equal(0, status)
  end)

  it("ends a program whose output has no room, at once", function()
    local began = bpf.now()
    fails([[run -e 'bpf.every(0.01, function() print(1) end) while true do bpf.run() end' 2>&1 >/dev/full || exit]], 1,
      "bpfnet: can't write to standard output (ENOSPC)\n")
    assert.is_true(bpf.now() - began < 10e9)
  end)

  it("reads a script from standard input and by #!", function()
    assert.are.equal("5\n", (helper.sh("echo 'print(2+3)' | %s run -", helper.bpfnet)))
    local file = os.tmpname()
    local f = assert(io.open(file, "w"))
    f:write("#!/usr/bin/env -S bpfnet run\nprint('args', ...)\nprint(arg[0], arg[1])\n")
    f:close()
    helper.sh("chmod +x %s", file)
    local text = helper.sh("PATH=%s:$PATH %s one two", helper.out, file)
    assert.are.equal("args\tone\ttwo\n" .. file .. "\tone\n", text)
    os.remove(file)
  end)

  it("shows version and help", function()
    assert.are.equal("bpfnet " .. bpf.version .. "\n", (helper.sh("%s --version", helper.bpfnet)))
    assert.is_truthy(helper.sh("%s help run", helper.bpfnet):find("--limit-time", 1, true))
    assert.is_truthy(helper.sh("%s --help", helper.bpfnet):find("probes", 1, true))
  end)
end)

describe("a system that can't trace", function()
  local ATTACH = "run -e 'bpf.attach(\"tcpclose\")'"

  local function fails(prefix, ...)
    local text, status = helper.sh("%s %s %s", prefix, helper.bpfnet, ATTACH)
    assert.are.equal(1, status, text)
    for _, want in ipairs { ... } do assert.is_truthy(text:find(want, 1, true), text) end
  end

  it("is told the capabilities that are missing", function()
    fails("setpriv --bounding-set=-all --inh-caps=-all", "CAP_BPF, CAP_PERFMON", "hint: run as root")
    fails("setpriv --bounding-set=-all,+bpf --inh-caps=-all,+bpf", "lacks CAP_PERFMON")
  end)

  it("is told that there is no BTF", function()
    fails("unshare -m sh -c 'mount -t tmpfs none /sys/kernel && exec \"$@\"' --",
      "/sys/kernel/btf/vmlinux (ENOENT)", "CONFIG_DEBUG_INFO_BTF")
  end)

  it("is told that the kernel is too old", function()
    fails("setarch --uname-2.6", "is too old: bpfnet needs 5.8 or newer")
  end)

  it("is told which capabilities to give, all that doctor asks for", function()
    fails("setpriv --reuid 1000 --clear-groups", "not permitted to trace: lacks CAP_BPF, CAP_PERFMON",
      "setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_syslog+ep bpfnet")
  end)

  it("needs no more than CAP_BPF and CAP_PERFMON where nothing else is asked", function()
    -- tracefs is root's; everything else of tcpclose is BTF tracepoints and a scan of descriptors
    local text, status = helper.sh("setpriv --bounding-set=-all,+bpf,+perfmon,+dac_override,+sys_ptrace"
      .. " --inh-caps=-all,+bpf,+perfmon %s run -e 'print(bpf.attach(\"tcpclose\")) bpf.run(0)'",
      helper.bpfnet)
    if status ~= 0 then
      -- the table of sockets needs to see accepts: no way to without trace events
      assert.is_truthy(text:find("\nhint: bpfnet doctor says what to do\n", 1, true), text)
    end
  end)
end)
