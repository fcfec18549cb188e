-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A prompt inside of a script that runs.

local helper = require "helper"
local terminal = require "terminal"

local PROMPT = "bpf>"

describe("bpfnet repl --attach", function()
  local child, t

  -- A script that counts connections in our cgroup, and time.
  local SCRIPT = [[
    N, ticks, seen = 0, 0, {}
    p = bpf.attach("tcpconnect", {filter = {cgroup = "CGROUP"}}, function(ev)
      N = N + 1
      seen[ev.dport] = (seen[ev.dport] or 0) + 1
    end)
    bpf.every(0.01, function() ticks = ticks + 1 end)
    print("attached") io.stdout:flush()
    print(bpf.run(), N)]]

  local function start(code, options)
    child = helper.start(("%s run %s -e %s"):format(helper.bpfnet, options or "",
      helper.quote((code or SCRIPT):gsub("CGROUP", helper.cgroup()))))
    helper.wait(20, function() return child.stdout():find("attached") end)
  end

  -- Enters a line by a client of its own; gives what that prints, and its status.
  local function line(text)
    return helper.sh("timeout 20 %s repl --attach %d -e %s </dev/null", helper.bpfnet, child.pid, helper.quote(text))
  end

  local function number(text)
    local printed = line(text)
    return assert(tonumber(printed), printed)
  end

  -- That it is well: it goes on, ends as it would, and has the count that it should have.
  local function ends_with(count)
    local ticks = number("ticks")
    helper.wait(5, function() return number("ticks") > ticks end)
    child.kill("INT")
    assert.are.equal(0, child.wait(), child.stderr())
    assert.are.equal("attached\ninterrupted\t" .. count .. "\n", child.stdout())
    child = nil
  end

  after_each(function()
    if t then t:close() end
    if child then child.kill("KILL") end
    t, child = nil, nil
  end)

  it("looks at a script's tables and changes its filter, while it counts on", function()
    start()
    t = terminal.open(("%s repl --attach %d"):format(helper.bpfnet, child.pid))
    t:wait_end("\n" .. PROMPT)
    helper.traffic_facts("-c 7 echo4")
    helper.wait(5, function() return t:enter("'n=' .. N") or t:screen():find("\"n=7\"", 1, true) end)
    t:enter(("p:filter{cgroup = '%s', dport = 1}"):format(helper.cgroup()))
    t:wait_end("\n" .. PROMPT)
    helper.traffic_facts("-c 5 echo4")
    t:enter(("p:filter{cgroup = '%s'}"):format(helper.cgroup()))
    t:wait_end("\n" .. PROMPT)
    helper.traffic_facts("-c 4 echo4")
    t:enter("bpf.after(0.5, function() print('later: ' .. N) end) and nil")
    t:wait("later: 11")
    t:enter("total = 0 for _, n in pairs(seen) do total = total + n end")
    t:wait_end("\n" .. PROMPT)
    t:enter("'total=' .. total")
    t:wait("\"total=11\"")
    t:enter("p:watch{every = 0.2}")
    t:wait("tcpconnect  ")
    t:enter("p:watch(false)")
    t:wait_end("\n" .. PROMPT)
    t:type("tick")
    t:key("Tab")
    t:wait_end("bpf> ticks")
    t:key("C-c")
    t:wait_end("ticks^C\n" .. PROMPT)
    t:key("C-d")
    t:wait("EXIT 0")
    assert.are.equal("attached\n", child.stdout())
    ends_with(11)
  end)

  it("prints to the client what its lines print, and nothing of the script's", function()
    start(SCRIPT .. " io.stdout:write('never shown')")
    local text, status = line("print('a', 1) io.write('b\\n') io.stdout:write('c\\n') io.stderr:write('d\\n')"
      .. " bpf.log('error', 'e')")
    assert.are.equal("a\t1\nb\nc\nd\nbpfnet: e\n", text)
    assert.are.equal(0, status)
    assert.are.equal("", child.stderr())
    assert.are.equal("attached\n", child.stdout())
  end)

  it("takes what a session has attached with it, and leaves what was there", function()
    start()
    local base = os.tmpname()
    line("q = bpf.attach('tcpclose', function() end) " .. helper.snapshot_code(base))
    local ids = helper.held(base)
    local before = os.tmpname()
    line(helper.snapshot_code(before))
    for kind, set in pairs(helper.held(before)) do
      for id in pairs(set) do ids[kind][id] = nil end
    end
    assert.is_truthy(next(ids.prog))
    local left, names = helper.still_there(ids)
    assert.are.equal(0, left, names)
    helper.traffic_facts("-c 3 echo4")
    helper.wait(5, function() return number("N") == 3 end)
    ends_with(3)
  end)

  it("stops a line at Ctrl-C, at the limit of a callback, and when its client dies", function()
    start(nil, "--limit-time 20")
    t = terminal.open(("%s repl --attach %d"):format(helper.bpfnet, child.pid))
    t:wait_end("\n" .. PROMPT)
    t:enter("while true do pcall(function() while true do end end) end")
    helper.sh("sleep 0.2")
    t:key("C-c")
    t:wait_end("interrupted\n" .. PROMPT, 5)
    t:enter("while true do end")
    helper.sh("sleep 0.2; pkill -KILL -f '^%s repl --attach %d$'", helper.bpfnet, child.pid)
    t:wait("EXIT 137")
    assert.are.equal("1\n", (line("1")))
    ends_with(0)
    start(nil, "--limit-time 0.2")
    assert.is_truthy(line("while true do end"):find(
      "ran longer than 0.2 s and was stopped\nhint: --limit-time changes that", 1, true))
    ends_with(0)
  end)

  it("does not wait for a client that stands still", function()
    start(nil, "--limit-time 5")
    t = terminal.open(("%s repl --attach %d"):format(helper.bpfnet, child.pid))
    t:wait_end("\n" .. PROMPT)
    t:enter("bpf.after(0.3, function() for i = 1, 5000 do print(('x'):rep(1000)) end end) and nil")
    t:wait_end("nil\n" .. PROMPT)
    helper.sh("pkill -STOP -f '^%s repl --attach %d$'", helper.bpfnet, child.pid)
    helper.wait(5, function() return child.stderr():find("dropped: it does not read", 1, true) end)
    assert.are.equal("2\n", (line("1 + 1")))
    helper.sh("pkill -CONT -f '^%s repl --attach %d$'", helper.bpfnet, child.pid)
    t:wait("has ended this session\nEXIT 1")
    ends_with(0)
  end)

  -- A script with a handler of its own, and events that it makes itself.
  local EVENTS = [[
    N, ticks = 0, 0
    p = bpf.load("tcpconnect", function() N = N + 1 end)
    bpf.every(0.01, function() ticks = ticks + 1 local garbage = {} p:inject{dport = 1} end)
    print("attached") io.stdout:flush()
    print(bpf.run(), "end")]]

  -- That events come to the script's own handler, and that it ends as it would.
  local function counts_on()
    local n = number("N")
    helper.wait(5, function() return number("N") > n end)
    child.kill("INT")
    assert.are.equal(0, child.wait(), child.stderr())
    assert.are.equal("attached\ninterrupted\tend\n", child.stdout())
    child = nil
  end

  it("takes away a handler that runs too long, and puts back the one before", function()
    start(EVENTS, "--limit-time 0.2")
    t = terminal.open(("%s repl --attach %d"):format(helper.bpfnet, child.pid))
    t:wait_end("\n" .. PROMPT)
    local swallow = "while true do pcall(function() while true do end end) end"
    for _, give in ipairs({ "p:on_event(function() %s end)", "p:tap(function() %s end)",
      "bpf.every(0.05, function() %s end)", "bpf.after(0, coroutine.wrap(function() %s end))" }) do
      t:enter((give .. " and nil"):format(swallow))
      t:wait("ran longer than 0.2 s and was stopped")
      t:wait("hint: a handler failed, and is not called again")
      t:enter("'timers: ' .. #attached() .. ' taps: ' .. tostring(p:untap() == p)")
      t:wait("\"timers: 1 taps: true\"")
        t:enter("clear = nil for _ = 1, 30 do print() end")
      t:wait_end("\n" .. PROMPT)
    end
    t:key("C-d")
    t:wait("EXIT 0")
    assert.are.equal("", child.stderr())
    counts_on()
    -- one that fails when the prompt has left
    start(EVENTS, "--limit-time 0.2")
    line("n = 0 p:on_event(function() n = n + 1 if n > 50 then while true do end end end)")
    helper.wait(5, function() return child.stderr():find("was stopped", 1, true) end)
    assert.is_truthy(child.stderr():find("(a handler failed, and is not called again)", 1, true), child.stderr())
    counts_on()
    -- at once, before the script knows that it has
    start(EVENTS, "--limit-time 0.2")
    line("bpf.after(0, function() while true do end end)")
    helper.wait(5, function() return child.stderr():find("was stopped", 1, true) end)
    counts_on()
  end)

  it("loses none of the script's events to such a handler", function()
    start(nil, "--limit-time 0.2")
    t = terminal.open(("%s repl --attach %d"):format(helper.bpfnet, child.pid))
    t:wait_end("\n" .. PROMPT)
    t:enter("p:tap(function(dport) while true do pcall(function() while true do end end) end end) and nil")
    t:wait_end("nil\n" .. PROMPT)
    helper.traffic_facts("-c 30 echo4")
    t:wait("was stopped")
    t:key("C-d")
    t:wait("EXIT 0")
    helper.wait(5, function() return number("N") == 30 end)
    ends_with(30)
  end)

  it("takes away what handlers have set later, and fails", function()
    start(EVENTS)
    t = terminal.open(("%s repl --attach %d"):format(helper.bpfnet, child.pid))
    t:wait_end("\n" .. PROMPT)
    t:enter("bpf.after(0, function() bpf.after(0, function() error('inner') end) end) and nil")
    t:wait("inner\nhint: a handler failed")
    t:enter("bpf.http{url = 'http://127.0.0.1:1/', on_done = function() error('of http') end} and nil")
    t:wait("of http\nhint: a handler failed")
    t:key("C-d")
    t:wait("EXIT 0")
    counts_on()
  end)

  it("keeps memory for the script", function()
    start(EVENTS, "--limit-mem 24")
    local eat = "hog = {} for i = 1, 1e6 do hog[i] = ('x'):rep(10000) .. i end"
    t = terminal.open(("%s repl --attach %d"):format(helper.bpfnet, child.pid))
    t:wait_end("\n" .. PROMPT)
    t:enter(eat)
    t:wait("error: not enough memory")
    t:enter("p:tap(function() " .. eat .. " end) and nil")
    t:wait("not enough memory\nhint: a handler failed")
    t:wait_end("\n" .. PROMPT)
    t:key("C-d")
    t:wait("EXIT 0")
    counts_on()
  end)

  it("does not end the script by what is meant for the prompt", function()
    start(EVENTS)
    for text, expected in pairs({ ["os.exit(3)"] = "os.exit: not at a prompt inside of a script: that would end it",
      ["bpf.stop()"] = ("hint: Ctrl-D leaves the prompt; `kill -INT %d` ends the script"):format(child.pid),
      ["_G.it = p:events()"] = "probe:events: not at a prompt inside of a script: its loop would end",
      ["bpf.run(1)"] = "at the prompt events come by themselves",
      ["io.read()"] = "nil",
      ["function f() return 1 + f() end f()"] = "error: stack overflow" }) do
      local printed = line(text)
      assert.is_truthy(printed:find(expected, 1, true), text .. ": " .. printed)
    end
    line("bpf.after(0, function() bpf.stop() end) local t = bpf.now() while bpf.now() - t < 1e8 do end")
    -- a session is closed although it has lost what that needs
    assert.are.equal("nil\n", (line("pcall = nil print(_G.pcall) q = bpf.attach('tcpclose', print)")))
    assert.are.equal("1\n", (line("#attached()"))) -- the script's timer
    counts_on()
  end)

  it("stands a client that is killed at any time", function()
    start(EVENTS)
    for i = 1, 12 do
      helper.sh("(printf 'for i = 1, 1e4 do print(i) end\\np:tap(print)\\n%%s' 'bpf.every(0.001, print)'; sleep 1) |"
        .. " timeout -s KILL %.2f %s repl --attach %d >/dev/null", 0.02 * i, helper.bpfnet, child.pid)
    end
    assert.are.equal("1\n", (line("#attached()")))
    counts_on()
  end)

  it("does not keep a script going, and says when it has ended", function()
    start("print('attached') io.stdout:flush() bpf.after(1, bpf.stop) bpf.run()")
    local text, status = helper.sh("sleep 3 | timeout 10 %s repl --attach %d", helper.bpfnet, child.pid)
    assert.are.equal("bpfnet: the script has ended\n", text)
    assert.are.equal(1, status)
    assert.are.equal(0, child.wait())
    assert.is_nil(helper.read(("/run/bpfnet/%d.sock"):format(child.pid)))
    assert.are.equal("", (helper.sh("find /run/bpfnet -name %d.sock", child.pid)))
    child = nil
  end)

  it("cleans up after one that was killed", function()
    start()
    local pid = child.pid
    child.kill("KILL")
    child.wait()
    assert.is_truthy(helper.sh("find /run/bpfnet -name %d.sock", pid):find("sock"))
    start("print('attached')")
    assert.are.equal(0, child.wait())
    assert.are.equal("", (helper.sh("find /run/bpfnet -name %d.sock", pid)))
    child = nil
  end)

  it("leaves nothing when a script ends by os.exit(), nor where a number is another program's", function()
    start("print('attached') os.exit(3)")
    assert.are.equal(3, child.wait())
    assert.are.equal("", (helper.sh("find /run/bpfnet -name %d.sock", child.pid)))
    -- of a container's process 1, say, which is another one here
    local other = helper.start("sleep 60")
    local path = ("/run/bpfnet/%d.sock"):format(other.pid)
    helper.sh("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"%s\")'; touch -d '1 hour ago' %s", path,
      path)
    start("print('attached')")
    assert.are.equal(0, child.wait())
    other.kill("KILL")
    assert.are.equal("", (helper.sh("find /run/bpfnet -name %d.sock", other.pid)))
    child = nil
  end)

  it("says what is wrong", function()
    local function refused(pid, prefix)
      local text, status = helper.sh("%s timeout 20 %s repl --attach %s </dev/null", prefix or "", helper.bpfnet, pid)
      assert.are_not.equal(0, status, text)
      return text
    end
    assert.is_truthy(refused("4194305"):find("bpfnet: there is no process 4194305\n", 1, true))
    assert.is_truthy(refused("x"):find("--attach: expected the number of a process, got \"x\"", 1, true))
    local sleeper = helper.start("sleep 60")
    helper.wait(5, function() return helper.read(("/proc/%d/comm"):format(sleeper.pid)) == "sleep\n" end)
    assert.is_truthy(refused(sleeper.pid):find(("process %d (sleep) can't be attached to\nhint: it is no `bpfnet run`")
      :format(sleeper.pid), 1, true))
    sleeper.kill("TERM")
    start("print('attached') io.stdout:flush() os.execute('sleep 8') bpf.run()")
    assert.is_truthy(refused(child.pid):find("does not answer: its script computes or waits outside of bpf.run()", 1,
      true))
    child.kill("KILL")
    start()
    -- as another user, from a place that one can enter
    local copy = os.tmpname()
    helper.sh("cp %s %s && chmod 755 %s", helper.bpfnet, copy, copy)
    local text = helper.sh("setpriv --reuid 65534 --regid 65534 --clear-groups %s repl --attach %d </dev/null", copy,
      child.pid)
    assert.is_truthy(text:find("belongs to another user (uid 0): only that one and root may attach", 1, true), text)
    os.remove(copy)
    assert.are.equal("700 0\n", (helper.sh("stat -c '%a %u' /run/bpfnet")))
    assert.are.equal("600\n", (helper.sh("stat -c %%a /run/bpfnet/%d.sock", child.pid)))
    t = terminal.open(("%s repl --attach %d"):format(helper.bpfnet, child.pid))
    t:wait_end("\n" .. PROMPT)
    assert.is_truthy(refused(child.pid):find("is attached to it already", 1, true))
    t:key("C-d")
    helper.wait(5, function() return line("1") == "1\n" end)
    ends_with(0)
  end)
end)
