-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A Lua value as text for a person at a prompt: tables sorted by key, cut at a depth, a number of lines
-- and the width; texts quoted, so that no control character acts on the terminal. Events, histograms
-- and what the engine makes have forms of their own: pretty_things.lua, pretty_table.lua.
--
--   print(require("bpfnet.pretty").text({ 1, b = { "x" } })) -- { 1, b = { "x" } }

local pretty_event = require("bpfnet.pretty_event")
local pretty_table = require("bpfnet.pretty_table")
local texts = require("bpfnet.pretty_text")
local things = require("bpfnet.pretty_things")

local pretty = {}

local MAX_KEYS = 10000 -- that are sorted; of a larger table some are shown
local ELEMENTS, PACKED = 60, 1000 -- of one table; of a list of numbers or texts
local INNER_TEXT, WHOLE_TEXT = 200, 4000 -- bytes of a text inside a table, and of one that stands alone

---@class bpfnet.pretty.Opts
---@field width? integer columns, default 80
---@field colour? boolean
---@field depth? integer of tables in tables, default 4
---@field lines? integer at most, default 200

---@class bpfnet.pretty.Printer
---@field width integer
---@field depth integer
---@field max integer lines
---@field paint fun(kind: string, text: string): string
---@field path table<table, true> the tables that are being printed, one inside the other
---@field lines string[]

local RANK = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then
    return (RANK[ta] or 9) < (RANK[tb] or 9)
  elseif ta == "number" or ta == "string" then
    return a < b
  end
  return texts.plain(a) < texts.plain(b)
end

-- Keys beside those of the list 1..n in order, and whether these are not all.
local function other_keys(t, n)
  local keys = {}
  for key in next, t do
    if not (math.type(key) == "integer" and key >= 1 and key <= n) then
      if #keys == MAX_KEYS then
        return keys, true
      end
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, before)
  return keys, false
end

local function key_text(p, key)
  if type(key) == "string" and texts.is_name(key) then
    return p.paint("key", key)
  end
  return "[" .. (type(key) == "string" and texts.quote(key, 60) or texts.plain(key)) .. "]"
end

local function scalar(p, value)
  local kind = type(value)
  if kind == "string" then
    return p.paint("string", texts.quote(value, INNER_TEXT))
  elseif kind == "function" then
    return p.paint("dim", things.function_line(value))
  elseif kind == "userdata" then
    return things.line(value)
  end
  return p.paint(kind == "nil" and "dim" or "number", texts.plain(value))
end

local inline

-- The members of a table on one line, or nil if they need more room.
local function inline_members(p, t, depth, room)
  local n, parts, used = rawlen(t), {}, 4
  if n > ELEMENTS then
    return nil
  end
  local function add(name, value)
    local text = inline(p, value, depth + 1, room - used - texts.width(name))
    parts[#parts + 1] = text and name .. text
    used = used + (text and texts.width(name .. text) + 2 or 0)
    return text ~= nil
  end
  for i = 1, n do
    if not add("", rawget(t, i)) then
      return nil
    end
  end
  local keys, more = other_keys(t, n)
  for _, key in ipairs(keys) do
    if not add(key_text(p, key) .. " = ", rawget(t, key)) then
      return nil
    end
  end
  return not more and "{ " .. table.concat(parts, ", ") .. " }" or nil
end

-- A value on one line of `room` columns, or nil if it needs more.
function inline(p, value, depth, room)
  local text
  if type(value) ~= "table" then
    text = scalar(p, value)
  else
    text = things.line(value) or p.path[value] and p.paint("dim", "{ (the table around it) }")
      or next(value) == nil and "{}" or depth >= p.depth and p.paint("dim", "{...}")
    if not text and room > 4 then
      p.path[value] = true
      text = inline_members(p, value, depth, room)
      p.path[value] = nil
    end
  end
  return text and texts.width(text) <= room and text or nil
end

-- Adds a line. False when there are enough.
local function emit(p, text)
  if #p.lines >= p.max then
    return false
  end
  p.lines[#p.lines + 1] = texts.cut(text, p.width)
  return true
end

-- A list of numbers or short texts, many to a line; nil for what has others in it.
local function scalars(p, list, n, room)
  local lines, line, used = {}, {}, 0
  for i = 1, math.min(n, PACKED) do
    local value = rawget(list, i)
    local text = (type(value) == "number" or type(value) == "string") and scalar(p, value) .. ","
    if not text or texts.width(text) > room then
      return nil
    elseif used + texts.width(text) > room then
      lines[#lines + 1] = table.concat(line, " ")
      line, used = {}, 0
    end
    line[#line + 1] = text
    used = used + texts.width(text) + 1
  end
  lines[#lines + 1] = table.concat(line, " ")
  return lines
end

-- Adds `head` and the value after it, on one line or on several.
local function block(p, head, value, tail, depth)
  local indent = ("  "):rep(depth)
  local text = inline(p, value, depth, p.width - #indent - texts.width(head) - #tail)
  if text or type(value) ~= "table" or things.line(value) then
    text = text or type(value) == "table" and things.line(value) or scalar(p, value)
    return emit(p, indent .. head .. text .. tail)
  elseif not emit(p, indent .. head .. "{") then
    return false
  end
  p.path[value] = true
  local n = rawlen(value)
  local keys, more = other_keys(value, n)
  local ok, shown = true, 0
  local packed = n > ELEMENTS // 4 and scalars(p, value, n, p.width - #indent - 2)
  for _, line in ipairs(packed or {}) do
    ok = ok and emit(p, indent .. "  " .. line)
  end
  for i = 1, packed and 0 or math.min(n, ELEMENTS) do
    ok = ok and block(p, "", rawget(value, i), ",", depth + 1)
    shown = shown + 1
  end
  shown = packed and math.min(n, PACKED) or shown
  for i = 1, math.min(#keys, ELEMENTS) do
    ok = ok and block(p, key_text(p, keys[i]) .. " = ", rawget(value, keys[i]), ",", depth + 1)
    shown = shown + 1
  end
  if ok and (shown < n + #keys or more) then
    ok = emit(p, indent .. "  " .. p.paint("dim", ("... and %d%s more"):format(n + #keys - shown,
      more and " or" or "")))
  end
  p.path[value] = nil
  return ok and emit(p, indent .. "}" .. tail)
end

local function printer(opts)
  return {
    width = opts.width or 80,
    depth = opts.depth or 4,
    max = opts.lines or 200,
    paint = texts.painter(opts.colour),
    path = {},
    lines = {},
  }
end

-- A list of events as a table, or a line each where they are of several probes; nil for what is none.
local function event_lines(list, p)
  local shown = {}
  for i = 1, rawlen(list) do
    if not pretty_event.probe_of(rawget(list, i)) then
      return nil
    end
    shown[#shown + 1] = i <= p.max and rawget(list, i) or nil
  end
  if #shown == 0 or next(list, rawlen(list)) then
    return nil
  end
  local lines, left_out = pretty_event.rows(shown, p)
  if not lines then
    lines = {}
    for i, ev in ipairs(shown) do
      lines[i] = texts.cut(pretty_event.line(ev), p.width)
    end
  end
  if rawlen(list) > #shown then
    lines[#lines + 1] = p.paint("dim", ("... and %d more"):format(rawlen(list) - #shown))
  elseif left_out and #left_out > 0 then
    lines[#lines + 1] = p.paint("dim", texts.cut("also: " .. table.concat(left_out, " "), p.width))
  end
  return lines
end

local function whole(value, p)
  local lines = things.block(value, p)
  if not lines and type(value) == "table" and not debug.getmetatable(value) then
    lines = event_lines(value, p) or pretty_table.lines(value, { width = p.width, rows = p.max, paint = p.paint })
  end
  return lines
end

---Returns a value as text, of one or several lines, none of which is wider than opts.width - but a text that
---stands alone, which is not cut.
---@param value any
---@param opts? bpfnet.pretty.Opts
---@return string
function pretty.text(value, opts)
  local p = printer(opts or {})
  if type(value) == "string" then
    return p.paint("string", texts.quote(value, WHOLE_TEXT))
  end
  local lines = whole(value, p)
  if lines then
    return table.concat(lines, "\n")
  elseif type(value) == "userdata" or type(value) == "table" and things.line(value) then
    return things.whole(value)
  elseif not block(p, "", value, "", 0) then
    p.lines[#p.lines] = p.paint("dim", texts.cut("... (there is more)", p.width))
  end
  return table.concat(p.lines, "\n")
end

---Returns a value on one line, or nil if it needs more than `width` columns.
---@param value any
---@param width integer
---@return string?
function pretty.inline(value, width)
  return inline(printer({ width = width }), value, 0, width)
end

return pretty
