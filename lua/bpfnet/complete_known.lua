-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What complete.lua knows of the API: options, fields, filters and points of probes, names of modules.

local embedded = require("bpfnet.embedded")
local files = require("bpfnet.files")
local things = require("bpfnet.pretty_things")

local known = {}

local function words(text)
  local list = {}
  for word in text:gmatch("%S+") do
    list[#list + 1] = word
  end
  return list
end

local ATTACH = words("filter where pcap sample threshold rate fields buffer latency way pods points")
local PACKETS = words("paths between slower_than dropped stack timeout")
local AGGREGATE = words("by count sum min max avg hist topk sort max_keys")
local WATCH = words("by every rows")
local REDIRECT = words("cgroup pods ports pids exclude policy on_event any_kernel")
local HTTP = words("url on_done on_headers on_data method headers body unix_socket http2 ca_file ca_data "
  .. "cert_file cert_data key_file key_data insecure connect_timeout stall_timeout timeout hold")
local EXPRESSION = words("and or not nil true false")
local PCAP = words("tcp udp icmp icmp6 arp ip ip6 vlan host net port portrange src dst and or not less greater")

local ATTRIBUTES = {
  Probe = { name = true, state = true, fields = true, kept = true, maps = true, points = true },
  Aggregate = { fields = true, overflow = true, dropped = true },
}

local CALLS = { attach = true, load = true, try_attach = true }
local FIELD_OPTIONS = { fields = true, by = true, sum = true, min = true, max = true, avg = true, hist = true }
local FILES = { dofile = true, loadfile = true }
local MAX_LOOKS = 50 -- whether a name is a directory

local list, by_name

---Returns what bpf.probes() says without trying; asked once.
---@return bpf.ProbeInfo[]
function known.probes()
  if not list then
    local ok, probes = pcall(bpf.probes, { try = false })
    list, by_name = ok and probes or {}, {}
    for _, probe in ipairs(list) do
      by_name[probe.name] = probe
    end
  end
  return list
end

---@param name? string
---@return bpf.ProbeInfo? info nil for no such probe
function known.probe(name)
  known.probes()
  return by_name[name]
end

---@return string[]
function known.probe_names()
  local names = {}
  for i, probe in ipairs(known.probes()) do
    names[i] = probe.name
  end
  return names
end

-- What `pick` gives of the probe, or of all where it is not known which.
local function of_probes(info, pick)
  local names = {}
  for _, probe in ipairs(info and { info } or known.probes()) do
    pick(probe, names)
  end
  return names
end

local function fields(info)
  return of_probes(info, function(probe, names)
    for _, field in ipairs(probe.fields or {}) do
      names[#names + 1] = field.name
    end
  end)
end

local function filters(info)
  return of_probes(info, function(probe, names)
    table.move(probe.filters or {}, 1, #(probe.filters or {}), #names + 1, names)
  end)
end

local function points(info)
  local names = of_probes(info, function(probe, names)
    for _, point in ipairs(probe.points or {}) do
      names[#names + 1] = point.name
      names[#names + 1] = point.group ~= "" and point.group or nil
    end
  end)
  names[#names + 1] = "all"
  return names
end

local function ways(info)
  return of_probes(info, function(probe, names)
    for _, way in ipairs(probe.ways or {}) do
      names[#names + 1] = way.way ~= "" and way.way or nil
    end
  end)
end

local function append(into, ...)
  for _, more in ipairs({ ... }) do
    table.move(more, 1, #more, #into + 1, into)
  end
  return into
end

---Returns whether a value can be called.
---@param value any
---@return boolean
function known.is_callable(value)
  local meta = type(value) ~= "function" and debug.getmetatable(value)
  return type(value) == "function" or type(meta) == "table" and rawget(meta, "__call") ~= nil
end

---Returns the members that only the engine knows: those of a Probe that are no methods.
---@param value any
---@return table<string, true>
function known.attributes(value)
  return ATTRIBUTES[things.class(value)] or {}
end

local function probe_members()
  local names = {}
  for name in pairs(debug.getregistry()["bpf.Probe"].methods) do
    names[#names + 1] = not name:find("^_") and name or nil
  end
  return names
end

---Returns all names of a Probe's.
---@return string[]
function known.probe_members()
  local names = probe_members()
  for name in pairs(ATTRIBUTES.Probe) do
    names[#names + 1] = name
  end
  return names
end

---Returns what may follow "f(…)." or "f(…):".
---@param path string of the function
---@param methods boolean after ":"
---@return string[]
function known.of_call(path, methods)
  if CALLS[path:match("[^.]*$")] then
    return methods and probe_members() or known.probe_members()
  end
  return {}
end

-- The probe that a call is about: its name given, p in p:filter(, or a short form's own.
local function info_of(names, place)
  local last = place.path:match("[^.]*$")
  if CALLS[last] then
    return known.probe(place.argument)
  end
  local receiver = place.method and place.path:match("^(.*)%.[^.]*$") or place.path
  local value = names:resolve(receiver)
  if things.class(value) == "Probe" and value.state ~= "closed" then
    return known.probe(value.name)
  end
  return known.probe(receiver)
end

---Returns the names of a table's members that are expected where the cursor is, nil where any name may stand.
---@param names bpfnet.repl.Names
---@param place bpfnet.complete.Place
---@return string[]?
function known.keys(names, place)
  if not place.path then
    return nil
  end
  local last, key, info = place.path:match("[^.]*$"), place.keys[1], info_of(names, place)
  if key == "filter" and (CALLS[last] or info) then
    return filters(info)
  elseif key == "rate" then
    return { "by" }
  elseif key then
    return nil
  elseif CALLS[last] then
    return append({}, ATTACH, (not info or info.points) and PACKETS
      or info.name == "tcprequest" and { "timeout" } or {})
  elseif last == "filter" then
    return filters(info)
  elseif last == "aggregate" then
    return AGGREGATE
  elseif last == "watch" then
    return WATCH
  elseif place.path == "bpf.redirect" then
    return REDIRECT
  elseif place.path == "bpf.http" then
    return HTTP
  end
  return info and append(filters(info), ATTACH) or nil
end

local function modules()
  local names = append({ "bpfnet", "bpfnet.files", "bpfnet.embedded", "cjson" }, embedded.modules())
  return of_probes({}, function(_, into)
    for _, name in ipairs(names) do
      into[#into + 1] = not name:find("%._meta") and name or nil
    end
  end)
end

-- Lua files and directories beside the path that has been begun.
local function lua_files(text)
  local directory, looks, paths = text:match("^.*/") or "", 0, {}
  for _, name in ipairs(files.list(directory ~= "" and directory or ".") or {}) do
    local path = directory .. name
    if name:find("%.lua$") then
      paths[#paths + 1] = path
    elseif not name:find(".", 1, true) and path:sub(1, #text) == text and looks < MAX_LOOKS then
      looks = looks + 1
      paths[#paths + 1] = files.list(path) and path .. "/" or nil
    end
  end
  return paths
end

local function topics()
  local ok, help = pcall(require, "bpfnet.help")
  return append(known.probe_names(), ok and help.topics() or {})
end

-- Of an option's text.
local function option_text(key, info)
  if FIELD_OPTIONS[key] then
    return fields(info)
  elseif key == "where" or key == "threshold" then
    return append(fields(info), EXPRESSION), true
  elseif key == "pcap" then
    return PCAP, true
  elseif key == "points" or key == "between" then
    return points(info), true
  elseif key == "latency" then
    return { "low" }
  elseif key == "way" then
    return ways(info)
  elseif key == "family" then
    return { "ipv4", "ipv6" }
  end
  return {}
end

---Returns what a text may be in which the cursor stands.
---@param names bpfnet.repl.Names
---@param place bpfnet.complete.Place
---@return string[] candidates
---@return boolean? words they stand for its last word; without it for the whole text
function known.texts(names, place)
  if not place.path then
    return {}
  end
  local last, info = place.path:match("[^.]*$"), info_of(names, place)
  local key = place.keys[#place.keys]
  if key then
    return option_text(key, info)
  elseif CALLS[last] and not place.argument then
    return known.probe_names()
  elseif last == "require" then
    return modules()
  elseif last == "help" then
    return topics()
  elseif FILES[last] then
    return lua_files(place.text)
  elseif last == "where" or last == "threshold" or last == "pcap" then
    return option_text(last, info)
  end
  return info and fields(info) or {}, true
end

return known
