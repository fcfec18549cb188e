-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What a short form counts: an aggregation in the kernel, collected into the rows of an interval and of the
-- whole time. The kernel knows no containers: it counts by cgroup, and names are put in when rows are collected.
--
--   local tally = require("bpfnet.short_tally").new(probe, { by = { "pod", "daddr" }, sum = { "tx_bytes" } })

local ask = require("bpfnet.short_ask")
local hist = require("bpfnet.hist")

local tally = {}

local MAX_KEYS = 10000

local POD_WORDS = {
  pod = true, namespace = true, container = true, image = true, pod_uid = true, runtime = true, sidecar = true,
}
-- What pod.of() takes, in its order; and with how many of them a key is tried: it may have only so many bytes. The
-- namespace tells containers that are in cgroup v1 alone.
local POD_KEYS = { "cgroup", "task_cgroup", "netns", "netns_cookie" }
local TRIES = { 4, 2, 1 }

---@class bpfnet.short.Measure
---@field by string[] fields that make the key; also pod, namespace, container, image, pod_uid, runtime, sidecar
---@field sum? string[] fields that are added up
---@field hist? string field whose distribution is kept, with its minimum and maximum
---@field bars? boolean the distribution is shown as bars
---@field order? "max" by the greatest value; default by the first sum, else by count

---@class bpfnet.short.Row
---@field keys any[] as `by` names them, nil where unknown; empty for all others together
---@field count integer
---@field sum table<string, integer>
---@field hist? bpfnet.Hist

---@class bpfnet.short.Tally
---@field private measure bpfnet.short.Measure
---@field private agg bpf.Aggregate
---@field private kernel_by string[]
---@field private by_pod boolean
---@field interval table
---@field total table
local Tally = {}
Tally.__index = Tally

local function new_rows()
  return { list = {}, by_key = {}, events = 0 }
end

-- The key that the kernel can keep: of words about containers what tells the container, `parts` of it.
local function kernel_key(by, fields, parts)
  local has, key, seen, by_pod = {}, {}, {}, false
  for _, name in ipairs(fields) do
    has[name] = true
  end
  local function put(name)
    if not seen[name] then
      seen[name] = true
      key[#key + 1] = name
    end
  end
  for _, name in ipairs(by) do
    if POD_WORDS[name] and has.cgroup then
      by_pod = true
    else
      put(name)
    end
  end
  for i = 1, by_pod and parts or 0 do
    if has[POD_KEYS[i]] then
      put(POD_KEYS[i])
    end
  end
  return key, by_pod
end

-- The aggregation with as much of the container as there is room for.
local function aggregate(probe, measure)
  local field, wrong = measure.hist and { measure.hist } or nil, nil
  for _, parts in ipairs(TRIES) do
    local by, by_pod = kernel_key(measure.by, probe.fields, parts)
    local ok, agg = pcall(ask.engine, probe.aggregate, probe, {
      by = by, sum = measure.sum, hist = field, min = field, max = field, max_keys = MAX_KEYS,
    })
    if ok then
      return agg, by_pod
    end
    wrong = agg
    if not by_pod then
      break
    end
  end
  error(wrong, 0)
end

---Makes the aggregation of a probe that is loaded, and not attached yet. Raises what probe:aggregate() raises.
---@param probe bpf.Probe
---@param measure bpfnet.short.Measure
---@return bpfnet.short.Tally
function tally.new(probe, measure)
  local agg, by_pod = aggregate(probe, measure)
  if by_pod then
    require("bpfnet.pod").list() -- begins to follow containers, before the first event
  end
  return setmetatable({
    measure = measure, agg = agg, by_pod = by_pod, interval = new_rows(), total = new_rows(),
  }, Tally)
end

local function key_text(keys, n)
  local texts = {}
  for i = 1, n do
    texts[i] = keys[i] == nil and "\1" or tostring(keys[i])
  end
  return table.concat(texts, "\0")
end

-- The row of all that has none of its own.
local function others(rows)
  rows.others = rows.others or { keys = {}, text = "", others = true, count = 0, sum = {} }
  return rows.others
end

local function find(rows, keys, n)
  local text = key_text(keys, n)
  local row = rows.by_key[text]
  if not row then
    if #rows.list >= MAX_KEYS then
      return others(rows)
    end
    row = { keys = keys, text = text, count = 0, sum = {} }
    rows.by_key[text] = row
    rows.list[#rows.list + 1] = row
  end
  return row
end

local function add(rows, row, count, sums, distribution)
  rows.events = rows.events + count
  row.count = row.count + count
  for name, n in pairs(sums or {}) do
    row.sum[name] = (row.sum[name] or 0) + n
  end
  if distribution then
    row.hist = row.hist or hist.new({ unit = distribution.unit })
    row.hist:merge(distribution)
  end
end

function Tally:_keys(row)
  local identity = self.by_pod
    and require("bpfnet.pod").of(row.cgroup, row.task_cgroup, row.netns, row.netns_cookie)
  local keys = {}
  for i, name in ipairs(self.measure.by) do
    if identity and POD_WORDS[name] then
      keys[i] = identity[name]
    else
      keys[i] = row[name]
    end
  end
  return keys
end

function Tally:_add(row, keys)
  local rows, field = self.interval, self.measure.hist
  local distribution = field and row.hist and row.hist[field]
  local into
  if keys then
    into = find(rows, keys, #self.measure.by)
  else
    into = others(rows)
  end
  add(rows, into, row.count, row.sum, distribution)
end

---Takes over what the kernel has counted since the last time.
function Tally:collect()
  local rows = self.agg:take()
  for _, row in ipairs(rows) do
    self:_add(row, self:_keys(row))
  end
  if rows.other and rows.other.count > 0 then
    self:_add(rows.other)
  end
end

---Collects, adds the interval to the whole time, and begins another one.
function Tally:turn_over()
  self:collect()
  local from, into, n = self.interval, self.total, #self.measure.by
  for _, row in ipairs(from.list) do
    add(into, find(into, row.keys, n), row.count, row.sum, row.hist)
  end
  if from.others then
    add(into, others(into), from.others.count, from.others.sum, from.others.hist)
  end
  self.interval = new_rows()
end

---Events that are in no row, for lack of memory in the kernel.
---@return integer
function Tally:lost()
  return self.agg.dropped
end

---Forgets all that was counted.
function Tally:clear()
  self:collect()
  self.interval, self.total = new_rows(), new_rows()
end

-- What the rows are ordered by: the sum, the largest value, or how many there were.
local function weight(measure, row)
  if measure.order == "max" then
    return row.hist and row.hist.max or -1
  elseif measure.sum and measure.sum[1] then
    return row.sum[measure.sum[1]] or 0
  end
  return row.count
end

---Returns the rows, greatest first, all others together last.
---@param which "interval"|"total"
---@return bpfnet.short.Row[] rows
---@return integer events in all of them
function Tally:rows(which)
  local rows, measure = self[which], self.measure
  local list = table.move(rows.list, 1, #rows.list, 1, {})
  table.sort(list, function(a, b)
    local x, y = weight(measure, a), weight(measure, b)
    return x > y or x == y and a.text < b.text
  end)
  list[#list + 1] = rows.others
  return list, rows.events
end

return tally
