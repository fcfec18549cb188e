-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- `bpfnet probes [NAME] [--json]`: what there is to attach, and what of it this kernel allows.

local nearest = require("bpfnet.nearest")

local probes = {}

local say = print -- where lines go; probes.text() puts something else there for a moment

local ORDER = {
  probe = { "name", "doc", "available", "why", "fields", "filters", "ways", "points" },
  field = { "name", "type", "doc" },
  point = { "name", "group", "optional", "way", "where", "why" },
  way = { "what", "way", "program", "hook", "used", "loses" },
}

-- bpf.json writes the members of a table in the order of its metatable's `fields`.
local function ordered(t, order)
  return setmetatable(t, { fields = order })
end

local function print_json(list)
  for _, probe in ipairs(list) do
    for _, field in ipairs(probe.fields or {}) do
      ordered(field, ORDER.field)
    end
    for _, way in ipairs(probe.ways or {}) do
      ordered(way, ORDER.way)
    end
    for _, point in ipairs(probe.points or {}) do
      ordered(point, ORDER.point)
    end
    print(bpf.json(probe, ORDER.probe))
  end
end

local function longest(list, key)
  local width = 0
  for _, item in ipairs(list) do
    width = math.max(width, #item[key])
  end
  return width
end

-- What a probe in use lacks on this kernel: of each way in use, what it says it loses.
local function losses(probe)
  local list = {}
  for _, way in ipairs(probe.ways or {}) do
    if way.used and way.loses ~= "" then
      list[#list + 1] = way.loses
    end
  end
  return list
end

-- A reason may name several attempts, which are easier to read one below the other.
local function why(probe, indent)
  return "not available: " .. probe.why:gsub("; ", ";\n" .. indent)
end

local function print_list(list)
  local width = longest(list, "name")
  for _, probe in ipairs(list) do
    local state = probe.available and "yes" or "no "
    local indent = (" "):rep(width + 7)
    local line = ("%-" .. width .. "s  %s  %s"):format(probe.name, state, probe.doc or "")
    say(line:match("^(.-) *$"))
    if not probe.available then
      say(indent .. why(probe, indent .. "  "))
    else
      for _, lost in ipairs(losses(probe)) do
        say(indent .. "without: " .. lost)
      end
    end
  end
  say("\n`bpfnet probes NAME` shows fields, filters and hooks.")
end

local function print_fields(probe)
  local form = ("  %%-%ds  %%-%ds  %%s"):format(longest(probe.fields, "name"),
    longest(probe.fields, "type"))
  say("\nfields:")
  for _, field in ipairs(probe.fields) do
    say(form:format(field.name, field.type, field.doc):match("^(.-) *$"))
  end
end

-- Ways to hook one thing: { what=, alternatives = { { way=, used=, loses=, hooks = {...} }, ... } }
local function grouped(ways)
  local groups, by_what, by_way = {}, {}, {}
  for _, way in ipairs(ways) do
    local key = way.what .. "\0" .. (way.what == "" and way.program or way.way)
    local group = by_what[way.what]
    if not group then
      group = { what = way.what, alternatives = {} }
      by_what[way.what] = group
      groups[#groups + 1] = group
    end
    local alternative = by_way[key]
    if not alternative then
      alternative = { used = false, loses = "", hooks = {} }
      alternative.way = way.way ~= "" and way.way or way.program
      by_way[key] = alternative
      group.alternatives[#group.alternatives + 1] = alternative
    end
    alternative.used = alternative.used or way.used
    alternative.loses = way.loses ~= "" and way.loses or alternative.loses
    table.insert(alternative.hooks, way.hook)
  end
  return groups
end

local function print_ways(probe)
  say("\nhooks (*: in use here; of alternatives the first that works is taken):")
  for _, group in ipairs(grouped(probe.ways)) do
    say(("  %s"):format(group.what ~= "" and group.what .. ", one of" or "always"))
    for _, a in ipairs(group.alternatives) do
      say(("  %s %-10s  %s"):format(a.used and "*" or " ", a.way, table.concat(a.hooks, ", ")))
      if a.loses ~= "" then
        say((" "):rep(16) .. "without: " .. a.loses)
      end
    end
  end
end

-- A line for each point; what can't be seen here says why.
local function print_points(probe)
  local width, groups = longest(probe.points, "name"), longest(probe.points, "group")
  local form = ("  %%s %%-%ds  %%-%ds  %%-10s  %%s"):format(width, groups)
  say("\npoints (*: seen here; -: only if it is named):")
  for _, point in ipairs(probe.points) do
    local mark = not point.way and " " or point.optional and "-" or "*"
    say(form:format(mark, point.name, point.group, point.way or "",
      point.way and point.where or point.why):match("^(.-) *$"))
  end
end

local function print_one(probe)
  say(("%s - %s"):format(probe.name, probe.doc or "no description"))
  if not probe.available then
    say(why(probe, "  "))
  end
  if not probe.fields then
    return
  end
  print_fields(probe)
  say("\nfilters: " .. (#probe.filters > 0 and table.concat(probe.filters, " ") or "none"))
  print_ways(probe)
  if probe.points then
    print_points(probe)
  end
  say(("\nexample: bpfnet run -e 'bpf.attach(\"%s\", print)'"):format(probe.name))
end

local function fail(status, message, hint)
  io.stderr:write("bpfnet probes: ", message, "\nhint: ", hint, "\n")
  return status
end

-- Name and whether JSON is wanted, or nil and what is wrong.
local function parse(argv)
  local name, json
  for _, text in ipairs(argv) do
    if text == "--json" then
      json = true
    elseif text:find("^%-") then
      local near = nearest(text, { "--json" }) and ", did you mean \"--json\"?" or ""
      return nil, ("unknown option \"%s\"%s"):format(text, near)
    elseif name then
      return nil, ("unexpected argument \"%s\""):format(text)
    else
      name = text
    end
  end
  return { name = name, json = json }
end

local function find(list, name)
  local names = {}
  for _, probe in ipairs(list) do
    if probe.name == name then
      return probe
    end
    names[#names + 1] = probe.name
  end
  local near = nearest(name, names)
  local guess = near and (", did you mean \"%s\"?"):format(near)
    or (" (there are: %s)"):format(table.concat(names, ", "))
  return nil, ("no probe is called \"%s\"%s"):format(name, guess)
end

---Returns what `bpfnet probes NAME` says of a probe.
---@param probe bpf.ProbeInfo
---@return string
function probes.text(probe)
  local lines = {}
  say = function(line) lines[#lines + 1] = line end
  local ok, message = pcall(print_one, probe)
  say = print
  if not ok then
    error(message, 0)
  end
  return table.concat(lines, "\n")
end

---The subcommand.
---@param argv string[] its arguments
---@return integer status 0, 1 for a probe that does not exist, 2 for wrong usage
function probes.main(argv)
  local opt, wrong = parse(argv)
  if not opt then
    return fail(2, wrong, "bpfnet help probes")
  end
  local list = bpf.probes()
  if not opt.name then
    (opt.json and print_json or print_list)(list)
    return 0
  end
  local probe, unknown = find(list, opt.name)
  if not probe then
    return fail(1, unknown, "bpfnet probes")
  elseif opt.json then
    print_json({ probe })
  else
    print_one(probe)
  end
  return 0
end

return probes
