-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What many requests of one pod and direction come to: counts, and the distribution of each part of their
-- time. Records can be merged, so that those of intervals make that of the whole time.
--
--   local record = stats.new()
--   stats.add(record, request)            -- of bpfnet.pairs
--   print(record.total:quantile(0.99), record.parts.service:quantile(0.99))

local hist = require("bpfnet.hist")
local parts = require("bpfnet.pairs_parts")

local stats = {}

---@class bpfnet.pairs.Record
---@field requests integer all but those of `left_out.continued`, which go on with one that was counted
---@field answered integer
---@field unanswered integer
---@field timed integer whose times are counted
---@field left_out table<string, integer> that have none, by why: "pipelined", "duplex", "sideless"
---@field proxied integer that went through a sidecar
---@field sent_on integer requests that it made of them
---@field several integer of which it made more than one
---@field alone integer that it made by itself
---@field how table<string, integer> by how it is known which request the sidecar sent on
---@field both_ends integer whose other end is on this host as well
---@field request_bytes integer
---@field response_bytes integer
---@field total bpfnet.Hist ns
---@field parts table<string, bpfnet.Hist> ns by name, see bpfnet.pairs_parts
---@field services table<string, bpfnet.Hist> ns: the part `service` by container
---@field srtt bpfnet.Hist ns: round trip to the peer, where the other end is elsewhere

local COUNTS = {
  "requests", "answered", "unanswered", "timed", "proxied", "sent_on", "several", "alone", "both_ends",
  "request_bytes", "response_bytes",
}

local function new_hist()
  return hist.new({ unit = "ns" })
end

---@return bpfnet.pairs.Record
function stats.new()
  local record = {
    left_out = {}, how = {}, parts = {}, services = {}, total = new_hist(), srtt = new_hist(),
  }
  for _, name in ipairs(COUNTS) do
    record[name] = 0
  end
  return record
end

local function count(counts, name, n)
  counts[name] = (counts[name] or 0) + (n or 1)
end

local function put(hists, name)
  local found = hists[name]
  if not found then
    found = new_hist()
    hists[name] = found
  end
  return found
end

-- Who did the work that `service` measures.
local function service_of(r)
  local ev = r.proxied and r.upstream and r.upstream.peer or not r.proxied and r.server
  return ev and ev.conn.who.container or nil
end

local function add_times(record, r)
  local times, total = parts.of(r)
  record.timed = record.timed + 1
  record.total:add(total)
  for name, ns in pairs(times) do
    put(record.parts, name):add(ns)
  end
  local container = times.service and service_of(r)
  if container then
    put(record.services, container):add(times.service)
  end
end

-- The way that is not in the times: from the peer that is elsewhere. "out": it is, as an estimate.
local function add_way(record, r)
  local outer = r.direction == "out" and (r.proxied and r.upstream or r.client) or r.server
  if not outer then
    return
  elseif r.direction == "in" and r.client or r.direction == "out" and outer.peer or r.direction == "inside" then
    record.both_ends = record.both_ends + 1
  elseif outer.srtt_us > 0 then
    record.srtt:add(outer.srtt_us * 1000)
  end
end

local function add_proxied(record, r)
  record.proxied = record.proxied + 1
  record.sent_on = record.sent_on + r.tries
  record.several = record.several + (r.tries > 1 and 1 or 0)
  if r.how then
    count(record.how, r.how)
  end
end

---Adds a request.
---@param record bpfnet.pairs.Record
---@param r bpfnet.pairs.Request
function stats.add(record, r)
  local ev = r.event
  record.request_bytes = record.request_bytes + ev.request_bytes
  record.response_bytes = record.response_bytes + ev.response_bytes
  if r.left_out == "continued" then
    return
  end
  record.requests = record.requests + 1
  local outcome = r.answered and "answered" or "unanswered"
  record[outcome] = record[outcome] + 1
  record.alone = record.alone + (r.alone and 1 or 0)
  if r.proxied then
    add_proxied(record, r)
  end
  if r.left_out then
    return count(record.left_out, r.left_out)
  end
  add_way(record, r)
  if r.answered then
    add_times(record, r)
  end
end

---Adds another record to one.
---@param into bpfnet.pairs.Record
---@param from bpfnet.pairs.Record
function stats.merge(into, from)
  for _, name in ipairs(COUNTS) do
    into[name] = into[name] + from[name]
  end
  for _, counts in ipairs({ "left_out", "how" }) do
    for name, n in pairs(from[counts]) do
      count(into[counts], name, n)
    end
  end
  for _, hists in ipairs({ "parts", "services" }) do
    for name, h in pairs(from[hists]) do
      put(into[hists], name):merge(h)
    end
  end
  into.total:merge(from.total)
  into.srtt:merge(from.srtt)
end

---Returns a distribution as the numbers that programs get.
---@param h bpfnet.Hist of ns
---@return { count: integer, p50_ns: integer, p90_ns: integer, p99_ns: integer, max_ns: integer, sum_ns: integer }?
---  numbers nil if nothing was counted
function stats.numbers(h)
  if h.count == 0 then
    return nil
  end
  return setmetatable({
    count = h.count, p50_ns = h:whole_quantile(0.5), p90_ns = h:whole_quantile(0.9),
    p99_ns = h:whole_quantile(0.99), max_ns = h.max, sum_ns = h.sum,
  }, { fields = { "count", "p50_ns", "p90_ns", "p99_ns", "max_ns", "sum_ns" } })
end

return stats
