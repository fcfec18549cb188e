-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- How long packets take within pods' network namespaces, added up in the kernel: from the device to the
-- process that reads, and from the stack to the device.

local hist = require("bpfnet.hist")
local pod = require("bpfnet.pod")
local script = require("bpfnet.script")
local stats = require("bpfnet.pairs_stats")

local packets = {}

local SPANS = { { "netif_receive_skb", "sock_read" }, { "net_dev_queue", "net_dev_start_xmit" } }
local POD_WORDS = { "pod", "namespace", "label" }

---@class bpfnet.pairs.Span
---@field label string
---@field from string
---@field to string
---@field times bpfnet.Hist ns

---@class bpfnet.pairs.Packets
---@field probe bpf.Probe
---@field private counted bpf.Aggregate
local Packets = {}
Packets.__index = Packets

---Loads podnet for the pods of a filter; start() attaches. Without any pod named it would look at each
---packet of the host: that ends the program with one line.
---@param filter? table as bpfnet.args gives it
---@return bpfnet.pairs.Packets
function packets.new(filter)
  local of = {}
  for _, word in ipairs(POD_WORDS) do
    of[word] = filter and filter[word]
  end
  if not next(of) then
    script.fail("option \"--packets\": expected --pod, --namespace or --label with it", 2)
  end
  local probe = script.load("podnet", { between = SPANS, filter = of })
  local counted = probe:aggregate({ by = { "from", "to", "netns" }, hist = "span_ns", max = "span_ns" })
  return setmetatable({ probe = probe, counted = counted }, Packets)
end

function Packets:start()
  script.start(self.probe)
end

local function span_of(list, from, to)
  for _, span in ipairs(list) do
    if span.from == from and span.to == to then
      return span
    end
  end
  local span = { label = ("%s > %s"):format(from, to), from = from, to = to, times = hist.new({ unit = "ns" }) }
  list[#list + 1] = span
  return span
end

---Adds what was counted since the last time.
---@param of fun(who: table): bpfnet.pairs.Span[] the list of a pod's
function Packets:collect(of)
  for _, row in ipairs(self.counted:take()) do
    row.hist.max = row.max
    span_of(of(pod.of(0, 0, row.netns, 0)), row.from, row.to).times:merge(row.hist)
  end
end

---Adds one list to another.
---@param into bpfnet.pairs.Span[]
---@param from bpfnet.pairs.Span[]
function packets.merge(into, from)
  for _, span in ipairs(from) do
    span_of(into, span.from, span.to).times:merge(span.times)
  end
end

---Returns spans as programs get them.
---@param list bpfnet.pairs.Span[]
---@return table[]
function packets.rows(list)
  local rows = {}
  for i, span in ipairs(list) do
    rows[i] = stats.numbers(span.times) or {}
    rows[i].from, rows[i].to = span.from, span.to
  end
  return rows
end

return packets
