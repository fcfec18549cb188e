-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the engine makes - probes, aggregations, timers, events, histograms, maps - for the eye.

local pretty_event = require("bpfnet.pretty_event")
local pretty_table = require("bpfnet.pretty_table")
local texts = require("bpfnet.pretty_text")
local units = require("bpfnet.pretty_units")

local things = {}

local BAR = 40
local MAP_ROWS = 20
local ROWS = 40

---Returns the class of what the engine made: "Probe", "Timer", "Redirect", "Aggregate", "Map", "Request".
---@param value any
---@return string? class nil for all else
function things.class(value)
  local meta = type(value) == "userdata" and debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name:match("^bpf%.(%u%a+)$") or nil
end

---Returns a function for the eye: "function(comm, daddr) filter.lua:12".
---@param f function
---@return string
function things.function_line(f)
  local info, names = debug.getinfo(f, "Su"), {}
  if info.what == "C" then
    return "function (of the engine)"
  end
  for i = 1, info.nparams do
    names[i] = debug.getlocal(f, i)
  end
  if info.isvararg then
    names[#names + 1] = "..."
  end
  return ("function(%s) %s:%d"):format(table.concat(names, ", "), texts.harmless(info.short_src), info.linedefined)
end

local function commas(n)
  local text = ("%d"):format(n)
  repeat
    local count
    text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until count == 0
  return text
end

-- A filter as one writes it: {dport = 443}.
local function filter_text(filter)
  return require("bpfnet.pretty").inline(filter, 60) or "{...}"
end

local function probe_line(probe)
  if probe.state == "closed" then
    return "probe (closed)"
  end
  local stats = probe:stats()
  local parts = { ("probe %s: %s, %s event%s"):format(probe.name, probe.state, commas(stats.events),
    stats.events == 1 and "" or "s") }
  for _, name in ipairs({ "dropped", "filtered", "sampled", "limited", "aggregated" }) do
    if stats[name] > 0 then
      parts[#parts + 1] = ("%s %s"):format(commas(stats[name]), name == "dropped" and "LOST" or name)
    end
  end
  local filter = probe:filter()
  if filter and next(filter) then
    parts[#parts + 1] = "filter " .. filter_text(filter)
  end
  for _, name in ipairs({ "where", "threshold" }) do
    if probe[name](probe) then
      parts[#parts + 1] = ("%s %s"):format(name, texts.quote(probe[name](probe), 60))
    end
  end
  return table.concat(parts, ", ")
end

local function any_line(value)
  local ok, text = pcall(tostring, value)
  return texts.harmless((ok and type(text) == "string" and text or texts.plain(value)):match("^[^\n]*"))
end

---Returns a userdata, or a table that has a form of its own, as one line.
---@param value any
---@return string? text nil for other tables
function things.line(value)
  if type(value) == "userdata" then
    if things.class(value) == "Probe" then
      local ok, text = pcall(probe_line, value)
      return ok and text or any_line(value)
    end
    return things.class(value) == "Map" and "map" or any_line(value)
  elseif pretty_event.probe_of(value) then
    return pretty_event.line(value)
  end
  local words = pretty_table.hist_words(value)
  if words then
    return ("hist: %s values, %s"):format(commas(value.count), words)
  end
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__tostring") and any_line(value) or nil
end

---Returns what things.line() does, but all lines of what a __tostring of the user's gives, each made harmless.
---@param value any
---@return string
function things.whole(value)
  local meta = type(value) == "table" and debug.getmetatable(value)
  local ok, text = pcall(tostring, value)
  if not meta or not rawget(meta, "__tostring") or not ok or type(text) ~= "string" then
    return things.line(value)
  end
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = texts.harmless(line)
  end
  return table.concat(lines, "\n")
end

local function hist_lines(h, p)
  local lines, rows, most, last = { things.line(h) }, h:rows(), 0, nil
  for _, row in ipairs(rows) do
    most = math.max(most, row.count)
  end
  local function edge(x)
    return units.short("_" .. h.unit, h.unit == "" and tonumber(("%.4g"):format(x)) or x)
  end
  for _, row in ipairs(rows) do
    if last and last.to > 0 and row.from > last.to then
      lines[#lines + 1] = "       ..."
    end
    local bar = ("#"):rep(math.ceil(row.count / most * math.max(math.min(BAR, p.width - 38), 4)))
    lines[#lines + 1] = ("%10s .. %-8s %10d  %s"):format(edge(row.from), edge(row.to), row.count,
      p.paint("number", bar))
    last = row
  end
  return lines
end

local function aggregate_lines(agg, p)
  local ok, rows = pcall(agg.rows, agg, { top = ROWS })
  if not ok then
    return { any_line(agg) }
  end
  local lines = { ("aggregation: %s key%s%s"):format(commas(#agg), #agg == 1 and "" or "s",
    agg.overflow > 0 and (", %s events found no room"):format(commas(agg.overflow)) or "") }
  if rows.other then
    rows[#rows + 1] = rows.other
  end
  rows.other = nil
  local body = pretty_table.lines(rows, { width = p.width, rows = ROWS + 1, paint = p.paint, first = agg.fields })
  if body then
    return table.move(body, 1, #body, #lines + 1, lines)
  end
  for i, row in ipairs(rows) do
    lines[i + 1] = "  " .. (require("bpfnet.pretty").inline(row, p.width - 2) or "{...}")
  end
  return lines
end

local function map_lines(map, p)
  local lines, n = { "map" }, 0
  for key, value in pairs(map) do
    n = n + 1
    if n > MAP_ROWS then
      lines[#lines + 1] = "  ... and more"
      break
    end
    local pretty = require("bpfnet.pretty")
    lines[#lines + 1] = texts.cut(("  [%s] = %s"):format(pretty.inline(key, p.width) or "{...}",
      pretty.inline(value, p.width) or "{...}"), p.width)
  end
  return lines
end

-- What became of a probe's events, as p:stats() says it: those that are 0 are left out, but not of what is lost.
local STATS = {
  { "events", "delivered" },
  { "dropped", "LOST: no room in the ring, or no time at the end" },
  { "missed", "LOST: the kernel left them out" },
  { "filtered", "kept out by filter, where or threshold" },
  { "sampled", "of connections that the sample leaves out" },
  { "limited", "above the rate" },
  { "aggregated", "added up in the kernel, not sent" },
  { "untracked", "sockets that found no room: their owner is unknown" },
  { "malformed", "could not be decoded" },
  { "unread", "nobody read on from p:events()" },
}

local function is_stats(value)
  local n = 0
  for _ in next, value do
    n = n + 1
  end
  for _, row in ipairs(STATS) do
    if math.type(rawget(value, row[1])) ~= "integer" then
      return false
    end
  end
  return n == #STATS
end

local function stats_lines(stats, p)
  local lines = {}
  for i, row in ipairs(STATS) do
    local n = stats[row[1]]
    if n > 0 or i <= 2 then
      local text = ("%-10s %12s  %s"):format(row[1], commas(n), n == 0 and "none lost" or row[2])
      lines[#lines + 1] = n > 0 and text:find("LOST") and p.paint("error", text) or i == 1 and n == 0
        and text:gsub("none lost", "delivered") or text
    end
  end
  return lines
end

local BLOCKS = { Aggregate = aggregate_lines, Map = map_lines }

---Returns the lines of what is worth more than one when it stands alone.
---@param value any
---@param p bpfnet.pretty.Printer
---@return string[]? lines nil for all else
function things.block(value, p)
  local make = BLOCKS[things.class(value)]
  if make then
    local ok, lines = pcall(make, value, p)
    return ok and lines or { any_line(value) }
  elseif pretty_event.probe_of(value) then
    return pretty_event.block(value, p)
  elseif pretty_table.hist_words(value) then
    return hist_lines(value, p)
  elseif type(value) == "table" and rawget(value, "events") and is_stats(value) then
    return stats_lines(value, p)
  end
end

return things
