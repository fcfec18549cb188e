-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What there is to know of one pod's connections, by side and port: how many, how long they took to be
-- established or waited to be accepted, why they failed, the accept queue, and what a redirect carried.

local hist = require("bpfnet.hist")

local ports = {}

local MAX = 64 -- ports of one pod; others are counted under port 0

---@class bpfnet.pairs.Port
---@field side "accept"|"connect"
---@field port integer that is listened on; for "connect" the peer's; 0: all for which there was no room
---@field container string? of the process that accepts or connects
---@field count integer accepted, or attempts whose outcome is known
---@field failed integer
---@field errors table<string, integer> by errno
---@field latency bpfnet.Hist ns: accept queue, or connect
---@field backlog? integer the most that an accept() left waiting
---@field backlog_max? integer of how many may
---@field rx integer bytes that were redirected past TCP
---@field tx integer

---@class bpfnet.pairs.Ports
---@field list bpfnet.pairs.Port[]
---@field private by table<string, bpfnet.pairs.Port>

---@return bpfnet.pairs.Ports
function ports.new()
  return { list = {}, by = {} }
end

---Returns the record of a port, a new one if need be.
---@param all bpfnet.pairs.Ports
---@param side "accept"|"connect"
---@param port integer
---@param container? string
---@return bpfnet.pairs.Port
function ports.get(all, side, port, container)
  local key = ("%s %d %s"):format(side, port, container or "")
  if not all.by[key] and #all.list >= MAX then
    port, container, key = 0, nil, side
  end
  local record = all.by[key]
  if not record then
    record = {
      side = side, port = port, container = container, count = 0, failed = 0, rx = 0, tx = 0, errors = {},
      latency = hist.new({ unit = "ns" }),
    }
    all.by[key] = record
    table.insert(all.list, record)
  end
  return record
end

---Takes an accept's queue length, if it is the longest so far.
---@param record bpfnet.pairs.Port
---@param backlog? integer
---@param backlog_max? integer
function ports.queue(record, backlog, backlog_max)
  if backlog and backlog >= (record.backlog or 0) then
    record.backlog, record.backlog_max = backlog, backlog_max
  end
end

local function merge_port(into, from)
  into.count, into.failed = into.count + from.count, into.failed + from.failed
  into.rx, into.tx = into.rx + from.rx, into.tx + from.tx
  into.latency:merge(from.latency)
  for name, n in pairs(from.errors) do
    into.errors[name] = (into.errors[name] or 0) + n
  end
  ports.queue(into, from.backlog, from.backlog_max)
end

---Adds another pod's, or interval's, ports.
---@param into bpfnet.pairs.Ports
---@param from bpfnet.pairs.Ports
function ports.merge(into, from)
  for _, record in ipairs(from.list) do
    merge_port(ports.get(into, record.side, record.port, record.container), record)
  end
end

---@class bpfnet.pairs.PortsSum
---@field accept bpfnet.Hist ns
---@field connect bpfnet.Hist ns
---@field backlog? integer connections
---@field backlog_max? integer connections
---@field redirected integer bytes

---Returns what all ports come to: distributions of both kinds, the longest queue, what was redirected.
---@param all bpfnet.pairs.Ports
---@return bpfnet.pairs.PortsSum sum
function ports.sum(all)
  local sum = { accept = hist.new({ unit = "ns" }), connect = hist.new({ unit = "ns" }), redirected = 0 }
  for _, record in ipairs(all.list) do
    sum[record.side]:merge(record.latency)
    ports.queue(sum, record.backlog, record.backlog_max)
    sum.redirected = sum.redirected + record.rx + record.tx
  end
  return sum
end

---Returns failures by errno, of all ports.
---@param all bpfnet.pairs.Ports
---@return table<string, integer> errors
---@return integer failed
function ports.errors(all)
  local errors, failed = {}, 0
  for _, record in ipairs(all.list) do
    failed = failed + record.failed
    for name, n in pairs(record.errors) do
      errors[name] = (errors[name] or 0) + n
    end
  end
  return errors, failed
end

local FIELDS = {
  "side", "port", "container", "count", "failed", "errors", "p50_ns", "p90_ns", "p99_ns", "max_ns",
  "backlog", "backlog_max", "rx_redirected_bytes", "tx_redirected_bytes",
}

---Returns ports as programs get them.
---@param all bpfnet.pairs.Ports
---@return table[]
function ports.rows(all)
  local rows = {}
  for i, record in ipairs(all.list) do
    local times = record.latency
    rows[i] = setmetatable({
      side = record.side, port = record.port, container = record.container, count = record.count,
      failed = record.failed, errors = record.errors,
      p50_ns = times:whole_quantile(0.5), p90_ns = times:whole_quantile(0.9),
      p99_ns = times:whole_quantile(0.99), max_ns = times.max,
      backlog = record.backlog, backlog_max = record.backlog_max,
      rx_redirected_bytes = record.rx, tx_redirected_bytes = record.tx,
    }, { fields = FIELDS })
  end
  return rows
end

return ports
