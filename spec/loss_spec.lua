-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What does not fit into the ring is counted, exactly, and said.

local helper = require "helper"

local OURS = { cgroup = helper.cgroup() }

describe("a ring that is too small", function()
  it("loses events, and seen + dropped is what was made", function()
    local seen = 0
    local p = bpf.attach("tcpclose", { buffer = 4096, filter = OURS }, function() seen = seen + 1 end)
    -- Nobody reads while the traffic runs: the loop stands still.
    local _, status = helper.sh("%s", helper.traffic_command("-c 500 churn"))
    assert.are.equal(0, status)
    bpf.run(0.2)
    local stats = p:stats()
    p:close()
    assert.is_true(stats.dropped > 0)
    assert.are.equal(seen, stats.events)
    -- runs that the kernel left out are counted too, as missed
    assert.is_true(seen + stats.dropped <= 1000)
    assert.is_true(seen + stats.dropped + stats.missed >= 1000)
  end)

  it("tells the user at once and at the end", function()
    local text, status = helper.code(([[
      local p = bpf.attach("tcpclose", {buffer = 4096, filter = {cgroup = "%s", comm = "tr-client"}}, function() end)
      os.execute(%q)
      bpf.run(1.5)
      local s = p:stats()
      print("sum", s.missed > 0 and 500 or s.events + s.dropped, s.dropped)
    ]]):format(helper.cgroup(), helper.traffic_command("-c 500 churn") .. " >/dev/null"))
    assert.are.equal(0, status, text)
    local sum, dropped = text:match("sum\t(%d+)\t(%d+)")
    assert.are.equal("500", sum)
    assert.is_truthy(text:find("warning: probe 'tcpclose': " .. dropped .. " events lost", 1, true))
  end)

  it("does not disturb probes on the shared ring", function()
    local counts = { small = 0, shared = 0 }
    local a = bpf.attach("tcpclose", { buffer = 4096, filter = OURS }, function()
      counts.small = counts.small + 1
    end)
    local b = bpf.attach("tcpclose", { filter = OURS }, function()
      counts.shared = counts.shared + 1
    end)
    helper.sh("%s", helper.traffic_command("-c 300 churn"))
    bpf.run(0.2)
    local missed = a:stats().missed + b:stats().missed
    assert.is_true(counts.shared <= 600 and counts.shared + missed >= 600)
    local made = counts.small + a:stats().dropped
    assert.is_true(made <= 600 and made + missed >= 600)
    assert.are.equal(0, b:stats().dropped)
    a:close()
    b:close()
  end)
end)

describe("events of several probes", function()
  it("come in the order in which they happened", function()
    local last, n, born, unborn, missed = 0, 0, {}, 0, 0
    local probes = {}
    for _, name in ipairs { "tcpconnect", "tcpaccept", "tcpclose" } do
      probes[#probes + 1] = bpf.attach(name, { filter = OURS }, function(ev)
        n = n + 1
        if ev.probe == "tcpclose" then
          unborn = unborn + (born[ev.cookie] and 0 or 1)
        else
          born[ev.cookie] = true
        end
        -- two CPUs may take their time stamps and places crosswise: by microseconds, but an
        -- emulated one may be held up in between
        assert(ev.ts_ns > last - (os.getenv("VMRUN") and 1e8 or 1e6), "out of order")
        last = ev.ts_ns
      end)
    end
    helper.sh("%s", helper.traffic_command("-c 500 churn"))
    bpf.run(0.3)
    for _, p in ipairs(probes) do
      missed = missed + p:stats().missed
      p:close()
    end
    assert.is_true(n <= 2000 and n + missed >= 2000)
    -- none was closed before it was born
    assert.is_true(unborn <= missed)
  end)
end)
