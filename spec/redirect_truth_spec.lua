-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the probes say of connections that a redirect carries past TCP: what the two ends really sent,
-- wherever the redirect runs and whenever it began.

local cjson = require "cjson"
local helper = require "helper"

local MEMBERS = { "rx_bytes", "tx_bytes", "rx_redirected_bytes", "tx_redirected_bytes",
  "rx_redirected_msgs", "tx_redirected_msgs" }

-- A connection on which turns are taken until finish().
local function start_turns(seconds)
  local go = os.tmpname()
  os.remove(go)
  local child = helper.start(("sh -c 'echo $$ > %s/cgroup.procs; exec %s/tests/pair %s %d'"):format(
    helper.cgroup(), helper.out, go, seconds or 0))
  return {
    finish = function()
      io.open(go, "w"):close()
      local deadline = bpf.now() + 15e9
      while child.stdout() == "" and child.stderr() == "" do
        assert(bpf.now() < deadline, "pair does not end")
        bpf.run(0.02)
      end
      os.remove(go)
      assert.are.equal("", child.stderr())
      assert.are.equal(0, child.wait())
      local fact = cjson.decode(child.stdout())
      for name, value in pairs(fact) do fact[name] = math.tointeger(value) end
      return fact
    end,
  }
end

local function collect()
  local events = {}
  local probe = bpf.attach("tcpclose", { filter = { cgroup = helper.cgroup() } }, function(ev)
    events[#events + 1] = ev
  end)
  return { events = events, close = function() bpf.run(0.1) probe:close() end }
end

-- The two ends of the connection, the client's first.
local function ends_of(events, fact)
  local client, server
  for _, ev in ipairs(events) do
    if ev.sport == fact.sport and ev.dport == fact.dport then client = ev end
    if ev.sport == fact.dport and ev.dport == fact.sport then server = ev end
  end
  assert(client and server, "an end is missing")
  return client, server
end

local function check_sums(client, server, fact)
  assert.are.equal(fact.requests, client.tx_bytes)
  assert.are.equal(fact.answers, client.rx_bytes)
  assert.are.equal(fact.answers, server.tx_bytes)
  assert.are.equal(fact.requests, server.rx_bytes)
end

-- The first turns always go by TCP, so no part is all of it.
local function check_parts(client, server)
  for _, name in ipairs { "bytes", "msgs" } do
    local rx, tx = "rx_redirected_" .. name, "tx_redirected_" .. name
    assert.is_true(client[tx] > 0 and client[rx] > 0, name)
    assert.are.equal(client[tx], server[rx])
    assert.are.equal(client[rx], server[tx])
  end
  assert.is_true(client.tx_redirected_bytes < client.tx_bytes)
  assert.is_true(client.rx_redirected_bytes < client.rx_bytes)
end

local function wait_running(seconds, done)
  local deadline = bpf.now() + seconds * 1e9
  while not done() do
    assert(bpf.now() < deadline, "waited " .. seconds .. " s in vain")
    bpf.run(0.02)
  end
end

local function redirected_enough(r)
  return function() return r:stats().redirected_msgs > 40 end
end

-- A redirect in a process of its own. wait() returns when it has carried something.
local function other_redirect(options)
  local mark = os.tmpname()
  os.remove(mark)
  local child = helper.start(("%s run -e %s"):format(helper.bpfnet, helper.quote(([[
    local r = bpf.redirect { cgroup = "%s" %s }
    %s
    bpf.every(0.02, function()
      if r:stats().redirected_msgs > 40 then io.open("%s.carried", "w"):close() end
    end)
    io.open("%s.ready", "w"):close()
    bpf.run()
    r:close()]]):format(helper.cgroup(), options or "", helper.snapshot_code(mark .. ".held"), mark, mark))))
  wait_running(10, function() return helper.read(mark .. ".ready") or child.stderr() ~= "" end)
  assert.are.equal("", child.stderr())
  return {
    maps = (helper.held(mark .. ".held")),
    wait = function()
      wait_running(10, function() return helper.read(mark .. ".carried") end)
    end,
    stop = function(signal)
      child.kill(signal or "TERM")
      child.wait()
      for _, what in ipairs { ".held", ".ready", ".carried" } do os.remove(mark .. what) end
    end,
  }
end

-- What a script says of a connection that begins after it, and of which most is redirected.
local function trace(script)
  local r <close> = bpf.redirect { cgroup = helper.cgroup() }
  local child = helper.start(("%s run -v %s --cgroup %s"):format(helper.bpfnet, script, helper.cgroup()))
  local wanted = script:match("^tcplife") and 1 or script:match("^connections") and 2 or 4
  helper.wait(10, function() return select(2, child.stderr():gsub("attached", "")) == wanted end)
  local turns = start_turns()
  wait_running(10, redirected_enough(r))
  local fact = turns.finish()
  local stats = r:stats()
  os.execute("sleep 0.3")
  child.kill("TERM")
  assert.are.equal(0, child.wait(), child.stderr())
  return child.stdout(), fact, stats.redirected_bytes
end

local decode = helper.rows

local function possible()
  local ok, why = pcall(function() bpf.redirect({ cgroup = helper.cgroup() }):close() end)
  if not ok then pending("no redirect here: " .. tostring(why)) end
  return ok
end

describe("tcpclose, of redirected connections,", function()
  it("tells nothing that is not so without a redirect", function()
    local got = collect()
    local turns = start_turns()
    bpf.run(0.2)
    local fact = turns.finish()
    got.close()
    local client, server = ends_of(got.events, fact)
    check_sums(client, server, fact)
    for _, ev in ipairs { client, server } do
      for i = 3, #MEMBERS do assert.are.equal(0, ev[MEMBERS[i]]) end
    end
  end)

  it("is right with the redirect in this process, begun before it", function()
    if not possible() then return end
    local r <close> = bpf.redirect { cgroup = helper.cgroup() }
    local got = collect()
    local turns = start_turns()
    wait_running(10, redirected_enough(r))
    local fact = turns.finish()
    got.close()
    local client, server = ends_of(got.events, fact)
    check_sums(client, server, fact)
    check_parts(client, server)
    local stats = r:stats()
    assert.are.equal(stats.redirected_bytes, client.tx_redirected_bytes + server.tx_redirected_bytes)
    assert.are.equal(stats.redirected_msgs, client.tx_redirected_msgs + server.tx_redirected_msgs)
  end)

  it("is right with the redirect in this process, begun after it", function()
    if not possible() then return end
    local got = collect()
    local r <close> = bpf.redirect { cgroup = helper.cgroup() }
    local turns = start_turns()
    wait_running(10, redirected_enough(r))
    local fact = turns.finish()
    got.close()
    local client, server = ends_of(got.events, fact)
    check_sums(client, server, fact)
    check_parts(client, server)
  end)

  for _, first in ipairs { "redirect", "probe" } do
    it("is right with the redirect in another process, the " .. first .. " first", function()
      if not possible() then return end
      local got = first == "probe" and collect()
      local other = other_redirect()
      got = got or collect()
      bpf.run(0.3) -- the probe looks ten times a second whether there is a redirect
      local turns = start_turns()
      other.wait()
      local fact = turns.finish()
      other.stop()
      got.close()
      local client, server = ends_of(got.events, fact)
      check_sums(client, server, fact)
      check_parts(client, server)
    end)
  end

  for _, signal in ipairs { "TERM", "KILL" } do
    it("still knows what a redirect had carried that has ended by SIG" .. signal, function()
      if not possible() then return end
      local got = collect()
      local other = other_redirect()
      bpf.run(0.3)
      local turns = start_turns()
      other.wait()
      other.stop(signal)
      bpf.run(0.5)
      local fact = turns.finish()
      got.close()
      local client, server = ends_of(got.events, fact)
      check_sums(client, server, fact)
      check_parts(client, server)
    end)
  end

  it("adds up what two redirects carried, one after the other", function()
    if not possible() then return end
    local got = collect()
    local turns = start_turns()
    local carried = 0
    local one <close> = bpf.redirect { cgroup = helper.cgroup() }
    local fresh = start_turns()
    wait_running(10, redirected_enough(one))
    assert.are.equal(0, one:stop())
    carried = carried + one:stats().redirected_bytes
    assert.is_true(carried > 0)
    local two <close> = bpf.redirect { cgroup = helper.cgroup() }
    local third = start_turns()
    wait_running(10, redirected_enough(two))
    local facts = { turns.finish(), fresh.finish(), third.finish() }
    bpf.run(0.1)
    carried = carried + two:stats().redirected_bytes
    got.close()
    for _, fact in ipairs(facts) do
      local client, server = ends_of(got.events, fact)
      check_sums(client, server, fact)
      carried = carried - client.tx_redirected_bytes - server.tx_redirected_bytes
    end
    assert.are.equal(0, carried)
  end)

  it("lets a redirect go that has ended, and its sockets too", function()
    if not possible() then return end
    local got = collect()
    local other = other_redirect()
    local turns = start_turns()
    other.wait()
    other.stop()
    turns.finish()
    bpf.run(2.5) -- it looks every second
    local left, which = helper.still_there(other.maps)
    assert.are.equal(0, left, which)
    got.close()
  end)

  it("lets `where` decide by them in the kernel", function()
    if not possible() then return end
    local events = {}
    local _ <close> = bpf.attach("tcpclose", { filter = { cgroup = helper.cgroup() },
      where = "rx_redirected_msgs > 0 and tx_redirected_bytes < tx_bytes" },
      function(ev) events[#events + 1] = ev end)
    local plain = start_turns()
    bpf.run(0.1)
    plain.finish()
    local r <close> = bpf.redirect { cgroup = helper.cgroup() }
    local turns = start_turns()
    wait_running(10, redirected_enough(r))
    local fact = turns.finish()
    bpf.run(0.1)
    assert.are.equal(2, #events)
    check_parts(ends_of(events, fact))
  end)
end)

describe("scripts, of redirected connections,", function()
  it("tcplife: bytes in JSON, a mark and a sum in the table", function()
    if not possible() then return end
    local text, fact, redirected = trace("tcplife --json")
    local rows = decode(text)
    assert.are.equal(2, #rows)
    for _, row in ipairs(rows) do
      assert.are.equal(fact.requests + fact.answers, row.rx_bytes + row.tx_bytes)
      assert.are.equal(redirected, row.rx_redirected_bytes + row.tx_redirected_bytes)
      assert.is_true(row.rx_redirected_msgs > 0 and row.tx_redirected_msgs > 0)
    end
    text, fact, redirected = trace("tcplife")
    local out = require "bpfnet.out"
    local mark = (", redirected %s\n"):format(out.bytes(redirected))
    assert.are.equal(2, select(2, text:gsub(mark, "")), text)
    local all = out.bytes(fact.requests + fact.answers)
    assert.is_truthy(text:find(("2 connection ends, %s received, %s sent, %s redirected\n"):format(all, all,
      out.bytes(2 * redirected)), 1, true), text)
  end)

  it("connections: bytes in JSON, a column in the table", function()
    if not possible() then return end
    local text, fact, redirected = trace("connections --json")
    local totals = 0
    for _, row in ipairs(decode(text)) do
      if row.span == "total" then
        totals = totals + 1
        assert.are.equal(fact.dport, row.dport)
        assert.are.equal(redirected, row.rx_redirected_bytes + row.tx_redirected_bytes)
      end
    end
    assert.are.equal(1, totals)
    text, fact, redirected = trace("connections")
    assert.are.equal(1, select(2, text:gsub(" REDIR ", "")))
    assert.is_truthy(text:find((":%d "):format(fact.dport), 1, true), text)
    assert.are.equal(1, select(2, text:gsub(" " .. require("bpfnet.out").bytes(redirected) .. " ", "")), text)
  end)

  it("pod_latency: bytes in JSON, by side and port, and a word at the port", function()
    if not possible() then return end
    local text, fact, redirected = trace("pod_latency --json")
    local sides = {}
    for _, row in ipairs(decode(text)) do
      for _, port in ipairs(row.span == "total" and row.ports or {}) do
        sides[port.side] = (sides[port.side] or 0) + 1
        assert.are.equal(fact.dport, port.port)
        assert.are.equal(redirected, port.rx_redirected_bytes + port.tx_redirected_bytes)
      end
    end
    assert.are.same({ accept = 1, connect = 1 }, sides)
    text, fact, redirected = trace("pod_latency")
    assert.is_truthy(text:find(("connect :%d "):format(fact.dport), 1, true), text)
    local word = "redirected " .. require("bpfnet.out").bytes(redirected) .. "\n"
    assert.are.equal(2, select(2, text:gsub(word:gsub("%.", "%%."), "")), text)
  end)
end)
