-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- events.lua OBJECT PID FORM: what handlers of several forms do with the events of events.bpf.c.
-- Prints `events N sum N lost N missed N` when it is interrupted. `events.lua alone` prints what the handlers
-- themselves take when Lua calls them, in us: `add T sum T tables T agg T adder T`.

local object, pid, form = table.unpack(arg)
local total, count, nested = 0, 0, {}
local agg = bpf.aggregate({ by = { "comm", "daddr", "dport" }, sum = "latency_ns" })

local forms = {
  -- one number
  add = function(latency_ns)
    total = total + latency_ns
  end,
  -- a sum by three keys
  sum = function(comm, daddr, dport, latency_ns)
    local by_addr = nested[comm]
    if not by_addr then
      by_addr = {}
      nested[comm] = by_addr
    end
    local by_port = by_addr[daddr]
    if not by_port then
      by_port = {}
      by_addr[daddr] = by_port
    end
    by_port[dport] = (by_port[dport] or 0) + latency_ns
  end,
  -- count and sum by three keys
  tables = function(comm, daddr, dport, latency_ns)
    local by_addr = nested[comm]
    if not by_addr then
      by_addr = {}
      nested[comm] = by_addr
    end
    local by_port = by_addr[daddr]
    if not by_port then
      by_port = {}
      by_addr[daddr] = by_port
    end
    local entry = by_port[dport]
    if not entry then
      entry = { n = 0, sum = 0 }
      by_port[dport] = entry
    end
    entry.n = entry.n + 1
    entry.sum = entry.sum + latency_ns
  end,
  -- the same in C
  agg = function(comm, daddr, dport, latency_ns)
    agg:add(comm, daddr, dport, latency_ns)
  end,
  -- the same without Lua
  adder = agg:adder(),
  -- an event as a table
  event = function(ev)
    total = total + ev.latency_ns
  end,
  -- a line of JSON for each
  json = function(ev)
    total = total + ev.latency_ns
    count = count + #ev:json()
  end,
}

if object == "alone" then
  local addrs, out = {}, {}
  for i = 0, 31 do addrs[i] = "10.0.0." .. i end
  for _, name in ipairs { "add", "sum", "tables", "agg", "adder" } do
    local f, began = forms[name], os.clock()
    nested = {}
    if name == "add" then
      for i = 1, 1000000 do f(i) end
    else
      for i = 1, 1000000 do f("gauge", addrs[i & 31], 80 + (i >> 5 & 3), i) end
    end
    out[#out + 1] = ("%s %.3f"):format(name, os.clock() - began)
  end
  print(table.concat(out, " "))
  return
end

local probe = bpf.load(object, form == "adder" and { fields = agg.fields } or nil, forms[form])
probe.maps.writer[0] = tonumber(pid)
probe:attach()
bpf.run()
for _, by_addr in pairs(nested) do
  for _, by_port in pairs(by_addr) do
    for _, entry in pairs(by_port) do
      if form == "sum" then
        total = total + entry
      else
        count = count + entry.n
        total = total + entry.sum
      end
    end
  end
end
for _, row in ipairs(agg:rows()) do
  count = count + row.count
  total = total + row.sum
end
local stats = probe:stats()
assert(form ~= "tables" and form ~= "agg" and form ~= "adder" or count == stats.events)
print(("events %d sum %d lost %d missed %d"):format(stats.events, total, stats.dropped, stats.missed))
