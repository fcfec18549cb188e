-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- An event for the eye: in one line, or all its fields below one another.

local out = require("bpfnet.out")
local packet = require("bpfnet.packet")
local texts = require("bpfnet.pretty_text")
local units = require("bpfnet.pretty_units")

local pretty_event = {}

-- What a line says otherwise, and what nobody looks at first.
local APART = {}
for name in ("ts_ns cookie cgroup task_cgroup netns_cookie saddr daddr pid tid uid netns cpu sport dport comm "
  .. "family owner"):gmatch("%S+") do
  APART[name] = true
end
-- Of packets, what packet.what() has in its text.
local IN_WHAT = {}
for name in ("smac dmac ether_type proto icmp_type icmp_code icmp_id icmp_seq tcp_flags seq ack_seq frag_off "
  .. "first_saddr first_daddr first_sport first_dport ip_len id skb"):gmatch("%S+") do
  IN_WHAT[name] = true
end

-- What is to be seen first.
local FIRST = { "error", "reason", "point", "ended", "outcome", "action", "path" }

local NOTHING = { [0] = true, [""] = true, none = true, unknown = true, [false] = true }

---Returns the name of the probe whose event a value is.
---@param value any
---@return string? probe nil if it is none
---@return string[]? fields in order
function pretty_event.probe_of(value)
  local meta = type(value) == "table" and debug.getmetatable(value)
  if type(meta) == "table" and rawget(meta, "__name") == "bpf.Event" then
    return rawget(meta, "probe"), rawget(meta, "fields")
  end
end

local function ends(ev)
  if rawget(ev, "ether_type") and rawget(ev, "family") then
    local ok, what = pcall(packet.what, ev)
    return ok and what or nil, IN_WHAT
  elseif type(ev.saddr) == "string" and type(ev.daddr) == "string" then
    return ("%s -> %s"):format(out.endpoint(ev.saddr, ev.sport or 0), out.endpoint(ev.daddr, ev.dport or 0))
  end
end

local function process(ev)
  local comm, pid = rawget(ev, "comm"), rawget(ev, "pid")
  if not comm or comm == "" then
    return pid and pid ~= 0 and ("pid %d"):format(pid) or nil
  end
  return pid and pid ~= 0 and ("%s[%d]"):format(comm, pid) or comm
end

local function pair(name, value)
  if value == true then
    return name
  end
  local human = units.human(name, value)
  return ("%s=%s"):format(name, human or tostring(value))
end

-- The fields in the order in which they are shown.
local function in_order(fields)
  local list, taken, has = {}, {}, {}
  for _, name in ipairs(fields) do
    has[name] = true
  end
  for _, name in ipairs(FIRST) do
    list[#list + 1] = has[name] and name or nil
    taken[name] = true
  end
  for _, name in ipairs(fields) do
    list[#list + 1] = not taken[name] and name or nil
  end
  return list
end

-- Whether a field is said by the time, the process and the ends, of which `both` is the text.
local function is_apart(name, both, also)
  return name == "ts_ns" or name == "comm" or name == "pid" or both and APART[name] or also and also[name] or false
end

local function is_telling(value)
  return value ~= nil and not NOTHING[value] and type(value) ~= "table"
end

---Returns an event as one line: time, probe, process, both ends, and what else it says.
---@param ev bpf.Event
---@param without_probe? boolean
---@return string
function pretty_event.line(ev, without_probe)
  local probe, fields = pretty_event.probe_of(ev)
  local both, also = ends(ev)
  local parts = { rawget(ev, "ts_ns") and units.short("ts_ns", ev.ts_ns) or "-" }
  parts[#parts + 1] = not without_probe and probe or nil
  parts[#parts + 1] = process(ev)
  parts[#parts + 1] = both
  for _, name in ipairs(in_order(fields)) do
    local value = rawget(ev, name)
    if is_telling(value) and not is_apart(name, both, also) then
      parts[#parts + 1] = pair(name, value)
    end
  end
  return texts.harmless(table.concat(parts, " "))
end

---Returns all fields of an event as lines: name, value, and the value for the eye where that is another.
---@param ev bpf.Event
---@param opts { width: integer, paint: (fun(kind: string, text: string): string) }
---@return string[]
function pretty_event.block(ev, opts)
  local probe, fields = pretty_event.probe_of(ev)
  local lines, width = { opts.paint("title", probe) }, 0
  for _, name in ipairs(fields) do
    width = math.max(width, #name)
  end
  for _, name in ipairs(fields) do
    local value = rawget(ev, name)
    local text = type(value) == "string" and opts.paint("string", texts.quote(value))
      or texts.harmless(tostring(value))
    local human = units.human(name, value)
    local line = ("  %s%s  %s"):format(opts.paint("key", name), (" "):rep(width - #name),
      value == nil and opts.paint("dim", "nil") or text)
    lines[#lines + 1] = texts.cut(human and line .. opts.paint("dim", "  " .. human) or line, opts.width)
  end
  return lines
end

-- Columns of a table of events: title, and how a cell is made.
local COLUMNS = {
  { "TIME", function(ev) return ev.ts_ns and units.short("ts_ns", ev.ts_ns) end },
  { "PROCESS", process },
  { "ENDS", function(ev)
    local both = ends(ev)
    return both
  end },
}

-- The fields that have something to say in one of the events, beside those of the columns above.
local function telling(list, fields)
  local names, both, also = {}, ends(list[1])
  for _, name in ipairs(in_order(fields)) do
    for _, ev in ipairs(list) do
      if is_telling(rawget(ev, name)) and not is_apart(name, both, also) then
        names[#names + 1] = name
        break
      end
    end
  end
  return names
end

local function width_of(column)
  local width = texts.width(column.title)
  for i = 1, column.n do
    width = math.max(width, texts.width(column[i]))
  end
  return width
end

local function column_of(list, title, cell)
  local column, any = { title = title, n = #list, right = true }, false
  for i, ev in ipairs(list) do
    local value = cell(ev)
    any = any or value ~= nil
    column.right = column.right and (value == nil or type(value) == "number")
    column[i] = value == nil and "-" or texts.harmless(units.short(title, value))
  end
  return any and column or nil
end

---Returns events of one probe as a table: titles, a line for each. Columns that find no room are left out and
---named in a last line.
---@param list bpf.Event[]
---@param opts { width: integer, paint: (fun(kind: string, text: string): string) }
---@return string[]? lines nil if they are of several probes
function pretty_event.rows(list, opts)
  local probe, fields = pretty_event.probe_of(list[1])
  for _, ev in ipairs(list) do
    if pretty_event.probe_of(ev) ~= probe then
      return nil
    end
  end
  local columns, used, left_out = {}, -2, {}
  local function add(title, cell)
    local column = column_of(list, title, cell)
    if column then
      column.width = width_of(column)
      if used + column.width + 2 <= opts.width then
        columns[#columns + 1] = column
        used = used + column.width + 2
      else
        left_out[#left_out + 1] = title
      end
    end
  end
  for _, column in ipairs(COLUMNS) do
    add(column[1], column[2])
  end
  for _, name in ipairs(telling(list, fields)) do
    add(name, function(ev) return rawget(ev, name) end)
  end
  return texts.columns(columns, #list, opts.paint), left_out
end

return pretty_event
