-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Filters decide in the kernel, from the first event on, and can be changed while a probe runs.

local expect = require "expect"
local helper = require "helper"

-- Runs traffic under a filter; gives the facts and the close events that came through.
local function close_events(filter, scenarios)
  local got = {}
  local p = bpf.attach("tcpclose", { filter = filter }, function(ev) got[#got + 1] = ev end)
  local facts = helper.traffic_facts(scenarios or "-c 3 echo4 echo6 serverclose")
  bpf.run(0.2)
  local stats = p:stats()
  p:close()
  return facts, got, stats
end

-- How many of the facts' ends a predicate holds for.
local function count(facts, pred)
  local n = 0
  for _, fact in ipairs(facts) do
    if fact.close and pred(fact) then n = n + 1 end
  end
  return n
end

describe("a filter", function()
  it("by pid lets only that process's connections pass, from the first event on", function()
    -- The pid has to be known before the traffic is there: a shell that waits, then becomes it.
    local go = os.tmpname()
    os.remove(go)
    local child = helper.start(("sh -c 'while [ ! -e %s ]; do sleep 0.02; done; exec %s -c 5"
      .. " threads'"):format(go, helper.traffic))
    local got = {}
    local p = bpf.attach("tcpconnect", { filter = { pid = child.pid } }, function(ev)
      got[#got + 1] = ev
    end)
    local other = helper.traffic_facts("-c 3 echo4")
    os.execute("touch " .. go)
    assert.are.equal(0, child.wait())
    bpf.run(0.2)
    local facts = expect.parse(child.stdout())
    local mine = 0
    for _, fact in ipairs(facts) do
      if fact.connect and fact.pid == child.pid then mine = mine + 1 end
    end
    for _, ev in ipairs(got) do assert.are.equal(child.pid, ev.pid) end
    assert.are.equal(mine, #got)
    assert.is_true(p:stats().filtered >= 3)
    assert.are.equal(6, #other)
    p:close()
  end)

  it("by family, port, address and name passes just those", function()
    local cases = {
      { { family = "ipv6" }, function(f) return f.family == "ipv6" end },
      { { family = { "ipv4", "ipv6" } }, function() return true end },
      { { comm = "tr-server" }, function(f) return f.comm == "tr-server" end },
      { { daddr = "::1" }, function(f) return f.daddr == "::1" end },
      { { addr = "127.0.0.0/8" }, function(f) return f.family == "ipv4" end },
      { { saddr = { "::/0" } }, function() return true end },
      { { saddr = "0.0.0.0/0" }, function(f) return f.family == "ipv4" end },
      { { saddr = "10.0.0.0/8" }, function() return false end },
      { { uid = 0 }, function() return true end },
      { { uid = 4711 }, function() return false end },
      { { comm = "tr-client", family = "ipv6" },
        function(f) return f.comm == "tr-client" and f.family == "ipv6" end },
    }
    for _, case in ipairs(cases) do
      local filter, pred = case[1], case[2]
      -- other programs' connections are none of our business
      filter.cgroup = helper.cgroup()
      local facts, got, stats = close_events(filter)
      assert.are.equal(count(facts, pred), #got, bpf.json(filter))
      assert.are.equal(stats.events, #got)
    end
  end)

  it("by netns passes the connections of that namespace", function()
    local inode = helper.sh("stat -L -c %i /proc/self/ns/net"):match("%d+")
    local _, got = close_events({ netns = math.tointeger(tonumber(inode)), cgroup = helper.cgroup() })
    assert.are.equal(0, #got) -- traffic has a namespace of its own
    _, got = close_events({ netns = "/proc/self/ns/net", cgroup = helper.cgroup() }, "-n -c 2 echo4")
    assert.are.equal(4, #got)
    local text, status = helper.sh("ip netns attach filter-spec $$") -- a name of ours
    assert.are.equal(0, status, text)
    _, got = close_events({ netns = "filter-spec", cgroup = helper.cgroup() }, "-n -c 2 echo4")
    helper.sh("ip netns del filter-spec")
    assert.are.equal(4, #got)
  end)

  it("by port takes either side, by sport and dport one", function()
    local port
    local p = bpf.attach("tcpaccept", { filter = { cgroup = helper.cgroup() } }, function(ev)
      port = ev.sport
    end)
    helper.traffic_facts("-c 1 echo4")
    bpf.run(0.2)
    p:close()
    assert.is_true(port > 0)
    local q = bpf.load("tcpclose", { filter = { port = { port, 1 }, sport = 65535 } })
    assert.are.same({ port = { port, 1 }, sport = 65535 }, q:filter())
    q:close()
  end)

  it("by cgroup passes the sockets made in it", function()
    local got = {}
    local p = bpf.attach("tcpclose", { filter = { cgroup = helper.cgroup() } }, function(ev)
      got[#got + 1] = ev
    end)
    local text, status = helper.sh("%s -c 2 echo4", helper.traffic) -- not in the cgroup
    assert.are.equal(0, status, text)
    helper.traffic_facts("-c 2 echo4")
    bpf.run(0.2)
    p:close()
    assert.are.equal(4, #got)
    for _, ev in ipairs(got) do assert.are.equal(got[1].cgroup, ev.cgroup) end
  end)

  it("changes while the probe runs, with the next event", function()
    local seen = {}
    local p = bpf.attach("tcpclose", { filter = { comm = "nobody", cgroup = helper.cgroup() } },
      function(ev)
        seen[ev.comm] = (seen[ev.comm] or 0) + 1
      end)
    local function set(filter)
      filter.cgroup = helper.cgroup()
      p:filter(filter)
    end
    local function round(filter)
      if filter then set(filter) end
      seen = {}
      helper.traffic_facts("-c 2 echo4")
      bpf.run(0.1)
      return seen
    end
    assert.are.same({}, round())
    assert.are.same({ ["tr-client"] = 2 }, round { comm = "tr-client" })
    assert.are.same({ ["tr-server"] = 2 }, round { comm = "tr-server" })
    assert.are.same({}, round { comm = "tr-server", family = "ipv6" })
    assert.are.equal(2, round({})["tr-client"])
    for i = 1, 20 do
      set { comm = i % 2 == 0 and "tr-client" or { "tr-server", "x" .. i } }
    end
    assert.are.same({ ["tr-client"] = 2 }, round())
    p:close()
  end)

  it("keeps the old one when the new one is wrong", function()
    local n = 0
    local filter = { comm = "tr-client", cgroup = helper.cgroup() }
    local p = bpf.attach("tcpclose", { filter = filter }, function() n = n + 1 end)
    assert.has_error(function() p:filter { daddr = "10.0.0.0/33" } end)
    assert.are.same(filter, p:filter())
    helper.traffic_facts("-c 3 echo4")
    bpf.run(0.1)
    assert.are.equal(3, n)
    p:close()
  end)
end)
