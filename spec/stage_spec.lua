-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What is decided about an event in the kernel: where, sample, rate, threshold, aggregations.

local helper = require "helper"

-- A probe with an event for each getppid() of one process, whose number we choose: exact counts.
local object
local function getppid_object()
  if not object then
    object = os.tmpname() .. ".bpf.o"
    local text, status = helper.sh("clang -g -O2 -mcpu=v2 -target bpf -D__TARGET_ARCH_%s -fms-extensions"
      .. " -Wno-microsoft-anon-tag -I%s/bpf -c %s/tests/bench/events.bpf.c -o %s",
      helper.sh("uname -m"):find("x86") and "x86" or "arm64", helper.root, helper.root, object)
    assert(status == 0, text)
  end
  return object
end

-- Starts a process that calls getppid() as often as told once go() is called.
local function caller(calls)
  local go = os.tmpname()
  os.remove(go)
  local child = helper.start(("perl -e 'select(undef, undef, undef, 0.01) until -e \"%s\";"
    .. " getppid() for 1 .. %d'"):format(go, calls))
  helper.wait(30, function()
    return (helper.read("/proc/" .. child.pid .. "/comm") or ""):find("perl")
  end)
  function child.go() io.open(go, "w"):close() end
  return child
end

-- The probe for that process, loaded but not attached.
local function load(child, opts, on_event)
  local p = bpf.load(getppid_object(), opts, on_event)
  p.maps.writer[0] = child.pid
  return p
end

-- All calls were counted. The program runs for every system call of the node, so those runs that the
-- kernel left out (missed) may have been about others.
local function assert_all(calls, counted, missed)
  assert.is_true(counted <= calls, ("%d of %d"):format(counted, calls))
  assert.is_true(counted + missed >= calls, ("%d and %d missed of %d"):format(counted, missed, calls))
end

-- Closes of our own traffic under these options.
local function closes(opts, scenarios)
  local got = {}
  local p = bpf.attach("tcpclose", helper.ours(opts), function(ev) got[#got + 1] = ev end)
  local facts = helper.traffic_facts(scenarios or "-c 5 echo4 echo6 serverclose")
  bpf.run(0.2)
  local stats = p:stats()
  p:close()
  return got, stats, facts
end

describe("where", function()
  it("lets those events through for which it is true, decided in the kernel", function()
    local all = closes({})
    assert.are.equal(30, #all)
    local cases = {
      { "family == ipv6", function(ev) return ev.family == "ipv6" end },
      { "comm == 'tr-client' and daddr == 127.0.0.1",
        function(ev) return ev.comm == "tr-client" and ev.daddr == "127.0.0.1" end },
      { "comm starts 'tr-' and not (side == connect)",
        function(ev) return ev.side ~= "connect" end },
      { "tx_bytes + rx_bytes > 0 and ended in {fin, timeout}",
        function(ev) return ev.tx_bytes + ev.rx_bytes > 0 and ev.ended == "fin" end },
      { "saddr in {127.0.0.0/8, fd00::/8} and duration_ns < 10s and duration_ns != nil",
        function(ev) return ev.saddr == "127.0.0.1" end },
      { "old or uid != 0", function() return false end },
    }
    for _, case in ipairs(cases) do
      local got, stats = closes({ where = case[1] })
      local want = 0
      for _, ev in ipairs(all) do
        if case[2](ev) then want = want + 1 end
      end
      assert.are.equal(want, #got, case[1])
      for _, ev in ipairs(got) do assert.is_true(case[2](ev), case[1] .. " " .. tostring(ev)) end
      assert.is_true(stats.filtered >= 30 - want, case[1])
    end
  end)

  it("decides the same about an injected event", function()
    local n = 0
    local p <close> = bpf.load("tcpconnect", { where = "error == ETIMEDOUT or latency_ns > 2ms" },
      function() n = n + 1 end)
    p:inject { error = "ETIMEDOUT" }
    p:inject { error = "ECONNREFUSED", latency_ns = 2000000 }
    p:inject { latency_ns = 2000001 }
    p:inject {}
    assert.are.equal(2, n)
    assert.are.equal(2, p:stats().filtered)
  end)

  it("changes between one event and the next: none is decided twice or by nobody", function()
    local calls = 200000
    local child = caller(calls)
    local p = load(child, { where = "ts_ns % 2 == 0", buffer = 1 << 26 }, function(cookie) end) -- luacheck: ignore
    p:attach()
    local changes = 0
    local changer <close> = bpf.every(0.004, function()
      changes = changes + 1
      p:where(changes % 2 == 0 and "ts_ns % 2 == 0" or "not (ts_ns % 2 == 0)")
    end)
    child.go()
    local done <close> = bpf.every(0.1, function()
      if not helper.read("/proc/" .. child.pid .. "/comm") then bpf.stop() end
    end)
    bpf.run(20)
    done:close()
    changer:close()
    bpf.run(0.2)
    local stats = p:stats()
    p:close()
    assert.are.equal(0, child.wait())
    assert_all(calls, stats.events + stats.filtered + stats.dropped, stats.missed)
    assert.is_true(changes > 2, changes .. " changes") -- a slow guest has nine
    assert.is_true(stats.events > 0 and stats.filtered > 0)
  end)

  it("can be read, changed and taken away", function()
    local p <close> = bpf.load("tcpclose", { where = "dport == 80" })
    assert.are.equal("dport == 80", p:where())
    assert.are.equal("sport == 80", p:where("sport == 80"))
    assert.has_error(function() p:where("sport = 80") end)
    assert.are.equal("sport == 80", p:where())
    assert.is_nil(p:where(""))
  end)

  it("that is wrong names the place, and nothing is attached", function()
    local cases = {
      { "dprot == 80", 'column 1: unknown field "dprot", did you mean "dport"?' },
      { "dport == 80 and comm > 3", "column 24: can't compare comm, which is text, with 3" },
      { "dport == 'http'", "column 10" },
      { "duration_ns > 2MiB", "column 15" },
      { "ended == fine", 'did you mean "fin"?' },
    }
    for _, case in ipairs(cases) do
      local p, message, code = bpf.try_attach("tcpclose", { where = case[1] })
      assert.is_nil(p)
      assert.are.equal("EINVAL", code)
      assert.is_truthy(message:find(case[2], 1, true), message)
      assert.is_truthy(message:find(case[1], 1, true), message)
    end
    local _, message = bpf.try_attach("tcpclose", { where = 80 })
    assert.is_truthy(message:find('bad option "where"', 1, true), message)
  end)

  it("that is too long says so", function()
    local terms = {}
    for i = 1, 380 do terms[i] = ("(uid-%d)/(tid-1)>1"):format(i % 10) end
    local text = table.concat(terms, "||")
    local p, message = bpf.try_attach("tcpclose", { where = text })
    assert.is_nil(p)
    assert.is_truthy(message:find("too long", 1, true), message)
  end)

  it("that is wrong ends a script with status 1 and one line", function()
    local text, status = helper.code([[bpf.attach("tcpclose", {where = "dport == "}, print)]])
    assert.are.equal(1, status)
    assert.is_truthy(text:find("where", 1, true), text)
    text, status = helper.run("tcplife --where 'dprot == 80'")
    assert.are.equal(1, status)
    assert.is_truthy(text:find('did you mean "dport"?', 1, true), text)
  end)
end)

describe("threshold", function()
  it("keeps events from being sent, not from being added up", function()
    local got = {}
    local p = bpf.load("tcpclose", {
      filter = { cgroup = helper.cgroup() },
      threshold = "side == accept and family == ipv6",
    }, function(ev) got[#got + 1] = ev end)
    local agg = p:aggregate { by = { "family", "side" } }
    p:attach()
    helper.traffic_facts("-c 4 echo4 echo6")
    bpf.run(0.2)
    local stats = p:stats()
    p:close()
    assert.are.equal(4, #got)
    assert.are.equal(4, stats.events)
    assert.are.equal(12, stats.aggregated)
    assert.are.equal(4, #agg)
    for _, row in ipairs(agg:rows()) do assert.are.equal(4, row.count) end
  end)
end)

describe("sample", function()
  it("takes both ends of a connection or none", function()
    local got, stats = closes({ sample = 0.3 }, "-c 100 echo4")
    local ends = {}
    for _, ev in ipairs(got) do
      local port = ev.side == "connect" and ev.sport or ev.dport
      ends[port] = (ends[port] or 0) + 1
    end
    for port, n in pairs(ends) do assert.are.equal(2, n, "port " .. port) end
    assert.are.equal(200, #got + stats.sampled)
    -- five standard deviations about 60
    assert.is_true(#got > 14 and #got < 106, #got .. " of 200")
  end)

  it("takes a connection in all probes or in none", function()
    local seen = {}
    local function note(ev)
      local key = ev.saddr .. ev.sport .. ev.daddr .. ev.dport
      seen[key] = (seen[key] or 0) + 1
    end
    local opts = helper.ours { sample = 0.5 }
    local a = bpf.attach("tcpconnect", opts, note)
    local b = bpf.attach("tcpaccept", opts, note)
    local c = bpf.attach("tcpclose", opts, note)
    helper.traffic_facts("-c 40 echo4")
    bpf.run(0.2)
    for _, p in ipairs { a, b, c } do p:close() end
    local n = 0
    for key, times in pairs(seen) do
      n = n + 1
      assert.are.equal(2, times, key)
    end
    assert.is_true(n > 10 and n < 70, n .. " of 80")
  end)

  it("is a number above 0, at most 1", function()
    for _, bad in ipairs { 0, -1, 1.5, "x" } do
      local _, message = bpf.try_attach("tcpclose", { sample = bad })
      assert.is_truthy(message:find('bad option "sample": expected a number above 0', 1, true), message)
    end
  end)
end)

describe("rate", function()
  it("sends no more in a second, of each key", function()
    local child = caller(100000)
    local n, seconds = 0, {}
    local p = load(child, { rate = { 100, by = { "comm", "dport" } } }, function(ts_ns, dport)
      n = n + 1
      local key = ts_ns // 1000000000 .. " " .. dport
      seconds[key] = (seconds[key] or 0) + 1
    end)
    p:attach()
    child.go()
    assert.are.equal(0, child.wait())
    bpf.run(0.2)
    local stats = p:stats()
    p:close()
    for key, count in pairs(seconds) do assert.is_true(count <= 100, key .. ": " .. count) end
    assert.is_true(n >= 100)
    assert_all(100000, n + stats.limited, stats.missed)
  end)

  it("names what is wrong", function()
    local cases = {
      { 0, 'bad option "rate": expected events per second' },
      { { 10, by = "dprot" }, 'rate: unknown field "dprot", did you mean "dport"?' },
      { { 10, per = 1 }, 'unknown option "per"' },
      { { 10, by = { "saddr", "daddr", "comm", "closer_comm", "tx_bytes" } }, "at most 64 fit" },
    }
    for _, case in ipairs(cases) do
      local p, message = bpf.try_attach("tcpclose", { rate = case[1] })
      assert.is_nil(p)
      assert.is_truthy(message:find(case[2], 1, true), message)
    end
  end)
end)

describe("an aggregation in the kernel", function()
  -- The same handler's work by events and by the kernel; rows are compared by their key.
  local function same(a, b, columns)
    local by_key = {}
    for _, row in ipairs(a) do by_key[row.comm .. " " .. tostring(row.daddr)] = row end
    assert.are.equal(#a, #b)
    for _, row in ipairs(b) do
      local other = by_key[row.comm .. " " .. tostring(row.daddr)]
      assert.is_not_nil(other, bpf.json(row))
      assert.are.equal(other.count, row.count)
      for _, name in ipairs(columns) do assert.are.same(other[name], row[name], name) end
      assert.are.same(other.hist.buckets, row.hist.buckets)
    end
  end

  it("gives what the same one fed from events gives", function()
    local spec = {
      by = { "comm", "daddr" }, hist = "duration_ns", sum = { "rx_bytes", "tx_bytes" },
      min = "duration_ns", max = "duration_ns", avg = "rx_bytes",
    }
    local mine = bpf.aggregate(spec)
    local p = bpf.load("tcpclose", helper.ours(),
      function(ev) mine:add(ev) end)
    local kernel = p:aggregate(spec)
    p:attach()
    helper.traffic_facts("-c 20 echo4 echo6 serverclose")
    bpf.run(0.2)
    p:close()
    local rows = kernel:rows()
    assert.is_true(#rows >= 4)
    same(mine:rows(), rows, { "sum", "min", "max", "avg" })
  end)

  it("sends no event while nobody handles them", function()
    local p = bpf.load("tcpclose", helper.ours())
    local agg = p:aggregate { by = "comm" }
    p:attach()
    helper.traffic_facts("-c 3 echo4")
    bpf.run(0.1)
    assert.are.equal(0, p:stats().events)
    assert.are.equal(6, p:stats().aggregated)
    local n = 0
    p:on_event(function() n = n + 1 end)
    helper.traffic_facts("-c 3 echo4")
    bpf.run(0.1)
    assert.are.equal(6, n)
    p:on_event(nil)
    helper.traffic_facts("-c 3 echo4")
    bpf.run(0.1)
    assert.are.equal(6, n)
    assert.are.equal(9, agg:row("tr-client").count)
    p:close()
    assert.are.equal(9, agg:row("tr-server").count)
  end)

  it("counts everything once while it is taken every 10 ms under two writers", function()
    local calls = 150000
    local children = { caller(calls), caller(calls) }
    local probes, total, sum, takes = {}, 0, 0, 0
    local aggs = {}
    for i, child in ipairs(children) do
      probes[i] = load(child, {})
      aggs[i] = probes[i]:aggregate { by = { "comm", "pid", "dport" }, sum = "tx_bytes", hist = "latency_ns" }
      probes[i]:attach()
    end
    local function take()
      takes = takes + 1
      for _, agg in ipairs(aggs) do
        for _, row in ipairs(agg:take()) do
          total = total + row.count
          assert.are.equal(row.count, row.hist.count)
          sum = sum + row.sum
        end
        assert.are.equal(0, agg.overflow)
      end
    end
    local taker <close> = bpf.every(0.01, take)
    local stopper <close> = bpf.every(0.1, function()
      if not helper.read("/proc/" .. children[1].pid .. "/comm")
        and not helper.read("/proc/" .. children[2].pid .. "/comm") then bpf.stop() end
    end)
    for _, child in ipairs(children) do child.go() end
    bpf.run(30)
    stopper:close()
    taker:close()
    take()
    local aggregated, missed = 0, 0
    for _, p in ipairs(probes) do
      aggregated = aggregated + p:stats().aggregated
      missed = missed + p:stats().missed
      p:close()
    end
    for _, child in ipairs(children) do assert.are.equal(0, child.wait()) end
    assert_all(2 * calls, aggregated, missed)
    assert.are.equal(aggregated, total)
    assert.is_true(takes > 5)
  end)

  it("is taken out of the kernel when it is closed", function()
    local p <close> = bpf.load("tcpclose", helper.ours())
    local agg = p:aggregate { by = "comm" }
    p:attach()
    agg:close()
    bpf.run(1.2) -- within a second
    helper.traffic_facts("-c 2 echo4")
    bpf.run(0.1)
    assert.are.equal(4, p:stats().events)
    assert.are.equal(0, p:stats().aggregated)
    assert.has_error(function() agg:rows() end)
  end)

  it("names what is wrong, and nothing has changed", function()
    local p <close> = bpf.load("tcpclose")
    local cases = {
      { { by = { "dprot" } }, 'did you mean "dport"?' },
      { { by = { "comm" }, hist = "ended" }, "ended" },
      { { by = { "saddr", "daddr", "comm", "closer_comm", "netns", "cgroup" } }, "bytes" },
      { { bye = { "comm" } }, 'unknown option "bye"' },
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(p.aggregate, p, case[1])
      assert.is_false(ok)
      assert.is_truthy(message:find(case[2], 1, true), message)
    end
    p:aggregate { by = "comm" }
  end)
end)
