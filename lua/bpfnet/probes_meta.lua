-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Annotations for editors (LuaCATS) of what probes have: their events, filters and options, from the types that
-- their objects carry (BTF). `make meta` writes them to lua/bpfnet/_meta_probe*.lua.
--
--   for name, text in pairs(require("bpfnet.probes_meta").files()) do print(name, #text) end

local probes_meta = {}

local HEAD = [[
-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta %s
-- luacheck: ignore
-- %s Made by `make meta`.
]]

local NUMBER, TEXT = "integer|integer[]", "string|string[]"
local PATH = "integer|string|(integer|string)[]"

-- What a filter takes, and what is not said by the field of the same name.
local FILTERS = {
  pid = { NUMBER }, tid = { NUMBER }, uid = { NUMBER }, ifindex = { NUMBER }, mark = { NUMBER }, vlan = { NUMBER },
  sport = { NUMBER }, dport = { NUMBER }, port = { NUMBER, "sport or dport" },
  netns = { PATH, 'inode number, name of `ip netns`, or a path like "/proc/1/ns/net"' },
  cgroup = { PATH, "id, or the path of a cgroup v2 directory" },
  comm = { TEXT, "name of the process, 15 bytes of which count" }, ifname = { TEXT },
  saddr = { TEXT, 'address or network, "10.0.0.0/8"' }, daddr = { TEXT, "likewise, of the other end" },
  addr = { TEXT, "likewise, of either" },
  pod = { TEXT, '"shop/cart-0" or the name alone, with * and ?; "!" before it is all others' },
  namespace = { TEXT, "with * and ?" },
  container = { TEXT, "with * and ?" }, image = { TEXT, "with * and ?" }, runtime = { TEXT, "with * and ?" },
  sidecar = { "boolean" }, label = { "table<string, string>", "once something tells the labels" },
  where = { "string", "expression over names: pod != nil and not sidecar" },
}

-- Numbers without a name come as numbers.
local TYPES = {
  integer = "integer", ["integer or nil"] = "integer", boolean = "boolean", string = "string", address = "string",
  ["errno name"] = "string", ["MAC address"] = "string", ["drop reason"] = "string", ["TCP flags"] = "string",
  ["kernel symbol"] = "string", ["kernel stack"] = "string",
}

-- With these options an event of podnet is another one's.
local KINDS = { podnet = { "podnet", "podnet_path", "podnet_span" } }

-- "PodnetPath" of "podnet_path"
local function class(name)
  return (("_" .. name):gsub("_(%l)", string.upper))
end

local function words(list)
  local quoted = {}
  for i, word in ipairs(list) do
    quoted[i] = '"' .. word .. '"'
  end
  return table.concat(quoted, "|")
end

local function field_type(probe, field, aliases)
  if field.entry then
    return ("bpf.%s.%s[]"):format(class(probe), class(field.name))
  elseif not field.values then
    return assert(TYPES[field.type], field.type)
  end
  local union = words(field.values)
  return aliases[union] or union
end

local function add_field(lines, probe, field, aliases)
  lines[#lines + 1] = ("---@field %s%s %s %s"):format(field.name, field.optional and "?" or "",
    field_type(probe, field, aliases), field.doc):match("^(.-) *$")
end

local function find(fields, name)
  for _, field in ipairs(fields) do
    if field.name == name then
      return field
    end
  end
end

local function add_event(lines, probe, aliases)
  for _, field in ipairs(probe.fields) do
    if field.entry then
      lines[#lines + 1] = ("---@class bpf.%s.%s"):format(class(probe.name), class(field.name))
      for _, member in ipairs(field.entry) do
        add_field(lines, probe.name, member, aliases)
      end
      lines[#lines + 1] = ""
    end
  end
  lines[#lines + 1] = "---" .. probe.doc:gsub("^%l", string.upper) .. "."
  lines[#lines + 1] = ("---@class bpf.%sEvent: bpf.Event"):format(class(probe.name))
  for _, field in ipairs(probe.fields) do
    add_field(lines, probe.name, field, aliases)
  end
end

local function add_filter(lines, probe, aliases)
  lines[#lines + 1] = ("\n---@class bpf.%sFilter"):format(class(probe.name))
  for _, name in ipairs(probe.filters) do
    local field = find(probe.fields, name) or { doc = "" }
    local filter = FILTERS[name] or { field.values and "string|string[]" }
    local union = field.values and words(field.values)
    if union and not FILTERS[name] then
      local one = aliases[union] or union
      filter = { ("%s|(%s)[]"):format(one, one) }
    end
    lines[#lines + 1] = ("---@field %s? %s %s"):format(name, assert(filter[1], name), filter[2] or field.doc)
      :match("^(.-) *$")
  end
end

-- The ways to hook that there is a choice between. Which of them points have is the kernel's matter, and not
-- told here: the text must be the same everywhere.
local function way_names(probe)
  local seen, list = { [""] = true }, {}
  if probe.points then
    return list
  end
  for _, way in ipairs(probe.ways) do
    if not seen[way.way] then
      seen[way.way] = true
      list[#list + 1] = way.way
    end
  end
  table.sort(list)
  return list
end

local function add_opts(lines, probe)
  local name, ways = class(probe.name), way_names(probe)
  lines[#lines + 1] = ("\n---@class bpf.%sOpts: bpf.Opts"):format(name)
  lines[#lines + 1] = ("---@field filter? bpf.%sFilter"):format(name)
  if #ways > 0 then
    lines[#lines + 1] = ("---@field way? %s"):format(words(ways))
  end
  if probe.points then
    lines[#lines + 1] = "---@field points? bpf.Point|bpf.PointGroup|(bpf.Point|bpf.PointGroup)[]"
  end
end

-- What a handler gets: the event, or fields as arguments.
local function handler(probe)
  local events = {}
  for i, name in ipairs(KINDS[probe.name] or { probe.name }) do
    events[i] = ("bpf.%sEvent"):format(class(name))
  end
  return ("fun(ev: %s, ...: any)"):format(table.concat(events, "|")), table.concat(events, "|")
end

local function add_probe(lines, probe)
  local name = class(probe.name)
  local on_event, event = handler(probe)
  lines[#lines + 1] = ("\n---@class bpf.%sProbe: bpf.Probe"):format(name)
  local self = ("bpf.%sProbe"):format(name)
  lines[#lines + 1] = ("---@field on_event fun(self: %s, on_event?: %s): %s"):format(self, on_event, self)
  lines[#lines + 1] = ("---@field filter fun(self: %s, filter?: bpf.%sFilter): bpf.%sFilter?"):format(self, name, name)
  lines[#lines + 1] = ("---@field events fun(self: %s, seconds?: number): fun(): %s"):format(self, event)
end

local function probe_file(probe, aliases)
  local lines = { HEAD:format("bpfnet_" .. probe.name, ("The probe %s."):format(probe.name)) }
  add_event(lines, probe, aliases)
  add_filter(lines, probe, aliases)
  add_opts(lines, probe)
  add_probe(lines, probe)
  return table.concat(lines, "\n") .. "\n"
end

local ATTACH = [[
---Opens, filters and attaches a probe. A handler whose first parameter is named like a field of the
---event gets fields as arguments, in the order of its parameters; all others get a table. Raises with
---the reason and a hint if the probe is unknown, an option is wrong, or the kernel refuses.
---@param name string see `bpfnet probes`
---@param opts? bpf.Opts
---@param on_event? function
---@return bpf.Probe
]]

local TRY = [[
---Like attach(), but tells instead of raising.
---@param name string
---@param opts? bpf.Opts
---@param on_event? function
---@return bpf.Probe? probe nil if that failed
---@return string? message
---@return string? code name of the errno, as "EPERM"; nil for a mistake in the call
]]

local LOAD = [[
---Like attach() without attaching: for probe:inject(), or to attach later.
---@param name string also a path with a slash, of an object file of one's own
---@param opts? bpf.Opts
---@param on_event? function
---@return bpf.Probe
]]

-- Both forms of the call for each probe, so that the handler's event has its type.
local function overloads(list, returns)
  local lines = {}
  for _, probe in ipairs(list) do
    local name, on_event = class(probe.name), handler(probe)
    local result = returns:format(name)
    lines[#lines + 1] = ('---@overload fun(name: "%s", opts?: bpf.%sOpts, on_event?: %s): %s'):format(probe.name, name,
      on_event, result)
    lines[#lines + 1] = ('---@overload fun(name: "%s", on_event?: %s): %s'):format(probe.name, on_event, result)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function alias(name, values)
  local lines = { ("---@alias %s"):format(name) }
  for _, value in ipairs(values) do
    lines[#lines + 1] = ('---| "%s"'):format(value)
  end
  return table.concat(lines, "\n") .. "\n"
end

-- The groups of points, and "all".
local function groups(points)
  local seen, list = {}, {}
  for _, point in ipairs(points) do
    if not seen[point.group] then
      seen[point.group] = true
      list[#list + 1] = point.group
    end
  end
  table.sort(list)
  list[#list + 1] = "all"
  return list
end

local function calls_file(list, points)
  local names = {}
  for i, point in ipairs(points) do
    names[i] = point.name
  end
  return table.concat({ HEAD:format("bpfnet_probes", "How probes are attached, with the types of each."),
    "---@class bpf\nlocal bpf = {}\n",
    alias("bpf.Point", names), alias("bpf.PointGroup", groups(points)),
    ATTACH .. overloads(list, "bpf.%sProbe") .. "function bpf.attach(name, opts, on_event) end\n",
    TRY .. overloads(list, "bpf.%sProbe?, string?, string?") .. "function bpf.try_attach(name, opts, on_event) end\n",
    LOAD .. overloads(list, "bpf.%sProbe") .. "function bpf.load(name, opts, on_event) end\n" }, "\n")
end

-- What events call a point: those that there are and "unknown", in the order of their numbers.
local function point_alias(list, aliases)
  for _, probe in ipairs(list) do
    local field = probe.points and find(probe.fields, "point")
    if field then
      aliases[words(field.values)] = "bpf.Point"
      return probe.points
    end
  end
end

---Makes the files' texts from bpf.probes(), for which no privilege is needed.
---@return table<string, string> texts by the files' names, "_meta_probes.lua"
function probes_meta.files()
  local list, aliases, files = bpf.probes(), {}, {}
  local points = point_alias(list, aliases)
  for _, probe in ipairs(list) do
    files[("_meta_probe_%s.lua"):format(probe.name)] = probe_file(probe, aliases)
  end
  files["_meta_probes.lua"] = calls_file(list, points)
  return files
end

---Writes them.
---@param directory string
function probes_meta.write(directory)
  for name, text in pairs(probes_meta.files()) do
    local f = assert(io.open(directory .. "/" .. name, "w"))
    assert(f:write(text))
    assert(f:close())
  end
end

return probes_meta
