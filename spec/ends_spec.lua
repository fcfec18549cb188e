-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- However a script ends, nothing of it stays in the kernel.

local helper = require "helper"

local ATTACH = [[
  bpf.attach("tcpconnect", function(ev) if ON_EVENT then ON_EVENT(ev) end end)
  bpf.attach("tcpaccept", function() end)
  bpf.attach("tcpclose", {buffer = 65536}, function() end) SNAPSHOT
  print("attached") io.stdout:flush()
]]

-- Starts a script, waits until it is attached, lets act() end it, gives status and child.
local function ended(code, act, options)
  local base = os.tmpname()
  local attach = ATTACH:gsub("SNAPSHOT", (helper.snapshot_code(base):gsub("%%", "%%%%")))
  local child = helper.start(("%s run %s -e %s"):format(helper.bpfnet, options or "",
    helper.quote(attach .. code)))
  if act then
    helper.wait(10, function() return child.stdout():find("attached") end)
    act(child)
  end
  local status = child.wait()
  local ids, count = helper.held(base)
  -- three probes and the table of sockets: more than ten programs, links and maps each
  assert.is_true(count > 30, "held " .. count)
  local left, names = helper.still_there(ids)
  assert.are.equal(0, left, names)
  return status, child
end

describe("a script", function()
  it("ends with status 0 on Ctrl-C, SIGTERM and SIGHUP, after its summary", function()
    for _, signal in ipairs { "INT", "TERM", "HUP" } do
      local status, child = ended([[print(bpf.run()) print("summary")]], function(c)
        c.kill(signal)
      end)
      assert.are.equal(0, status, child.stderr())
      assert.are.equal("attached\ninterrupted\nsummary\n", child.stdout())
      assert.are.equal("", child.stderr())
    end
  end)

  it("ends at Ctrl-C while more events come than it can take", function()
    local traffic = helper.start(helper.traffic .. " -c 500000 -p 2 churn")
    local took
    local status, child = ended([[
      ON_EVENT = function() local till = bpf.now() + 300000 while bpf.now() < till do end end
      print(bpf.run()) print("summary")]], function(c)
        os.execute("sleep 1") -- its ring is full by then
        took = bpf.now()
        c.kill("INT")
        helper.wait(20, c.status)
        took = bpf.now() - took
      end, "--buffer 128K")
    local still = not traffic.status()
    traffic.kill("KILL")
    assert.are.equal(0, status, child.stderr())
    assert.is_truthy(child.stdout():find("interrupted\nsummary\n", 1, true))
    assert.is_true(still, "the traffic has ended before")
    assert.is_true(took < 15e9, ("ended after %.1f s"):format(took / 1e9))
  end)

  it("ends two seconds after Ctrl-C if its handler has not come to the end by then, and counts the rest", function()
    local took
    local status, child = ended([[
      local p = bpf.load("tcpclose", { filter = { comm = "tr-client" } })
      local handled = 0
      p:on_event(function() handled = handled + 1 os.execute("sleep 0.1") end)
      local agg = bpf.load("tcpclose", { filter = { comm = "tr-client" } })
      local count = agg:aggregate { by = "comm" }
      agg:attach() p:attach()
      print("ready") io.flush()
      print(bpf.run())
      p:detach() agg:detach()
      print(handled, p:stats().events, p:stats().dropped, count:row("tr-client").count)]], function(c)
        helper.wait(10, function() return c.stdout():find("ready") end)
        helper.traffic_facts("-c 200 echo4")
        took = bpf.now()
        c.kill("INT")
        helper.wait(30, c.status)
        took = bpf.now() - took
      end)
    assert.are.equal(0, status, child.stderr())
    local handled, events, dropped, count = child.stdout():match("interrupted\n(%d+)\t(%d+)\t(%d+)\t(%d+)\n$")
    assert.are.equal("200", count)
    assert.are.equal(200, events + dropped)
    assert.are.equal(handled, events)
    assert.is_true(dropped + 0 > 100, dropped)
    assert.is_true(took > 1.9e9 and took < 12e9, ("ended after %.1f s"):format(took / 1e9))
    assert.is_truthy(child.stderr():find(("probe 'tcpclose': %d events lost, their handler had not come to them "
      .. "2 s after the end\n"):format(dropped), 1, true), child.stderr())
  end)

  it("is run on by the engine when it leaves something attached", function()
    local status, child = ended("", function(c) c.kill("INT") end)
    assert.are.equal(0, status, child.stderr())
  end)

  it("that goes on running after an interrupt is ended by its next bpf.run()", function()
    local status, child = ended("while true do bpf.run() end", function(c) c.kill("INT") end)
    assert.are.equal(0, status, child.stderr())
  end)

  it("that is busy outside the loop is ended by Ctrl-C, also inside pcall", function()
    local status, child = ended("while true do pcall(function() while true do end end) end",
      function(c) c.kill("INT") end)
    assert.are.equal(0, status, child.stderr())
  end)

  it("that mostly waits for a command is ended by Ctrl-C", function()
    local status, child = ended("while true do os.execute('sleep 0.2') bpf.run(0) end", function(c)
      os.execute("sleep 0.05")
      c.kill("INT")
    end)
    assert.are.equal(0, status, child.stderr())
  end)

  it("prints its summary also when the signal comes twice, as timeout(1) sends it", function()
    for _, gap in ipairs { "0", "0.05" } do
      local status, child = ended([[print(bpf.run()) print("summary")]], function(c)
        c.kill("INT")
        os.execute("sleep " .. gap)
        c.kill("INT")
      end)
      assert.are.equal(0, status, child.stderr())
      assert.are.equal("attached\ninterrupted\nsummary\n", child.stdout())
    end
  end)

  it("always ends at a second Ctrl-C after a while", function()
    -- a pattern match can't be interrupted by any hook
    local status = ended([[local _ = ("a"):rep(200):find(("a*"):rep(12) .. "b")]], function(c)
      c.kill("INT")
      os.execute("sleep 0.7")
      c.kill("INT")
    end)
    assert.are.equal(130, status)
  end)

  it("leaves nothing after kill -9", function()
    assert.are.equal(137, (ended("bpf.run()", function(c) c.kill("KILL") end)))
  end)

  it("ends with status 1, script and line on an error", function()
    local status, child = ended("local t = nil\nprint(t.x)")
    assert.are.equal(1, status)
    assert.is_truthy(child.stderr():find("bpfnet: %(command line%):6: attempt to index a nil"))
  end)

  it("ends with status 1 on an error in a callback", function()
    local status, child = ended([[
      ON_EVENT = function(ev) if ev.comm == "tr-client" then error("bad luck with " .. ev.comm) end end
      os.execute("]] .. helper.traffic .. [[ -c 1 echo4 >/dev/null")
      bpf.run(5) print("not reached")]])
    assert.are.equal(1, status)
    assert.is_truthy(child.stderr():find("(command line):5: bad luck with tr-client", 1, true))
    assert.is_falsy(child.stdout():find("not reached"))
  end)

  it("can catch that error around bpf.run()", function()
    local status, child = ended([[
      ON_EVENT = function() error("caught") end
      os.execute("]] .. helper.traffic .. [[ -c 1 echo4 >/dev/null")
      local ok, why = pcall(bpf.run, 5) print(ok, why:match("caught"))]])
    assert.are.equal(0, status, child.stderr())
    assert.is_truthy(child.stdout():find("false\tcaught"))
  end)

  it("ends with bpf.stop() from a callback", function()
    local status, child = ended([[bpf.after(0.05, bpf.stop) print(bpf.run())]])
    assert.are.equal(0, status)
    assert.are.equal("attached\nstopped\n", child.stdout())
  end)

  it("has runaway callbacks stopped, in the time that was set", function()
    for _, body in ipairs {
      "while true do end",
      "while true do pcall(function() while true do end end) end",
      "coroutine.wrap(function() while true do end end)()",
      "local co = coroutine.create(function() while true do pcall(function() while true do end end)"
        .. " end end) while true do coroutine.resume(co) end",
    } do
      local start = bpf.now()
      local status, child = ended("bpf.after(0.01, function() " .. body .. " end) bpf.run()", nil,
        "--limit-time 0.2")
      assert.are.equal(1, status)
      assert.is_truthy(child.stderr():find("ran longer than 0.2 s and was stopped", 1, true),
        child.stderr())
      assert.is_true(bpf.now() - start < 5e9)
    end
  end)

  it("can't take more memory than it may", function()
    local status, child = ended("local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end",
      nil, "--limit-mem 8")
    assert.are.equal(1, status)
    assert.is_truthy(child.stderr():find("not enough memory", 1, true))
  end)

  it("may close a probe in its own callback", function()
    local status, child = ended([[
      local p
      p = bpf.attach("tcpconnect", {buffer = 65536}, function() p:close() print("closed") end)
      os.execute("]] .. helper.traffic .. [[ -c 3 echo4 >/dev/null")
      bpf.run(0.3) print(p)]])
    assert.are.equal(0, status, child.stderr())
    assert.are.equal("attached\nclosed\nProbe (closed)\n", child.stdout())
  end)
end)
