-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Bad input gets one clear error that names the thing and what was expected.

local helper = require "helper"

-- Code, and what its error has to say.
local WRONG = {
  { [[bpf.attach("tcpconect")]], 'unknown probe "tcpconect", did you mean "tcpconnect"?' },
  { [[bpf.attach("zzzzzz")]], 'unknown probe "zzzzzz"' },
  { [[bpf.attach("socks")]], 'unknown probe "socks"' },
  { [[bpf.attach()]], "string expected" },
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
  { [[bpf.every(1)]], "function expected" },
  { [[bpf.run(-1)]], "expected seconds from 0 to 1e9" },
  { [[bpf.after(0, function() bpf.run() end) bpf.run(1)]], "the loop is already running" },
  { [[bpf.log("loud", "x")]], "invalid option 'loud'" },
  { [[local p = bpf.load("tcpclose") p:close() p:stats()]], "probe:stats: the probe is closed" },
  { [[local p = bpf.load("tcpclose") p:inject{nosuch = 1}]], 'unknown field "nosuch"' },
  { [[local p = bpf.load("tcpclose") p:inject{pid = "x"}]], 'field "pid": expected integer' },
  { [[local p = bpf.load("tcpclose") print(p.nosuch)]], 'a Probe has no "nosuch"' },
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
    fails("run -e", 2, 'option "-e" needs a value')
    fails("run --limit-time soon x", 2, '--limit-time: expected seconds, got "soon"')
    fails("run --buffer 3X x", 2, "--buffer: expected bytes")
    fails("run /no/such.lua", 2, 'can\'t open "/no/such.lua" (ENOENT)')
    fails("run tcplive", 2, "tcplife")
    fails("run -e 'x ='", 1, "(command line):1: unexpected symbol")
    fails("help nosuch", 2, 'unknown command "nosuch"')
    fails("probes nosuch", 1, "nosuch")
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

  it("needs no more than CAP_BPF and CAP_PERFMON where nothing else is asked", function()
    -- tracefs is root's; everything else of tcpclose is BTF tracepoints and a scan of descriptors
    local text, status = helper.sh("setpriv --bounding-set=-all,+bpf,+perfmon,+dac_override,+sys_ptrace"
      .. " --inh-caps=-all,+bpf,+perfmon %s run -e 'print(bpf.attach(\"tcpclose\")) bpf.run(0)'",
      helper.bpfnet)
    if status ~= 0 then
      -- the table of sockets needs to see accepts: no way to without trace events
      assert.is_truthy(text:find("hint:", 1, true) or text:find("no way to see", 1, true), text)
    end
  end)
end)
