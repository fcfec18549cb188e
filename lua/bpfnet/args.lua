-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Options of a script, from a table that says which there are.
--
--   local args = require("bpfnet.args")
--   local opt = args.parse(arg, {
--     interval = { type = "number", min = 0.1, default = 2 },
--     side = { type = "word", words = { "connect", "accept" } },
--   })
--   bpf.attach("tcpclose", { filter = opt.filter }, print)
--   bpf.run(opt.duration)

local nearest = require("bpfnet.nearest")
local script = require("bpfnet.script")

local args = {}

---@class bpfnet.args.Option
---@field type "flag"|"integer"|"number"|"string"|"id"|"word"|"pair" id: an integer or else a path; pair:
---  NAME=VALUE, and more with commas between; the result is a table of them
---@field list? boolean may be given more than once and with commas; the result is a list
---@field min? number least that is allowed
---@field max? number most that is allowed
---@field words? string[] those allowed, for type "word"
---@field default? any result where the option is not given

---@class bpfnet.args.Result: table one member per option given, named like it, with "_" for "-"
---@field format "table"|"json"|"csv"
---@field filter? table for the option `filter` of bpf.attach
---@field duration? number seconds

local function ids(max)
  return { type = "integer", list = true, min = 0, max = max }
end

---Filters by container, which every probe has.
---@type table<string, bpfnet.args.Option>
args.POD_FILTERS = {
  pod = { type = "string", list = true },
  namespace = { type = "string", list = true },
  container = { type = "string", list = true },
  sidecar = { type = "flag" },
  label = { type = "pair" },
}

---Two tables of options as one.
---@param a table<string, bpfnet.args.Option>
---@param b table<string, bpfnet.args.Option>
---@return table<string, bpfnet.args.Option>
function args.both(a, b)
  local all = {}
  for _, options in ipairs({ a, b }) do
    for name, option in pairs(options) do
      all[name] = option
    end
  end
  return all
end

-- The filters of most probes, which go into the result's `filter`.
local FILTERS = args.both(args.POD_FILTERS, {
  pid = ids(0x7fffffff),
  uid = ids(0xffffffff),
  port = ids(65535),
  sport = ids(65535),
  dport = ids(65535),
  comm = { type = "string", list = true },
  addr = { type = "string", list = true },
  netns = { type = "id", list = true },
  cgroup = { type = "id", list = true },
  family = { type = "word", list = true, words = { "ipv4", "ipv6" } },
})

local COMMON = {
  json = { type = "flag" },
  csv = { type = "flag" },
  help = { type = "flag" },
  labels = { type = "word", list = true, words = { "cri", "kube" } },
  duration = { type = "number", min = 0.001, max = 1e9 },
}

local function range(option)
  if option.min and option.max then
    return (" from %s to %s"):format(option.min, option.max)
  end
  return option.min and " from " .. option.min or option.max and " up to " .. option.max or ""
end

local function number(text, option, what, value)
  local min, max = option.min or -math.huge, option.max or math.huge
  if value and value >= min and value <= max then
    return value
  end
  return nil, ("expected %s%s, got \"%s\""):format(what, range(option), text)
end

-- Text to value, or nil and what was expected.
local read = {}

function read.integer(text, option)
  local value = text:find("^%-?%d+$") and math.tointeger(tonumber(text))
  return number(text, option, "an integer", value)
end

function read.number(text, option)
  return number(text, option, "a number", text:find("^[%d.]+$") and tonumber(text))
end

function read.string(text)
  return text
end

function read.id(text)
  return text:find("^%d+$") and math.tointeger(tonumber(text)) or text
end

function read.word(text, option)
  for _, word in ipairs(option.words) do
    if text == word then
      return text
    end
  end
  return nil, ("expected %s, got \"%s\""):format(table.concat(option.words, " or "), text)
end

local function option_of(options, filters, name)
  return options[name] or filters[name] or COMMON[name]
end

local function known_names(options, filters)
  local names = {}
  for _, list in ipairs({ options, filters, COMMON }) do
    for name in pairs(list) do
      names[#names + 1] = "--" .. name:gsub("_", "-")
    end
  end
  table.sort(names)
  return names
end

-- BCC's tools have -p and -d: all that may be meant by the letter. So is what a longer name begins with.
local function by_beginning(text, known)
  local letter = text:match("^%-(%a)$")
  local begins, meant = letter and "--" .. letter or text:match("^%-%-%a%a.*"), {}
  for _, name in ipairs(known) do
    meant[#meant + 1] = begins and name:sub(1, #begins) == begins and ('"%s"'):format(name) or nil
  end
  return #meant > 0 and table.concat(meant, " or ")
end

local function no_such_option(text, options, filters)
  local known = known_names(options, filters)
  local meant = by_beginning(text, known)
  if meant then
    return ("unknown option \"%s\", did you mean %s?"):format(text, meant)
  end
  local words = {}
  for i, name in ipairs(known) do
    words[i] = name:sub(3)
  end
  local near = nearest((text:gsub("^%-+", "")), words) -- the dashes are no part of what is alike
  if near then
    return ("unknown option \"%s\", did you mean \"--%s\"?"):format(text, near)
  end
  return ("unknown option \"%s\" (known: %s)"):format(text, table.concat(known, ", "))
end

-- Adds what the text of one option holds to its list. nil, or what is wrong
local function read_list(list, text, option)
  for part in (text .. ","):gmatch("([^,]*),") do
    if part == "" then
      return ("expected values with commas between, got \"%s\""):format(text)
    end
    local value, wrong = read[option.type](part, option)
    if value == nil then
      return wrong
    end
    list[#list + 1] = value
  end
end

-- Likewise for NAME=VALUE.
local function read_pairs(into, text)
  for part in (text .. ","):gmatch("([^,]*),") do
    local key, value = part:match("^([^=]+)=(.*)$")
    if not key then
      return ("expected NAME=VALUE, got \"%s\""):format(part)
    end
    into[key] = value
  end
end

-- One option with its value into the result. nil, or what is wrong
local function set(into, name, option, text)
  local wrong
  if option.type == "pair" then
    into[name] = into[name] or {}
    wrong = read_pairs(into[name], text)
  elseif option.list then
    into[name] = into[name] or {}
    wrong = read_list(into[name], text, option)
  else
    into[name], wrong = read[option.type](text, option)
  end
  return wrong and ("option \"--%s\": %s"):format(name:gsub("_", "-"), wrong)
end

-- Reads argv[i]; returns the index of the next, or nil and what is wrong.
local function read_one(result, argv, i, options, filters)
  local dashed, text = argv[i]:match("^(%-%-[^=]+)=?(.*)$")
  if not dashed then
    return nil, argv[i]:find("^%-") and no_such_option(argv[i], options, filters)
      or ("unexpected argument \"%s\""):format(argv[i])
  end
  local name, has_value = dashed:sub(3):gsub("-", "_"), argv[i]:find("=", 1, true) ~= nil
  local option = option_of(options, filters, name)
  if not option then
    return nil, no_such_option(dashed, options, filters)
  end
  local into = result
  if filters[name] and not options[name] then
    result.filter = result.filter or {}
    into = result.filter
  end
  if option.type == "flag" then
    into[name] = true
    return i + 1, has_value and ("option \"%s\" takes no value"):format(dashed) or nil
  end
  if not has_value then
    i, text = i + 1, argv[i + 1]
  end
  if not text then
    return nil, ("option \"%s\" needs a value"):format(dashed)
  end
  return i + 1, set(into, name, option, text)
end

---Reads the arguments; the form of parse() that tells instead of ending the program.
---@param argv string[]
---@param options? table<string, bpfnet.args.Option> besides the common ones
---@param filters? table<string, bpfnet.args.Option> those of the probe, in place of the usual ones
---@return bpfnet.args.Result? result
---@return string? message what is wrong
function args.try_parse(argv, options, filters)
  local result, i, wrong = {}, 1, nil
  options, filters = options or {}, filters or FILTERS
  while argv[i] do
    if argv[i] == "-h" then
      result.help, i = true, i + 1
    else
      i, wrong = read_one(result, argv, i, options, filters)
    end
    if wrong then
      return nil, wrong
    end
  end
  if result.json and result.csv then
    return nil, "--json and --csv exclude each other"
  end
  for name, option in pairs(options) do
    if result[name] == nil then
      result[name] = option.default
    end
  end
  result.format = result.json and "json" or result.csv and "csv" or "table"
  return result
end

-- Required only here: most runs ask nobody.
local function use_sources(names, hint)
  for _, name in ipairs(names) do
    local ok, wrong = pcall(require("bpfnet.pod_sources").use, name)
    if not ok then
      script.fail(("option \"--labels\": %s\nhint: %s"):format(wrong, hint))
    end
  end
end

local function check_pods(names, hint)
  for _, name in ipairs(names) do
    local pod = require("bpfnet.pod")
    local ok, wrong = pcall(pod.check, { pod = name })
    if not ok then
      script.fail(("%s\nhint: %s"):format(wrong, hint), 2)
    end
    local absent = pod.absent(name)
    if absent then
      script.fail(absent)
    end
  end
end

local function warn_of_none(filter)
  for _, word in ipairs({ "namespace", "container" }) do
    for _, name in ipairs(filter[word] or {}) do
      local none = require("bpfnet.pod").none(word, name)
      if none then
        bpf.log("warn", "%s", none)
      end
    end
  end
end

---Reads the script's arguments. What is wrong with them ends the program: one line on stderr, a
---hint, status 2; a pod that is not there likewise, status 1; of a namespace or container of which nothing
---is there now it warns. `--help` that is not the first argument
---(which bpfnet itself answers) names the options and ends it with status 0.
---@param argv string[] the global `arg`
---@param options? table<string, bpfnet.args.Option> besides the common ones: `--json --csv
---  --duration --labels` (the last is carried out), and the filters `--pid --uid --comm --port --sport
---  --dport --addr --netns --cgroup --family --pod --namespace --container --sidecar --label`
---@param filters? table<string, bpfnet.args.Option> those of the probe, in place of the usual ones
---@return bpfnet.args.Result
function args.parse(argv, options, filters)
  local hint = ("bpfnet run %s --help"):format(arg and arg[0] or "SCRIPT")
  local result, wrong = args.try_parse(argv, options, filters)
  if not result then
    script.fail(("%s\nhint: %s"):format(wrong, hint), 2)
  elseif result.help then
    print("options: " .. table.concat(known_names(options or {}, filters or FILTERS), " "))
    print("explained by: " .. hint)
    os.exit(0, true)
  end
  use_sources(result.labels or {}, hint)
  check_pods(result.filter and result.filter.pod or {}, hint)
  warn_of_none(result.filter or {})
  return result
end

return args
