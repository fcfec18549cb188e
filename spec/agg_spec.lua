-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- bpf.aggregate(): what a script sees of it.

-- Rows by their fields, as text in the order given; a histogram by its count.
local function text(rows, ...)
  local names, lines = { ... }, {}
  local function line(row)
    local parts = {}
    for i, name in ipairs(names) do
      local value = row
      for part in name:gmatch("[^.]+") do value = value[part] end
      parts[i] = tostring(type(value) == "table" and value.count or value)
    end
    return table.concat(parts, " ")
  end
  for i, row in ipairs(rows) do lines[i] = line(row) end
  if rows.other then lines[#lines + 1] = "other: " .. line(rows.other) end
  return table.concat(lines, ", ")
end

describe("bpf.aggregate()", function()
  it("keeps a row per key, of what was asked for", function()
    local agg = bpf.aggregate {
      by = { "comm", "daddr" }, hist = "latency_ns", sum = "tx_bytes", max = { "tx_bytes", "rx_bytes" },
      avg = "rx_bytes", min = "tx_bytes",
    }
    assert.are.same({ "comm", "daddr", "tx_bytes", "rx_bytes", "latency_ns" }, agg.fields)
    agg:add("curl", "10.0.0.1", 5, 6, 1200)
    agg:add("curl", "10.0.0.1", 7, 9, 90000)
    agg:add("wget", "10.0.0.1", 1, 1, 0)
    assert.are.equal(2, #agg)
    local row = agg:row("curl", "10.0.0.1")
    local hist = row.hist
    row.hist = nil
    assert.are.same({
      comm = "curl", daddr = "10.0.0.1", count = 2, sum = 12, min = 5, avg = 7.5, max = { tx_bytes = 7, rx_bytes = 9 },
    }, row)
    assert.are.equal("integer", math.type(row.sum))
    assert.are.same({ 2, 91200, 0, "ns" }, { hist.count, hist.sum, hist.zeros, hist.unit })
    assert.is_true(math.abs(hist:quantile(0.5) / 1200 - 1) < 0.022)
    assert.is_true(math.abs(hist:quantile(1) / 90000 - 1) < 0.022)
    assert.are.equal(1, agg:row("wget", "10.0.0.1").hist.zeros)
    assert.is_nil(agg:row("wget", "10.0.0.2"))
    assert.are.equal("curl 2, wget 1", text(agg:rows(), "comm", "count"))
  end)

  it("takes events by the names of their fields", function()
    local agg = bpf.aggregate { by = { "probe", "dport" }, sum = "rx_bytes" }
    local probe <close> = bpf.load("tcpclose", function(ev) agg:add(ev) end)
    for i = 1, 4 do probe:inject { dport = 80 + i % 2, rx_bytes = i } end
    agg:add { probe = "mine" }
    assert.are.equal("tcpclose 80 2 6, tcpclose 81 2 4, mine nil 1 0",
      text(agg:rows(), "probe", "dport", "count", "sum"))
  end)

  it("takes arguments of a handler as they come", function()
    local agg = bpf.aggregate { by = { "dport" }, max = "latency_ns" }
    local probe <close> = bpf.load("tcpconnect", { fields = agg.fields }, function(...) agg:add(...) end)
    for i = 1, 4 do probe:inject { dport = 80 + i % 2, latency_ns = i > 2 and i or nil } end
    assert.are.equal("80 2 4, 81 2 3", text(agg:rows(), "dport", "count", "max"))
  end)

  it("has a single row without by", function()
    local agg = bpf.aggregate { sum = "n" }
    assert.are.equal("", text(agg:rows(), "count"))
    assert.is_nil(agg:row())
    for i = 1, 10 do agg:add(i) end
    assert.are.same({ count = 10, sum = 55 }, agg:row())
    assert.are.same({ { count = 10, sum = 55 } }, agg:rows())
    local count = bpf.aggregate { count = true }
    count:add()
    count:add()
    assert.are.same({ count = 2 }, count:row())
  end)

  it("keeps nil apart in keys, and leaves it out of values", function()
    local agg = bpf.aggregate { by = { "a", "b" }, sum = "v", min = "v", max = "v", avg = "v", hist = "v" }
    agg:add(nil, 1, nil)
    agg:add(nil, 1, 4)
    agg:add(nil, 1, 8)
    agg:add(1, nil, nil)
    agg:add(false, nil, 1)
    local row = agg:row(nil, 1)
    assert.are.same({ nil, 1, 3, 12, 4, 8, 6.0, 2 },
      { row.a, row.b, row.count, row.sum, row.min, row.max, row.avg, row.hist.count })
    row = agg:row(1, nil)
    assert.are.same({ 1, nil, 1, 0, nil, nil, nil, 0 },
      { row.a, row.b, row.count, row.sum, row.min, row.max, row.avg, row.hist.count })
    assert.is_nil(row.hist:quantile(0.5))
    assert.are.equal(false, agg:row(false, nil).a)
  end)

  it("knows integers by their value, and texts by their bytes", function()
    local agg = bpf.aggregate { by = "k" }
    for _, key in ipairs { 1, 1.0, "1", "a", "a\0", -1, math.maxinteger, math.mininteger, true } do agg:add(key) end
    assert.are.equal(8, #agg)
    assert.are.equal(2, agg:row(1).count)
    assert.are.equal("a\0", agg:row("a\0").k)
    assert.are.equal("1 2, true 1, -9223372036854775808 1, -1 1, 9223372036854775807 1, 1 1, a 1, a\0 1",
      text(agg:rows(), "k", "count"))
  end)

  it("shows the greatest rows, and adds up the others", function()
    local agg = bpf.aggregate { by = "k", sum = "v", max = "v", hist = "v", topk = 2 }
    for i = 1, 100 do agg:add(i % 5, i) end
    assert.are.equal("0 20 1050, 4 20 1030, other: nil 60 2970", text(agg:rows(), "k", "count", "sum"))
    assert.are.equal(60, agg:rows().other.hist.count)
    assert.are.equal("0 100, other: nil 99", text(agg:rows { top = 1 }, "k", "max"))
    agg:add(1, 1)
    assert.are.equal("1 21, 0 20, other: nil 60", text(agg:rows { sort = "count" }, "k", "count"))
    assert.are.equal("0, 4, 3, 2, 1", text(agg:rows { top = 9, sort = "max.v" }, "k"))
    local sorted = bpf.aggregate { by = "k", sum = "v", avg = "v", sort = "avg" }
    for _, v in ipairs { 1, 2, 3 } do sorted:add("often", v) end
    sorted:add("seldom", 3)
    sorted:add("never", nil)
    assert.are.equal("seldom, often, never", text(sorted:rows(), "k"))
    assert.are.equal("often, seldom, never", text(sorted:rows { sort = "sum" }, "k"))
  end)

  it("bounds its keys and loses nothing", function()
    local agg = bpf.aggregate { by = "k", sum = "v", max_keys = 3 }
    for i = 1, 10 do agg:add(i, i) end
    agg:add(1, 100)
    assert.are.equal("1 2 101, 3 1 3, 2 1 2, other: nil 7 49", text(agg:rows(), "k", "count", "sum"))
    assert.are.same({ 3, 7, 0 }, { #agg, agg.overflow, agg.dropped })
  end)

  it("gives and clears in one", function()
    local agg = bpf.aggregate { by = "k", sum = "v", max_keys = 2 }
    for i = 1, 4 do agg:add(i, i) end
    assert.are.equal("2 2, 1 1, other: nil 7", text(agg:take(), "k", "sum"))
    assert.are.same({ 0, 0 }, { #agg, agg.overflow })
    agg:add(9, 9)
    assert.are.equal("9 9", text(agg:rows(), "k", "sum"))
    assert.are.equal(agg, agg:clear())
    assert.are.equal("", text(agg:take(), "k"))
  end)

  it("merges", function()
    local a = bpf.aggregate { by = "k", min = "v", hist = "v" }
    local b = bpf.aggregate { by = "k", min = "v", hist = "v", topk = 1 }
    for i = 1, 10 do
      a:add(i % 2, i)
      b:add(i % 3, i)
    end
    assert.are.equal(a, a:merge(b))
    assert.are.equal("1 9 1 9, 0 8 2 8, 2 3 2 3", text(a:rows(), "k", "count", "min", "hist"))
    assert.are.equal(3, #b)
  end)

  it("keeps sums that no integer holds", function()
    local agg = bpf.aggregate { sum = "v", max = "v" }
    agg:add(math.maxinteger)
    assert.are.equal(math.maxinteger, agg:row().sum)
    agg:add(math.maxinteger)
    assert.are.equal(2.0 ^ 64, agg:row().sum)
    agg:add(math.mininteger)
    agg:add(-5)
    assert.are.equal(math.maxinteger - 6, agg:row().sum)
  end)

  it("counts numbers that are not whole in histograms", function()
    local agg = bpf.aggregate { hist = "load" }
    for _, v in ipairs { 0.25, 0.5, 1, 0 } do agg:add(v) end
    local hist = agg:row().hist
    assert.are.same({ 4, 1.75, 1 }, { hist.count, hist.sum, hist.zeros })
    local same = require("bpfnet.hist").new()
    for _, v in ipairs { 0.25, 0.5, 1, 0 } do same:add(v) end
    assert.are.same(same.buckets, hist.buckets)
  end)

  it("says what it has", function()
    local agg <close> = bpf.aggregate { by = { "comm", "dport" }, sum = "n", max = { "n" }, topk = 1 }
    agg:add("curl", 80, 5)
    agg:add("wget", nil, 2)
    assert.are.equal("Aggregate by comm, dport: 2 keys\n  comm=curl dport=80 count=1 sum.n=5 max.n=5\n"
      .. "  (other) count=1 sum.n=2 max.n=2", tostring(agg))
    assert.has_error(function() return agg.nothing end, 'an Aggregate has no "nothing"')
  end)
end)

describe("hist.new{ unit }", function()
  local hist = require("bpfnet.hist")

  it("has its edges where seconds have theirs", function()
    for unit, one in pairs { ns = 1000000000, us = 1000000, ms = 1000 } do
      local h = hist.new { unit = unit }
      h:add(one)
      h:add(one + 1)
      assert.are.same({ [-1] = 1, [0] = 1 }, h.buckets)
      assert.are.same({ { from = one / 2, to = one, count = 1 }, { from = one, to = one * 2.0, count = 1 } }, h:rows())
    end
  end)

  it("does not mix units", function()
    assert.has_error(function() hist.new { unit = "s" } end, 'hist.new: expected unit "ns", "us" or "ms", got s')
    local a = hist.new { unit = "ns" }
    assert.has_error(function() a:merge(hist.new()) end, 'hist:merge: the units differ, "ns" and ""')
  end)

  it("merges what knows its ends and what does not", function()
    local agg = bpf.aggregate { hist = "v" }
    for i = 1, 1000 do agg:add(i) end
    local h = agg:row().hist
    assert.is_nil(h.min)
    assert.is_true(math.abs(h:quantile(1) / 1000 - 1) < 0.022)
    assert.is_true(math.abs(h:quantile(0) - 1) < 0.022)
    local other = hist.new()
    other:add(5000)
    h:merge(other)
    assert.are.same({ 1001, 505500, nil }, { h.count, h.sum, h.min })
    assert.are.equal(1001, other:merge(agg:row().hist).count + 0)
    assert.is_nil(other.max)
  end)
end)

describe("agg:add", function()
  it("keeps keys apart whose texts come and go", function()
    local agg = bpf.aggregate { by = { "name", "port" }, sum = "bytes", max_keys = 100000 }
    -- more keys than it remembers by address, each text made anew, many collected in between
    for round = 1, 3 do
      for i = 1, 5000 do
        agg:add("n" .. i, i % 3, i * round)
        if i % 1000 == 0 then collectgarbage() end
      end
    end
    assert.are.equal(5000, #agg)
    for _, row in ipairs(agg:rows()) do
      local i = math.tointeger(tonumber(row.name:sub(2)))
      assert.are.same({ i % 3, 3, i * 6 }, { row.port, row.count, row.sum })
    end
  end)

  it("is also a function by itself, for a handler", function()
    local agg = bpf.aggregate { by = { "comm", "dport" }, sum = "tx_bytes" }
    local p <close> = bpf.load("tcpclose", { fields = agg.fields }, agg:adder())
    p:inject { comm = "a", dport = 80, tx_bytes = 5 }
    p:inject { comm = "a", dport = 80, tx_bytes = 6 }
    p:inject { comm = "b", dport = 80 }
    agg:adder()({ comm = "b", dport = 80, tx_bytes = 1 })
    assert.are.same({ 2, 11 }, { agg:row("a", 80).count, agg:row("a", 80).sum })
    assert.are.same({ 2, 1 }, { agg:row("b", 80).count, agg:row("b", 80).sum })
    assert.has_error(function() agg:adder()("a") end,
      "agg:add: expected 3 values (comm, dport, tx_bytes), got 1")
    local add = agg:adder()
    agg:close()
    assert.has_error(function() add("a", 1, 2) end, "agg:add: the aggregation is closed")
  end)

  it("does not take one type for another", function()
    local agg = bpf.aggregate { by = "key" }
    for _ = 1, 3 do
      for _, key in ipairs { "1", 1, true, "true", -1, ("x"):rep(50), ("x"):rep(51) } do agg:add(key) end
      agg:add(nil)
      agg:add(false)
    end
    assert.are.equal(9, #agg)
    for _, row in ipairs(agg:rows()) do assert.are.equal(3, row.count) end
  end)

  it("finds no row that was cleared", function()
    local agg = bpf.aggregate { by = "key" }
    agg:add("a")
    agg:add("a")
    assert.are.equal(2, agg:take()[1].count)
    agg:add("a")
    assert.are.equal(1, agg:row("a").count)
    agg:clear()
    assert.is_nil(agg:row("a"))
    agg:add("a")
    assert.are.equal(1, agg:take()[1].count)
  end)
end)
