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

---Returns an event as one line: time, probe, process, both ends, and what else it says.
---@param ev bpf.Event
---@return string
function pretty_event.line(ev)
  local probe, fields = pretty_event.probe_of(ev)
  local both, also = ends(ev)
  local apart = both and also or {}
  local parts = { rawget(ev, "ts_ns") and units.short("ts_ns", ev.ts_ns) or "-", probe }
  parts[#parts + 1] = process(ev)
  parts[#parts + 1] = both
  for _, name in ipairs(fields) do
    local value = rawget(ev, name)
    if value ~= nil and not NOTHING[value] and not apart[name] and (not both or not APART[name])
      and name ~= "ts_ns" and type(value) ~= "table" then
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

return pretty_event
