-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- p:watch() at the prompt: a table on the lines above it, renewed every second - how many events, which values
-- most, and the latest. What is counted comes through a tap, so a handler of the probe's does not notice.

local out = require("bpfnet.out")
local pretty_event = require("bpfnet.pretty_event")
local pretty_table = require("bpfnet.pretty_table")
local texts = require("bpfnet.pretty_text")

local watch = {}

local ROWS, LATEST = 8, 3
local MAX_KEYS = 10000

-- What is counted by, and of what the distribution is shown: the first of these fields that the event has.
local BY = {
  tcpconnect = { "comm", "daddr", "dport", "error" },
  tcpaccept = { "comm", "saddr", "sport" },
  tcpclose = { "comm", "daddr", "dport", "ended" },
  tcprequest = { "comm", "side", "daddr", "dport" },
  podnet = { "point", "ifname", "reason" },
  podnet_path = { "proto", "daddr", "dport", "ended" },
}
local DEFAULT_BY = { "comm", "daddr", "dport" }
local HIST = { "ttfb_ns", "latency_ns", "queue_ns", "span_ns", "duration_ns" }

---@class bpfnet.watch.Opts
---@field by? string|string[] fields to count by
---@field every? number seconds between two tables, default 1
---@field rows? integer default 8

---@class bpfnet.Watch
---@field private probe bpf.Probe
---@field private total bpf.Aggregate since it began
---@field private now bpf.Aggregate since the last table
---@field private show fun(lines: string[]?)
local Watch = {}
Watch.__index = Watch

local function first_of(names, fields)
  for _, name in ipairs(names) do
    for _, field in ipairs(fields) do
      if field == name then
        return name
      end
    end
  end
end

-- Those of the names that are fields; the first three fields that are texts where none is.
local function default_by(probe)
  local by = {}
  for _, name in ipairs(BY[probe.name] or DEFAULT_BY) do
    by[#by + 1] = first_of({ name }, probe.fields)
  end
  return #by > 0 and by or { first_of({ "what", "kind", "comm", "path" }, probe.fields) or probe.fields[2] }
end

local OPTIONS = { by = true, every = true, rows = true }

local function check(opts)
  for name in pairs(opts) do
    if not OPTIONS[name] then
      error(("probe:watch: unknown option \"%s\" (known: by, every, rows)"):format(tostring(name)), 3)
    end
  end
  if opts.every and (math.type(opts.every) == nil or opts.every < 0.1) then
    error("probe:watch: bad option \"every\": expected seconds from 0.1 on", 3)
  elseif opts.rows and (math.type(opts.rows) ~= "integer" or opts.rows < 1) then
    error("probe:watch: bad option \"rows\": expected a number from 1 on", 3)
  end
end

---Begins to watch a probe. Raises for wrong options.
---@param probe bpf.Probe
---@param opts? bpfnet.watch.Opts
---@param show fun(lines: string[]?, width: integer?) puts the lines in place of those before; nil: takes them away
---@param width fun(): integer columns
---@param paint fun(kind: string, text: string): string
---@return bpfnet.Watch
function watch.new(probe, opts, show, width, paint)
  opts = opts or {}
  check(opts)
  local by = type(opts.by) == "string" and { opts.by } or opts.by or default_by(probe)
  local self = setmetatable({ probe = probe, show = show, width = width, paint = paint, by = by,
    rows = opts.rows or ROWS, since_ns = bpf.now(), last_ns = bpf.now(), last = probe:stats() }, Watch)
  self.first = self.last
  self.value = first_of(HIST, probe.fields)
  self.columns = table.move({ "count", "per_s", self.value }, 1, 3, #by + 1, table.move(by, 1, #by, 1, {}))
  local what = { by = by, hist = self.value, max_keys = MAX_KEYS, topk = self.rows }
  self.total, self.now = bpf.aggregate(what), bpf.aggregate(what)
  self.add = self.now:adder()
  probe:tap(self.add, self.now.fields)
  self.timer = bpf.every(opts.every or 1, function() self:_tick() end):background()
  self:_draw(0)
  return self
end

local function happened(stats)
  return stats.events + stats.dropped
end

local function count(n)
  return n < 10 and n > 0 and n % 1 ~= 0 and ("%.1f"):format(n) or ("%.0f"):format(n)
end

function Watch:_heading(stats, seconds)
  local parts = { ("%d events"):format(stats.events - self.first.events) }
  if seconds > 0 then
    parts[2] = ("%s/s"):format(count((happened(stats) - happened(self.last)) / seconds))
  end
  local lost = stats.dropped - self.first.dropped
  parts[#parts + 1] = lost > 0 and self.paint("error", ("%d LOST"):format(lost)) or nil
  local limited = stats.limited - self.first.limited
  parts[#parts + 1] = limited > 0 and ("%d above the rate"):format(limited) or nil
  if self.probe.state ~= "attached" then
    parts[#parts + 1] = self.probe.state
  end
  return ("%s  %s in %s"):format(self.paint("title", self.probe.name), table.concat(parts, ", "),
    out.duration(bpf.now() - self.since_ns))
end

function Watch:_rows(seconds)
  local rows = self.total:rows()
  for _, row in ipairs(rows) do
    local key = {}
    for i, name in ipairs(self.by) do
      key[i] = row[name]
    end
    local now = self.now:row(table.unpack(key, 1, #self.by))
    row.per_s = seconds > 0 and tonumber(count((now and now.count or 0) / seconds)) or nil
    if self.value then
      row[self.value], row.hist = row.hist, nil
    end
  end
  self.others = rows.other and rows.other.count
  rows.other = nil
  return rows
end

function Watch:_draw(seconds)
  local stats, columns = self.probe:stats(), self.width() - 1 -- a terminal may break a line that is full
  local lines = { self:_heading(stats, seconds) }
  local rows = self:_rows(seconds)
  local body = #rows > 0 and pretty_table.lines(rows, { width = columns, rows = self.rows, paint = self.paint,
    first = self.columns })
  for _, line in ipairs(body or {}) do
    lines[#lines + 1] = line
  end
  if self.others then
    lines[#lines + 1] = self.paint("dim", ("... %d more of others"):format(self.others))
  end
  for _, ev in ipairs(self.probe:last(LATEST)) do
    lines[#lines + 1] = pretty_event.line(ev, true)
  end
  for i, line in ipairs(lines) do
    lines[i] = texts.cut(line, columns)
  end
  self.show(lines)
  self.last = stats
end

function Watch:_tick()
  if self.probe.state == "closed" then
    return self:close()
  end
  local now_ns = bpf.now()
  self.total:merge(self.now)
  self:_draw((now_ns - self.last_ns) / 1e9)
  self.now:clear()
  self.last_ns = now_ns
end

---Ends it, and takes its lines away. May be called twice.
function Watch:close()
  if self.ended then
    return
  end
  self.ended = true
  self.timer:close()
  if self.probe.state ~= "closed" then
    self.probe:untap(self.add)
  end
  self.show(nil)
end

return watch
