-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The Lua side of the prompt: lines, what they show, errors, completion, help, p:last() and p:watch(). The terminal's
-- side is in repl_spec.lua.

local helper = require "helper"
local complete_known = require "bpfnet.complete_known"
local embedded = require "bpfnet.embedded"
local help = require "bpfnet.help"
local hist = require "bpfnet.hist"
local pretty = require "bpfnet.pretty"
local pretty_text = require "bpfnet.pretty_text"
local repl = require "bpfnet.repl"

local FILTER = ("{cgroup = %q}")

-- A session whose text is kept: s.enter(line...) gives what they wrote, and the state after the last.
local function open(opts)
  local parts = {}
  local all = { width = 80, out = function(text) parts[#parts + 1] = text end }
  for name, value in pairs(opts or {}) do all[name] = value end
  local session = repl.new(all)
  local s = { session = session }
  function s.text()
    local text = table.concat(parts)
    parts = {}
    return text
  end
  function s.enter(...)
    local state
    for _, line in ipairs({ ... }) do state = session:line(line) end
    return s.text(), state
  end
  return s
end

local function with(opts, f)
  local s = open(opts)
  local ok, message = pcall(f, s)
  s.session:close()
  if not ok then error(message, 0) end
end

-- Runs the loop until f() gives something true, at most 10 seconds; returns that.
local function run_until(f)
  local deadline = bpf.now() + 10e9
  repeat
    bpf.run(0.05)
    local value = f()
    if value then return value end
  until bpf.now() > deadline
  error("waited in vain", 2)
end

describe("a line", function()
  it("with a short form and a name without quotes is told so", function()
    with(nil, function(s)
      local told = s.enter("tcpconnect{ comm = curl }")
      assert.is_truthy(told:find('there is no variable "curl"\nhint: text stands in quotes: "curl"', 1, true), told)
      s.enter("curl = 'curl'")
      told = s.enter("c = tcpconnect{ comm = curl, cgroup = nobody or '/' }")
      assert.are.equal("", told)
      told = s.enter("tcpconnect:count(comm)")
      assert.is_truthy(told:find('there is no variable "comm"', 1, true), told)
      s.enter("curl = nil")
    end)
  end)

  it("that is an expression shows its values, and keeps the last", function()
    with(nil, function(s)
      assert.are.equal("2\n", s.enter("1 + 1"))
      assert.are.equal("3\n", s.enter("_ + 1"))
      assert.are.equal('1\nnil\n"x"\n', s.enter("1, nil, 'x'"))
      assert.are.equal('"x"\n', s.enter("_"))
      assert.are.equal("", s.enter("x_of_spec = 5", "", "   ", "-- nothing", "do local y = 1 end"))
      assert.are.equal("5\n", s.enter("x_of_spec"))
      assert.are.equal("5\n", s.enter("return x_of_spec"))
      _G.x_of_spec = nil -- luacheck: ignore
    end)
  end)

  it("goes on where a chunk is unfinished", function()
    with(nil, function(s)
      for _, lines in ipairs({
        { "for i = 1, 2 do", "print(i)", "end" }, { "print(", "1)", "print(2)" }, { "1 +", "0, 2" },
        { "if true then print(1)", "else", "end print(2)" }, { "do print(1) --[[ a", "b ]] print(2)", "end" },
      }) do
        local _, state = s.enter(lines[1])
        assert.are.equal("more", state, lines[1])
        local text
        text, state = s.enter(table.unpack(lines, 2))
        assert.are.equal("1\n2\n", text, lines[1])
        assert.are.equal("done", state)
      end
      assert.are.equal('"a\\nb"\n', s.enter("[[a", "b]]"))
      assert.are.equal("more", (select(2, s.enter("x = {"))))
      s.session:reset()
      assert.are.equal("4\n", s.enter("2 + 2"))
      assert.are.equal("1\n2\n", s.enter("print(1)\nprint(2)"))
    end)
  end)

  it("may read globals and change them, and says why a local is gone", function()
    with(nil, function(s)
      _G.seen_by_spec = { 1 } -- luacheck: ignore
      assert.are.equal("{ 1 }\n", s.enter("seen_by_spec"))
      s.enter("seen_by_spec = 2")
      assert.are.equal(2, _G.seen_by_spec) -- luacheck: ignore
      _G.seen_by_spec = nil -- luacheck: ignore
      assert.is_truthy(s.enter("local gone = 1", "gone"):find("leave out `local`", 1, true))
    end)
  end)

  it("lets an interrupt through, and goes on after it", function()
    with(nil, function(s)
      local ok, message = pcall(s.session.line, s.session, "error('interrupted', 0)")
      assert.is_false(ok)
      assert.are.equal("interrupted", message)
      assert.are.equal("2\n", s.enter("2"))
    end)
  end)
end)

describe("an error", function()
  local function has(s, line, ...)
    local text = s.enter(line)
    for _, part in ipairs({ ... }) do
      assert.is_truthy(text:find(part, 1, true), line .. ": " .. text)
    end
    return text
  end

  it("says what, and guesses at the misspelt name", function()
    with(nil, function(s)
      has(s, "prnt(1)", "error: attempt to call a nil value (global 'prnt')", 'did you mean "print"?')
      has(s, "atach('x')", 'did you mean "bpf.attach"?')
      has(s, "tcpconect", 'nil  no global is called "tcpconect", did you mean "', 'tcpconnect')
      has(s, "bpf.atach('x')", 'bpf has no "atach", did you mean "attach"?')
      has(s, "string.fromat('x')", 'did you mean "format"?')
      has(s, "bpf.load('tcpconnect'):statz()", 'a Probe has no "statz"', 'did you mean "stats"?')
      has(s, "bpf.load('tcpconect')", 'unknown probe "tcpconect", did you mean "tcpconnect"?', "\nhint: bpfnet probes")
      has(s, "bpf.load('tcpconnect', {filtr = {}})", 'did you mean "filter"?')
      has(s, "exit", "Ctrl-D ends the session")
      assert.are.equal("error: unexpected symbol near '='\n", s.enter("x = = 2"))
      assert.are.equal("error: foo\n", s.enter("error('foo')"))
      assert.are.equal("error: (the error is a value) { a = 1 }\n", s.enter("error({a = 1})"))
      assert.are.equal("error: mine\n", s.enter("error(setmetatable({}, {__tostring = function() return 'mine' end}))"))
    end)
  end)

  it("says where: the line of a longer chunk, and the way if that was deeper", function()
    with(nil, function(s)
      assert.are.equal("error: prompt:3: foo\n", s.enter("do", "local a = 1", "error('foo')", "end"))
      local text = s.enter("function spec_deep(n) if n == 0 then error('deep') end spec_deep(n - 1) end",
        "spec_deep(2)")
      assert.are.equal(3, select(2, text:gsub("prompt:1 in ", "")), text)
      assert.are.equal(2, select(2, text:gsub("'spec_deep'", "")), text)
      assert.is_falsy(text:find("lua/bpfnet", 1, true) or text:find("[C]", 1, true), text)
      _G.spec_deep = nil -- luacheck: ignore
    end)
  end)

  it("harms neither the session nor the terminal", function()
    with(nil, function(s)
      assert.is_falsy(s.enter("error('\\27[31mred\\7')"):find("[\27\7]"))
      s.enter("setmetatable({}, {__tostring = error, __index = error, __pairs = error})")
      s.enter("print(setmetatable({}, {__name = 'x', __tostring = function() error('y') end}))")
      s.enter("local function f() return f() + 1 end f()") -- stack overflow
      s.enter("error()", "error(nil)", "coroutine.wrap(error)('z')")
      assert.are.equal("2\n", s.enter("2"))
    end)
  end)
end)

describe("a value", function()
  it("is shown sorted, bounded, on as few lines as it needs", function()
    assert.are.equal('{ 1, 2, [7] = true, b = { "x" }, ["c d"] = false }',
      pretty.text({ b = { "x" }, ["c d"] = false, [7] = true, 1, 2 }))
    local me = { 1 }
    me.me = me
    assert.are.equal("{ 1, me = { (the table around it) } }", pretty.text(me))
    assert.are.equal("{ { { { {...} } } } }", pretty.text({ { { { { 1 } } } } }))
    assert.are.equal("{}", pretty.text({}))
    local shown = setmetatable({}, { __tostring = function() return "mine\n\27[2Jtwo" end })
    assert.are.equal("mine\n?[2Jtwo", pretty.text(shown))
    assert.are.equal("{ mine }", pretty.text({ shown }))
    local wide = pretty.text({ a = ("x"):rep(50), b = ("y"):rep(50), ["c d"] = 1 }, { width = 60 })
    assert.are.equal('{\n  a = "' .. ("x"):rep(50) .. '",\n  b = "' .. ("y"):rep(50) .. '",\n  ["c d"] = 1,\n}', wide)
    local many = {}
    for i = 1, 3000 do many["k" .. i] = { i } end
    local text = pretty.text(many, { lines = 30 })
    assert.are.equal(30, select(2, text:gsub("\n", "")) + 1)
    assert.is_truthy(text:find("there is more", 1, true))
    assert.is_truthy(pretty.text({ x = print }):find("function (of the engine)", 1, true)
      or pretty.text({ x = print }):find("function%(%.%.%.%)"))
  end)

  it("is never wider than the terminal, and acts on it never", function()
    local values = { { "\27[2J", ["\7"] = "\xff\xfe" }, "a\n\27b", { ("ä"):rep(300) },
      { { { ("z"):rep(100) } } }, bpf.probes({ try = false }), { [("k"):rep(200)] = 1 } }
    for _, width in ipairs({ 10, 40, 80 }) do
      for i, value in ipairs(values) do
        for line in pretty.text(value, { width = width }):gmatch("[^\n]+") do
          assert.is_falsy(line:find("%c"), line)
          if i ~= 2 then assert.is_true(pretty_text.width(line) <= width, line) end
        end
      end
    end
    local painted = pretty.text({ a = "x" }, { colour = true })
    assert.is_truthy(painted:find("\27[32m", 1, true))
    assert.are.equal(pretty.text({ a = "x" }), (painted:gsub("\27%[[%d;]*m", "")))
  end)

  it("of the engine has a form of its own", function()
    local h = hist.new({ unit = "ns" })
    for _ = 1, 3 do h:add(1500) end
    h:add(70000)
    local text = pretty.text(h)
    assert.is_truthy(text:find("^hist: 4 values, p50 1%.5us p99 70us\n"), text)
    assert.is_truthy(text:find("%.%. 1%.9us +3  #+\n"), text)
    local agg = bpf.aggregate({ by = { "comm", "dport" }, sum = "rx_bytes", hist = "latency_ns" })
    agg:add("curl", 80, 2048, 1000)
    agg:add("curl", 80, 2048, 1000)
    text = pretty.text(agg)
    assert.are.equal("aggregation: 1 key\ncomm  dport  count   sum  hist\n"
      .. "curl     80      2  4096  p50 1.0us p99 1.0us", text)
    local probe <close> = bpf.load("tcpconnect", { filter = { dport = { 80, 443 } }, where = "uid == 0" })
    assert.are.equal('probe tcpconnect: loaded, 0 events, filter { dport = { 80, 443 } }, where "uid == 0"',
      pretty.text(probe))
    probe:inject({ comm = "cu\27rl", pid = 7, saddr = "10.0.0.1", sport = 4000, daddr = "fd00::1", dport = 443,
      latency_ns = 73000, error = "ETIMEDOUT" })
    assert.is_truthy(pretty.text(probe:stats()):find("^events +1  delivered\ndropped +0  none lost"))
  end)
end)

describe("print at the prompt", function()
  it("makes tables and events readable, and leaves all else", function()
    with(nil, function(s)
      assert.are.equal("{ 1, 2 }\ta\t3\n", s.enter("print({1, 2}, 'a', 3)"))
      s.enter("q = bpf.load('tcpconnect'):keep():on_event(print)")
      local text = s.enter("q:inject{comm = 'curl', pid = 7, saddr = '10.0.0.1', sport = 4000, daddr = 'fd00::1',"
        .. " dport = 443, latency_ns = 73000, error = 'ETIMEDOUT'}")
      assert.are.equal(" tcpconnect curl[7] 10.0.0.1:4000 -> [fd00::1]:443 error=ETIMEDOUT latency_ns=73us\n",
        text:match("^%d%d:%d%d:%d%d(.*)$"))
      text = s.enter("q:last()")
      assert.is_truthy(text:find("\n  latency_ns    73000  73us\n", 1, true), text)
      assert.is_truthy(text:find('\n  comm          "curl"\n', 1, true), text)
      s.enter("q = nil")
    end)
  end)
end)

describe("p:tap()", function()
  local ours = helper.ours

  it("gives events to others beside the handler, until p:untap()", function()
    local handled, tapped, ports = {}, {}, {}
    local p <close> = bpf.attach("tcpconnect", ours(), function(comm) handled[#handled + 1] = comm end)
    local function one(ev) tapped[#tapped + 1] = ev end
    local function two(dport, comm) ports[#ports + 1] = dport .. comm end
    local agg = bpf.aggregate({ by = "comm" })
    p:tap(one):tap(two):tap(agg:adder(), agg.fields)
    local facts = helper.traffic_facts("-c 2 refused4")
    bpf.run(0.1)
    assert.are.same({ "tr-client", "tr-client" }, handled)
    assert.are.equal(2, #tapped)
    assert.are.equal(facts[1].daddr, tapped[1].daddr)
    assert.are.equal("ECONNREFUSED", tapped[2].error)
    table.sort(ports)
    local expected = { tapped[1].dport .. "tr-client", tapped[2].dport .. "tr-client" }
    table.sort(expected)
    assert.are.same(expected, ports)
    assert.are.equal(2, agg:row("tr-client").count)
    p:untap(one)
    helper.traffic_facts("-c 1 refused4")
    bpf.run(0.1)
    assert.are.equal(2, #tapped)
    assert.are.equal(3, #ports)
    p:untap()
    helper.traffic_facts("-c 1 refused4")
    bpf.run(0.1)
    assert.are.equal(3, #ports)
    assert.are.equal(4, #handled)
  end)

  it("may untap itself, close the probe and fail like a handler", function()
    local n = 0
    local p <close> = bpf.load("tcpconnect", function() n = n + 1 end)
    local function once() p:untap(once) end
    p:tap(once)
    p:inject({})
    p:inject({})
    assert.are.equal(2, n)
    p:tap(function() error("of the tap") end)
    local ok, message = pcall(p.inject, p, {})
    assert.is_false(ok)
    assert.is_truthy(message:find("of the tap", 1, true))
    p:untap()
    p:inject({})
    assert.are.equal(3, n)
    ok, message = pcall(p.tap, p, function(comm, dprot) end) -- luacheck: ignore
    assert.is_false(ok)
    assert.is_truthy(message:find('unknown field "dprot", did you mean "dport"', 1, true))
    p:tap(function() p:close() end)
    p:inject({})
    assert.are.equal("closed", p.state)
  end)

  it("makes events come of a probe that would add up only", function()
    local p <close> = bpf.load("tcpconnect", ours())
    p:aggregate({ by = "comm" })
    p:attach()
    helper.traffic_facts("-c 1 refused4")
    bpf.run(0.1)
    assert.are.equal(0, p:stats().events)
    local n = 0
    p:tap(function() n = n + 1 end)
    helper.traffic_facts("-c 1 refused4")
    bpf.run(0.1)
    assert.are.equal(1, n)
    p:untap()
    helper.traffic_facts("-c 1 refused4")
    bpf.run(0.1)
    assert.are.equal(1, p:stats().events)
  end)
end)

describe("p:keep()", function()
  it("keeps the newest events for p:last()", function()
    local p <close> = bpf.load("tcpconnect")
    assert.are.equal(0, p.kept)
    assert.is_nil(p:last())
    assert.are.same({}, p:last(5))
    p:keep(3)
    assert.are.equal(3, p.kept)
    for i = 1, 5 do p:inject({ dport = i }) end
    local function ports(list)
      for i, ev in ipairs(list) do list[i] = ev.dport end
      return list
    end
    assert.are.same({ 3, 4, 5 }, ports(p:last(10)))
    assert.are.same({ 4, 5 }, ports(p:last(2)))
    assert.are.same({}, p:last(0))
    assert.are.equal(5, p:last().dport)
    assert.are.equal("tcpconnect", p:last().probe)
    p:keep(0)
    assert.is_nil(p:last())
    assert.is_false(pcall(p.keep, p, -1))
    assert.is_false(pcall(p.keep, p, 1 << 40))
    assert.is_false(pcall(p.last, p, -1))
    p:keep()
    assert.are.equal(1000, p.kept)
  end)
end)

describe("a probe at the prompt", function()
  local function attach(s, name, more)
    s.enter(("q = bpf.attach(%q, { filter = %s }%s)"):format(name, FILTER:format(helper.cgroup()), more or ""))
  end

  it("keeps its last events", function()
    with(nil, function(s)
      attach(s, "tcpconnect")
      helper.traffic_facts("-c 2 refused4")
      helper.traffic_facts("-c 1 echo4")
      bpf.run(0.1)
      local text = s.enter("q:last(10)")
      assert.is_truthy(text:find("^TIME +PROCESS +ENDS"), text)
      assert.are.equal(3, select(2, text:gsub("tr%-client%[%d+%]  127%.0%.0%.1:%d+ %-> 127%.0%.0%.1:%d+", "")), text)
      assert.are.equal(2, select(2, text:gsub("ECONNREFUSED", "")), text)
      assert.is_truthy(s.enter("q:last()"):find("\n  error         nil\n", 1, true))
      assert.are.equal("3\n", s.enter("#q:last(10)"))
      assert.is_truthy(s.enter("q"):find("^probe tcpconnect: attached, 3 events"))
      assert.is_truthy(s.enter("attached()"):find("probe tcpconnect: attached, 3 events", 1, true))
    end)
  end)

  it("is watched: rate, counts, latest events", function()
    local shown = {}
    with({ above = function(lines) shown[#shown + 1] = lines or false end }, function(s)
      attach(s, "tcpconnect")
      s.enter("q:watch{every = 0.1}")
      assert.is_truthy(shown[1][1]:find("^tcpconnect  0 events"))
      helper.traffic_facts("-c 3 refused4")
      helper.traffic_facts("-c 1 echo4")
      run_until(function() return shown[#shown][1]:find("^tcpconnect  4 events, [%d.]+/s in ") end)
      local seen = #shown
      run_until(function() return #shown >= seen + 2 end) -- nothing is counted twice
      local lines = shown[#shown]
      assert.is_truthy(lines[2]:find("^comm +daddr +dport +error +count +per_s +latency_ns$"), lines[2])
      local counted = 0
      for _, line in ipairs(lines) do
        counted = counted + (tonumber(line:match("^tr%-client +127%.0%.0%.1 +%d+ +[%u-]+ +(%d+) ")) or 0)
        assert.is_true(pretty_text.width(line) <= 80, line)
      end
      assert.are.equal(4, counted, table.concat(lines, "\n"))
      assert.is_truthy(lines[#lines]:find("^%d%d:%d%d:%d%d tr%-client%[%d+%] 127"), lines[#lines])
      s.enter("q:watch{by = 'comm', every = 0.1, rows = 1}")
      assert.is_false(shown[#shown - 1])
      helper.traffic_facts("-c 1 refused4")
      run_until(function() return table.concat(shown[#shown], "\n"):find("\ntr%-client +1 +") end)
      s.enter("q:watch(false)")
      local n = #shown
      assert.is_false(shown[n])
      bpf.run(0.25)
      assert.are.equal(n, #shown)
      assert.is_truthy(s.enter("q:watch{evry = 1}"):find('unknown option "evry"', 1, true))
      assert.is_truthy(s.enter("q:watch(5)"):find("expected a table of options", 1, true))
      s.enter("q:watch{every = 0.1}", "q:close()")
      run_until(function() return shown[#shown] == false end)
    end)
  end)

  it("has its watch written where there is no terminal", function()
    with(nil, function(s)
      attach(s, "tcpclose")
      s.enter("q:watch{every = 0.1}")
      helper.traffic_facts("-c 1 echo4")
      run_until(function() return s.text():find("tcpclose  2 events", 1, true) end)
    end)
  end)

  it("ends with the session, as timers do", function()
    local file = os.tmpname()
    local function held()
      collectgarbage()
      collectgarbage()
      os.execute("cat /proc/$PPID/fdinfo/* >" .. file)
      return helper.held(file)
    end
    local before = held()
    local s = open()
    attach(s, "tcpconnect", ", print")
    s.enter("q:watch()", "t = bpf.every(0.01, function() fired_in_spec = true end)", "helper_of_spec = nil")
    local meanwhile, n = held(), 0
    local text = s.enter("attached()")
    assert.is_truthy(text:find("probe tcpconnect") and text:find("Timer (running)", 1, true), text)
    s.session:close()
    for id in pairs(meanwhile.link) do n = n + (before.link[id] and 0 or 1) end
    assert.is_true(n > 0)
    for id in pairs(held().link) do assert.is_true(before.link[id], "link " .. id) end
    os.remove(file)
    assert.is_false(pcall(function() return bpf.load("tcpconnect").watch end))
    assert.are.equal("closed", _G.q.state) -- luacheck: ignore
    _G.q, _G.t = nil, nil -- luacheck: ignore
    assert.are.equal("idle", bpf.run(0.5))
  end)
end)

describe("at a script's prompt", function()
  -- A script that runs, in which a session is opened by a timer as the engine does it.
  local SCRIPT = [[
    local counts, n = { curl = 3 }, 0
    local function bump() n = n + 1 end
    seen_global = 7
    local p = bpf.load("tcpconnect", function(comm) bump() counts[comm] = (counts[comm] or 0) + 1 end)
    local lines = { %s }
    bpf.after(0, function()
      local s = require("bpfnet.repl").new({ width = 80, attached = true, out = io.write })
      for _, line in ipairs(lines) do io.write("> ", line, "\n") s:line(line) end
      local _, list = s:complete("coun", 4)
      io.write("TAB ", table.concat(list, " "), "\n")
      bpf.after(0.1, function()
        s:close()
        p:inject({ comm = "after" })
        io.write(("END n=%%s g=%%s fresh=%%s after=%%s x=%%s %%s\n"):format(n, seen_global, tostring(fresh),
          counts.after, counts.x, tostring(p)))
        bpf.stop()
      end)
    end)
    %s
    bpf.run(5)
  ]]

  local function run(lines, more)
    for i, line in ipairs(lines) do lines[i] = ("%q"):format(line) end
    local text, status = helper.code(SCRIPT:format(table.concat(lines, ", "), more or ""))
    assert.are.equal(0, status, text)
    return text
  end

  local function answer(text, line)
    local _, at = text:find("> " .. line .. "\n", 1, true)
    return text:match("^(.-)\n> ", at + 1) or text:match("^(.-)\nTAB", at + 1)
  end

  it("locals have their names, and changes stay", function()
    local text = run({ "counts", "n", "n = 100", "n", "bump()", "counts.x = 1", "seen_global = 8", "fresh = 5", "fresh",
      "p" })
    assert.are.equal("{ curl = 3 }", answer(text, "counts"))
    assert.are.equal("0", answer(text, "n"))
    assert.are.equal("5", answer(text, "fresh"))
    assert.is_truthy(text:find("\nprobe tcpconnect: loaded, 0 events\n", 1, true), text)
    assert.is_truthy(text:find("\nTAB counts\n", 1, true), text)
    assert.is_truthy(text:find("END n=102 g=8 fresh=nil after=1 x=1 Probe tcpconnect (loaded, 1 events)", 1, true),
      text)
  end)

  it("a filter can be changed, and what is attached goes with the session", function()
    local text = run({ "p:filter{dport = 443}", "q = bpf.attach('tcpclose', print)", "attached()", "bpf.run(1)" },
      "bpf.after(0.05, function() io.write('NOW ', p:filter().dport, '\\n') end)")
    assert.is_truthy(text:find("\nNOW 443\n", 1, true), text)
    assert.is_truthy(answer(text, "attached()"):find("probe tcpclose: attached", 1, true), text)
    assert.is_truthy(answer(text, "bpf.run(1)"):find("hint: at the prompt events come by themselves", 1, true), text)
    assert.is_truthy(text:find("END n=", 1, true), text)
  end)

  it("a handler that fails does not end the script", function()
    local five, six, wrong = "p:inject{comm = 'a', dport = 5}", "p:inject{comm = 'a', dport = 6}",
      "bpf.attach('tcpconnect', {foo = 1})"
    local text = run({ "p:tap(function(dport) error('boo') end)", "p:tap(print)", five, six,
      "bpf.every(0.01, function() foo.bar() end)", wrong })
    assert.is_truthy(answer(text, five):find("^error: prompt:1: boo\nhint: a handler failed"), text)
    assert.is_truthy(answer(text, five):find("tcpconnect a .*:5$"), text)
    assert.is_truthy(answer(text, six):find("^[%d:]+ tcpconnect a [^\n]*:6$"), text)
    assert.are.equal(1, select(2, text:gsub("index a nil value %(global 'foo'%)", "")), text)
    assert.is_truthy(answer(text, wrong):find("^error: bpf%.attach: unknown option"), text)
    assert.is_truthy(text:find("END n=3 ", 1, true), text)
    assert.is_falsy(text:find("comm=after", 1, true), text) -- the tap is gone
  end)
end)

describe("completion", function()
  local function complete(s, text)
    local from, list = s.session:complete(text, #text)
    local words = " " .. table.concat(list, " ") .. " "
    return from, list, words
  end

  it("knows names, fields, methods, options, probes, fields, filters, points, modules, files", function()
    with(nil, function(s)
      s.enter("q = bpf.load('tcpconnect')", "own = { alpha = 1, beta = { gamma = 2 }, ['no name'] = 3 }")
      for _, case in ipairs({
        { "bpf.att", 5, "attach" }, { "x = bpf.att", 9, "attach" }, { "own.", 5, "alpha beta" },
        { "own.beta.g", 10, "gamma" }, { "own.x.", 7, "" }, { "q:fil", 3, "filter" }, { "q.sta", 3, "state stats" },
        { "q:na", 3, "" }, { 'bpf.attach("tcpc', 13, "tcpclose tcpconnect" }, { "whi", 1, "while" },
        { "bpf.load('tcpcon", 11, "tcpconnect" }, { 'help("tcpa', 7, "tcpaccept" }, { 'help("filt', 7, "filter" },
        { 'bpf.attach("tcpclose", { thr', 26, "threshold" }, { 'bpf.attach("tcpclose", {filter = {dp', 35, "dport" },
        { 'bpf.attach("tcpclose", { fields = { "comm", "rx_b', 46, "rx_bytes" },
        { 'bpf.attach("tcpclose", { where = "uid == 0 and srt', 48, "srtt_us" },
        { 'bpf.attach("podnet", { points = "netif_rx,sock_q', 43, "sock_queue" },
        { 'bpf.attach("podnet", { between = {{"netif_rx", "sock_r', 49, "sock_read" },
        { 'bpf.attach("tcpclose", { way = "', 33, nil }, { 'bpf.attach("tcpclose", { slower', 26, "" },
        { 'bpf.attach("podnet", { slower', 24, "slower_than" },
        { "q:filter{ dp", 11, "dport" }, { "q:filter({ pid = 1, dp", 21, "dport" }, { 'q:where("lat', 10,
          "latency_ns" },
        { 'q:aggregate{ by = { "com', 22, "comm" }, { "q:aggregate{ max", 14, "max max_keys" },
        { 'require("bpfnet.his', 10, "bpfnet.hist" }, { 'require"bpfnet.his', 9, "bpfnet.hist" },
        { ('dofile("%s/scripts/tcpl'):format(helper.root), 9, helper.root .. "/scripts/tcplife.lua" },
        { "string.form", 8, "format" }, { "bpf.attach('x'):det", 17, "detach" },
        { '"own.', 2, "" }, { "-- own.", 8, "" }, { "1 ..own.a", 9, "alpha" }, { "own.alpha.", 11, "" },
        { "q:watch{ ev", 10, "every" }, { "(own).a", 7, "" }, { "own['", 6, "" },
      }) do
        local from, list = complete(s, case[1])
        assert.are.equal(case[2], from, case[1])
        if case[3] then assert.are.equal(case[3], table.concat(list, " "), case[1]) end
      end
      local _, list, words = complete(s, "")
      assert.is_true(#list > 20 and #list <= 200)
      assert.is_truthy(words:find(" bpf ", 1, true) and words:find(" own ", 1, true) and words:find(" help ", 1, true))
      for i = 2, #list do assert.is_true(list[i - 1] < list[i]) end
      local from, middle = s.session:complete("bpf.att(1)", 7)
      assert.are.equal(5, from)
      assert.are.same({ "attach" }, middle)
      s.enter("q = nil", "own = nil")
    end)
  end)

  it("knows the options that the engine knows, by what it says of one that it doesn't", function()
    with(nil, function(s)
      s.enter("q = bpf.load('podnet')")
      for text, call in pairs({
        ["bpf.attach('podnet', {"] = function() bpf.attach("podnet", { zzz = 1 }) end,
        ["q:aggregate{"] = function() bpf.aggregate({ zzz = 1 }) end,
        ["q:watch{"] = function() require("bpfnet.watch").new(bpf.load("podnet"), { zzz = 1 }) end,
        ["bpf.redirect{"] = function() bpf.redirect({ zzz = 1 }) end,
        ["bpf.http{"] = function() bpf.http({ zzz = 1 }) end,
      }) do
        local _, message = pcall(call)
        local said = {}
        for name in message:match("unknown option \"zzz\" %(known: (.*)%)"):gmatch("[^, ]+") do
          said[#said + 1] = name
        end
        table.sort(said)
        assert.are.same(said, (select(2, complete(s, text))), text)
      end
      s.enter("q = nil")
    end)
  end)

  it("goes on in a chunk of several lines", function()
    with(nil, function(s)
      s.enter("bpf.attach('tcpclose', {", "filter = {")
      assert.are.equal("dport", table.concat((select(2, complete(s, "  dpo"))), " "))
      s.session:reset()
    end)
  end)

  it("runs nobody's code", function()
    with(nil, function(s)
      _G.trap_of_spec = setmetatable({ inner = 1 }, { -- luacheck: ignore
        __index = function() _G.sprung = true end, __pairs = function() _G.sprung = true end, -- luacheck: ignore
        __len = function() _G.sprung = true end, __call = function() _G.sprung = true end, -- luacheck: ignore
      })
      for _, text in ipairs({ "trap_of_spec.", "trap_of_spec.x.", "trap_of_spec:", "trap_of_spec.inner.",
        "trap_of_spec{",
        "trap_of_spec.x{ y", "trap_of_spec():", 'trap_of_spec["', "trap_of_spec.missing:fil", "trap" }) do
        complete(s, text)
      end
      assert.is_nil(rawget(_G, "sprung"))
      assert.are.same({ "inner" }, (select(2, complete(s, "trap_of_spec."))))
      _G.trap_of_spec = nil -- luacheck: ignore
    end)
  end)

  local LINES = {
    'p = bpf.attach("tcpclose", { filter = { comm = { "a", \'b\' }, dport = 443 }, where = [[a > 1]], by = {"x"} })',
    "for ev in p:events(2) do print(ev.comm .. 'x', #ev[1][\"y\"]) --[==[ z ]==] end -- done",
    "p:aggregate{ by = {'comm', \"daddr\"}, hist = 'latency_ns' }:rows({ top = 3 })[1].hist:quantile(0.5)",
    "goto x ::x:: local function f(...) return ... end x = f{1;2} ~= 0x1p4 and 3 // 2 | ~5 << 1 or nil",
  }

  it("stands any line, cut anywhere", function()
    with(nil, function(s)
      s.enter("p = bpf.load('tcpclose')")
      for _, line in ipairs(LINES) do
        for cursor = 0, #line do
          local from, list = s.session:complete(line:sub(1, cursor), cursor)
          assert.is_true(from >= 1 and from <= cursor + 1)
          local word = line:sub(from, cursor)
          for _, name in ipairs(list) do assert.are.equal(word, name:sub(1, #word)) end
        end
      end
      math.randomseed(7)
      local started = bpf.now()
      for i = 1, 3000 do
        local bytes = {}
        local source = i % 2 == 0 and LINES[i % 4 + 1] or nil
        for k = 1, math.random(0, 60) do
          local at = source and math.random(#source)
          bytes[k] = source and source:sub(at, at + math.random(0, 6)) or string.char(math.random(0, 255))
        end
        local text = table.concat(bytes)
        local cursor = math.random(-1, #text + 1)
        local from, list = s.session:complete(text, cursor)
        assert.is_true(math.type(from) == "integer" and from >= 1 and from <= #text + 1)
        assert.is_true(#list <= 200)
      end
      assert.is_true(bpf.now() - started < 10e9)
      s.enter("p = nil")
    end)
  end)

  it("and a line that is entered stands any bytes", function()
    with(nil, function(s)
      math.randomseed(8)
      for i = 1, 2000 do
        local bytes = {}
        local source = i % 2 == 0 and LINES[i % 4 + 1]
        for k = 1, math.random(1, 40) do
          bytes[k] = string.char(math.random(0, 255))
        end
        -- what is cut from a chunk does not run; what is random has no letters that call anything
        local text = source and source:sub(math.random(2, 20), math.random(20, #source - 3)) .. "=="
          or table.concat(bytes):gsub("%a", "=")
        local ok, state = pcall(s.session.line, s.session, text)
        assert.is_true(ok, state)
        if state == "more" then s.session:reset() end
        assert.is_falsy(s.text():find("[%z\1-\9\11-\31\127]"))
      end
    end)
  end)
end)

describe("help", function()
  it("has a page that fits a terminal, and one for every subject", function()
    local main = help.text()
    assert.is_true(select(2, main:gsub("\n", "")) < 23)
    for line in main:gmatch("[^\n]+") do assert.is_true(#line < 80, line) end
    for name in main:gmatch('help%("([%w.]+)"%)') do
      assert.is_falsy(help.text(name):find("nothing is called", 1, true), name)
    end
    for _, name in ipairs(help.topics()) do
      local text = help.text(name)
      assert.is_falsy(text:find("nothing is called", 1, true), name)
      assert.is_true(#text > 20, name)
    end
  end)

  it("of a probe is what `bpfnet probes NAME` says", function()
    for _, name in ipairs({ "tcpclose", "podnet" }) do
      assert.are.equal(helper.sh("%s probes %s", helper.bpfnet, name), help.text(name) .. "\n")
    end
  end)

  it("of functions comes from their annotations, which all have", function()
    local text = help.text(bpf.attach)
    assert.are.equal("bpf.attach(name [, opts] [, on_event]) -> bpf.Probe", text:match("^[^\n]*"))
    assert.is_truthy(text:find("Opens, filters and attaches a probe.", 1, true))
    assert.is_truthy(text:find("\n  filter +what does not pass never leaves the kernel"), text)
    assert.is_truthy(text:find("\nexample:  p = bpf.attach(", 1, true), text)
    assert.are.equal(text, help.text("attach"))
    local p <close> = bpf.load("tcpconnect")
    assert.is_truthy(help.text(p.filter):find("^Probe:filter%(%[filter%]%) %-> bpf%.Filter%?\n"))
    assert.are.equal(help.text(p.filter), help.text("p:filter"))
    for name, value in pairs(bpf) do
      if type(value) == "function" then
        assert.is_truthy(help.text(value):find("^bpf%." .. name .. "%(.-\n"), name)
      end
    end
    for _, name in ipairs(complete_known.of_call("bpf.attach", true)) do
      if name ~= "background" and name ~= "watch" then -- a field of the class; of the prompt
        assert.is_truthy(help.text("Probe:" .. name):find("^Probe:" .. name .. "%(.-\n"), name)
      end
    end
    assert.is_truthy(help.text(require("bpfnet.out").bytes):find('^out%.bytes%(%[n%]%) %-> string%?\nReturns a number'))
  end)

  it("knows objects, modules and scripts, and guesses", function()
    with(nil, function(s)
      local p <close> = bpf.load("tcpconnect")
      local text = help.text(p)
      assert.is_truthy(text:find("^probe tcpconnect: loaded"))
      assert.is_truthy(text:find("Probe:filter([filter])", 1, true) and text:find("\nfields:\n", 1, true))
      assert.is_truthy(help.text(require("bpfnet.hist")):find("Hist:quantile(q)", 1, true))
      assert.is_truthy(help.text("tcplife"):find("usage: bpfnet run tcplife", 1, true))
      assert.is_truthy(help.text("tcpconect"):find('did you mean help("tcpconnect")?', 1, true))
      assert.is_truthy(help.text("filtr"):find('did you mean help("filter")?', 1, true))
      assert.is_truthy(help.text("slower_than"):find("only paths that took longer", 1, true))
      assert.is_falsy(help.text("\27[31m"):find("\27", 1, true))
      for _, value in ipairs({ 5, {}, true, string.rep, function() end, coroutine.create(print) }) do
        assert.is_true(#help.text(value) > 3)
      end
      assert.are.equal(help.text("filter") .. "\n", s.enter("?filter"))
      assert.are.equal(help.text("filter") .. "\n", s.enter("help filter"))
      assert.are.equal(help.text() .. "\n", s.enter("help"))
      assert.are.equal(help.text() .. "\n", s.enter("help()"))
      assert.are.equal(help.text("where") .. "\n", s.enter('help("where")'))
    end)
  end)
end)

describe("lua/repl.md", function()
  -- Numbers, and how many spaces are between columns, may differ.
  local function alike(text)
    return (text:gsub("%d+", "#"):gsub(" +", " "))
  end

  it("shows what the prompt does", function()
    local text, ran = helper.read(helper.root .. "/lua/repl.md"), 0
    with({ width = 90 }, function(s)
      local expected, line, got
      local function check()
        if line and not line:find("p:last", 1, true) and line ~= "p" then
          assert.are.equal(alike(expected), alike(got), line)
        end
      end
      for row in text:gmatch("([^\n]*)\n") do
        local entered = row:match("^    bpf> (.*)$") or row:match("^       > (.*)$")
        if entered then
          if not row:find("^       >") then check() end
          line, got, expected = entered, s.enter(entered), ""
          ran = ran + 1
          if entered:find("bpf.attach", 1, true) then
            helper.traffic_facts("-c 3 refused4")
            bpf.run(0.1)
          end
        elseif row:find("^    ") and expected then
          expected = expected .. row:sub(5) .. "\n"
        elseif expected then
          check()
          line, expected = nil, nil
        end
      end
      local events = s.enter("p:last(1000)") -- others' may be among them
      assert.is_true(select(2, events:gsub("tr%-client[^\n]*ECONNREFUSED", "")) >= 3, events)
      s.enter("p, a = nil, nil")
    end)
    assert.is_true(ran > 12)
  end)
end)

describe("bpfnet.embedded", function()
  it("names and reads what travels in the binary", function()
    local modules, scripts = table.concat(embedded.modules(), " "), table.concat(embedded.scripts(), " ")
    assert.is_truthy(modules:find("bpfnet.hist", 1, true) and modules:find("bpfnet._meta", 1, true))
    assert.is_truthy(scripts:find("tcplife", 1, true))
    assert.are.equal(helper.read(helper.root .. "/lua/bpfnet/hist.lua"), embedded.source("bpfnet.hist"))
    assert.are.equal(helper.read(helper.root .. "/scripts/tcplife.lua"), embedded.source("tcplife"))
    assert.is_nil(embedded.source("nothing"))
  end)
end)

describe("bpf.probes()", function()
  it("tells of one probe, or of all without trying them", function()
    local one = bpf.probes({ name = "tcpclose" })
    assert.are.equal(1, #one)
    assert.is_true(one[1].available)
    assert.are.same({}, bpf.probes({ name = "nothing" }))
    local all, tried = bpf.probes({ try = false }), bpf.probes()
    assert.are.equal(#tried, #all)
    for i, probe in ipairs(all) do
      assert.is_nil(probe.available)
      assert.are.same(tried[i].fields, probe.fields)
      assert.are.same(tried[i].filters, probe.filters)
    end
    assert.is_false(pcall(bpf.probes, { tri = false }))
    assert.is_false(pcall(bpf.probes, { try = 1 }))
    assert.is_false(pcall(bpf.probes, { name = 1 }))
  end)
end)
