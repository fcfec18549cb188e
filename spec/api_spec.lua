-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The module bpfnet: probes, events in their forms, timers, maps, objects of one's own.

local helper = require "helper"

local ours = helper.ours

describe("bpf.probes()", function()
  it("says of each probe what it has and what works here", function()
    local names = {}
    for _, p in ipairs(bpf.probes()) do
      names[#names + 1] = p.name
      assert.is_true(p.available, p.why)
      assert.is_truthy(p.doc:find("one event per"))
      assert.are.equal("ts_ns", p.fields[1].name)
      for _, f in ipairs(p.fields) do assert.is_true(#f.doc > 0, p.name .. "." .. f.name) end
      assert.are.equal(p.name ~= "cgroups" and "pid" or nil, p.filters[1])
      local used = 0
      for _, way in ipairs(p.ways) do used = used + (way.used and 1 or 0) end
      assert.is_true(used > 0)
    end
    assert.are.same({ "cgroups", "podnet", "podnet_path", "podnet_span", "tcpaccept", "tcpclose", "tcpconnect",
      "tcprequest" }, names)
  end)
end)

describe("timers", function()
  it("fire in time, once or again, and end when closed", function()
    local log = {}
    local t
    t = bpf.every(0.02, function()
      log[#log + 1] = "every"
      if #log == 4 then t:close() end
    end)
    bpf.after(0.03, function() log[#log + 1] = "after" end)
    local start = bpf.now()
    assert.are.equal("idle", bpf.run(2))
    assert.are.same({ "every", "after", "every", "every" }, log)
    assert.is_true(bpf.now() - start < 5e9)
    assert.are.equal("Timer (closed)", tostring(t))
  end)
end)

describe("events", function()
  it("come as tables that can be kept, printed and encoded", function()
    local kept = {}
    local p = bpf.attach("tcpclose", ours(), function(ev) kept[#kept + 1] = ev end)
    helper.traffic_facts("-c 2 echo4")
    bpf.run(0.1)
    p:close()
    collectgarbage()
    assert.are.equal(4, #kept)
    for _, ev in ipairs(kept) do
      assert.are.equal("tcpclose", ev.probe)
      assert.are.equal("127.0.0.1", ev.saddr)
      assert.is_truthy(tostring(ev):find("^tcpclose ts_ns=%d+ cookie=%d+ .* old=false$"))
      local back = require("cjson").decode(ev:json())
      assert.are.equal(ev.comm, back.comm)
      assert.is_truthy(ev:json():find('"cgroup":' .. ev.cgroup .. ",", 1, true))
    end
    -- a terminal obeys none of a process's name
    kept[1].comm = "a\27[2J\nb\xc2\x9b\xc3\xa9"
    assert.is_truthy(tostring(kept[1]):find(" comm=a?[2J?b?\xc3\xa9 ", 1, true), tostring(kept[1]))
  end)

  it("come as arguments by a handler's parameter names, or by fields", function()
    local seen = {}
    local a = bpf.attach("tcpconnect", ours(), function(comm, dport, error)
      seen[#seen + 1] = comm .. " " .. type(dport) .. " " .. tostring(error)
    end)
    local b = bpf.attach("tcpconnect", ours { fields = { "error", "comm" } }, function(...)
      seen[#seen + 1] = select("#", ...) .. " " .. table.concat({ ... }, " ")
    end)
    helper.traffic_facts("-c 1 refused4")
    bpf.run(0.1)
    a:close()
    b:close()
    table.sort(seen)
    assert.are.same({ "2 ECONNREFUSED tr-client", "tr-client number ECONNREFUSED" }, seen)
  end)

  it("can be pulled, with a time limit and with a break", function()
    local p = bpf.attach("tcpclose", ours { fields = { "comm", "rx_bytes" } })
    helper.traffic_facts("-c 3 echo4")
    local n = 0
    for comm, rx_bytes in p:events(0.3) do
      assert.is_truthy(comm:find("^tr%-"))
      assert.are.equal(100, rx_bytes)
      n = n + 1
    end
    assert.are.equal(6, n)
    helper.traffic_facts("-c 3 echo4")
    for _ in p:events(5) do
      n = n + 1
      if n == 8 then break end
    end
    assert.are.equal(8, n)
    p:close()
  end)

  it("can be made up, and take the same way as real ones", function()
    local got
    local p = bpf.load("tcpclose")
    p:on_event(function(ev) got = ev end)
    p:inject { pid = 7, comm = "curl", daddr = "10.0.0.1", saddr = "fd00::1", dport = 80,
      cgroup = (1 << 60) + 1, ended = "rst_sent", old = true, duration_ns = nil }
    assert.are.equal("curl", got.comm)
    assert.are.equal("10.0.0.1", got.daddr)
    assert.are.equal("fd00::1", got.saddr)
    assert.are.equal("rst_sent", got.ended)
    assert.is_true(got.old)
    assert.is_nil(got.duration_ns)
    assert.are.equal((1 << 60) + 1, got.cgroup)
    assert.is_truthy(got:json():find('"cgroup":1152921504606846977', 1, true))
    p:on_event(function(comm, rx_bytes) got = { comm, rx_bytes } end)
    p:inject { comm = "x", rx_bytes = 5 }
    assert.are.same({ "x", 5 }, got)
    assert.has_error(function()
      p:on_event(function() error("from the handler") end)
      p:inject {}
    end)
    p:close()
  end)
end)

describe("a Probe", function()
  it("goes through its states", function()
    local p = bpf.load("tcpclose")
    assert.are.equal("loaded", p.state)
    p:filter { cgroup = helper.cgroup() }
    p:attach()
    assert.are.equal("attached", p.state)
    local n = 0
    p:on_event(function() n = n + 1 end)
    helper.traffic_facts("-c 1 echo4")
    p:detach()
    assert.are.equal("loaded", p.state)
    assert.are.equal(2, n) -- what had been sent is delivered
    helper.traffic_facts("-c 1 echo4")
    bpf.run(0.1)
    assert.are.equal(2, n)
    p:attach()
    helper.traffic_facts("-c 1 echo4")
    bpf.run(0.1)
    assert.are.equal(4, n)
    assert.are.equal(4, p:stats().events)
    p:close()
    p:close()
    assert.are.equal("closed", p.state)
    assert.are.equal("Probe (closed)", tostring(p))
  end)

  it("closes at the end of a block", function()
    local kept
    do
      local p <close> = bpf.attach("tcpclose")
      kept = p
      assert.are.equal("attached", p.state)
    end
    assert.are.equal("closed", kept.state)
  end)

  it("lives on without a variable, and wakes at once with latency = \"low\"", function()
    local seen
    bpf.attach("tcpclose", ours { latency = "low" }, function(ev) seen = ev; bpf.stop() end)
    collectgarbage()
    helper.traffic_facts("-c 1 echo4")
    assert.are.equal("stopped", bpf.run(2))
    assert.is_truthy(seen)
  end)

  it("shows its maps", function()
    local p = bpf.attach("tcpclose", ours(), function() end)
    local child = helper.start(helper.traffic_command("-w /tmp/bpfnet-never -c 1 old"))
    local life = helper.wait(5, function()
      for _, v in pairs(p.maps.socks) do
        if v.comm == "tr-client" and v.established_ns > 0 then return v end
      end
    end)
    assert.are.equal("connect", life.owner)
    child.kill("KILL")
    p.maps.filter_set:clear()
    local n = 0
    for _ in pairs(p.maps.filter_set) do n = n + 1 end
    assert.are.equal(0, n)
    p.maps.socks[4711] = { pid = 42, comm = "made up", owner = "accept" }
    assert.are.equal(42, p.maps.socks[4711].pid)
    p.maps.socks[4711] = nil
    assert.is_nil(p.maps.socks[4711])
    p:close()
  end)
end)

describe("an object of one's own", function()
  local object = helper.out .. "/tests/tcpretrans.bpf.o"

  it("is a probe in one file, as bpf/README.md shows", function()
    local root = helper.root
    helper.compile("spec/example/tcpretrans.bpf.c", object)
    local readme = helper.read(root .. "/bpf/README.md")
    local example = helper.read(root .. "/spec/example/tcpretrans.bpf.c")
    assert.is_truthy(readme:find(example:match("#include.*"), 1, true),
      "bpf/README.md shows another file than the one that is tested")
  end)

  it("has events, filters and documentation like those inside", function()
    local got = {}
    local p = bpf.attach(object, ours(), function(ev) got[#got + 1] = ev end)
    -- its peer's packets vanish, so what it sends is sent again
    local facts = helper.traffic_facts("-c 1 dead_peer")
    bpf.run(0.1)
    assert.are.equal("tcpretrans", p.name)
    p:close()
    local client
    for _, fact in ipairs(facts) do
      if fact["end"] == "timeout" then client = fact end
    end
    assert.is_true(#got > 0)
    for i, ev in ipairs(got) do
      assert.are.equal("tcpretrans", ev.probe)
      assert.are.equal(client.pid, ev.pid)
      assert.are.equal(client.dport, ev.dport)
      assert.is_true(ev.nth >= i - 1)
    end
  end)

  it("gets a clear error when it is cut off or no probe", function()
    local cut = os.tmpname() .. "/"
    os.remove(cut:sub(1, -2))
    helper.sh("mkdir %s && head -c 2000 %s > %s/cut.bpf.o", cut, object, cut)
    local p, why = bpf.try_attach(cut .. "cut.bpf.o")
    assert.is_nil(p)
    assert.is_truthy(why:find("'cut' is not a BPF object that can be opened", 1, true), why)
    helper.sh("rm -r %s", cut)
  end)
end)

describe("a single binary", function()
  it("needs nothing of the source tree", function()
    local dir = os.tmpname()
    os.remove(dir)
    helper.sh("mkdir %s && cp %s %s/", dir, helper.bpfnet, dir)
    local text, status = helper.sh("cd %s && ./bpfnet run -e '%s'", dir,
      'print(require("bpfnet.hist").new, require("cjson").encode{1}) print(bpf.attach("tcpclose"))'
      .. " bpf.run(0)")
    assert.are.equal(0, status, text)
    assert.is_truthy(text:find("%[1%]"))
    assert.is_truthy(text:find("Probe tcpclose (attached", 1, true))
    text = helper.sh("cd %s && ./bpfnet run tcplife --help", dir)
    assert.is_truthy(text:find("tcplife", 1, true))
    helper.sh("rm -r %s", dir)
  end)
end)
