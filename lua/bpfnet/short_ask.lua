-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What users write in the braces of short forms: filters, options and conditions, told apart and checked; and what
-- is said of mistakes.

local nearest = require("bpfnet.nearest")
local nothing = require("bpfnet.short_nil")

local ask = {}

-- Options of bpf.load() that may stand among the filters.
local ENGINE = {
  pcap = true, sample = true, threshold = true, rate = true, buffer = true, latency = true, way = true,
  points = true, paths = true, between = true, slower_than = true, dropped = true, stack = true,
  timeout = true, pods = true,
}
-- Ours: what is expected of each.
local OWN = {
  where = { "string", "a text" },
  every = { "number", "seconds, 0.1 or more", 0.1 },
  duration = { "number", "seconds, 0.001 or more", 0.001 },
  rows = { "integer", "a number of rows, 1 or more", 1 },
  json = { "boolean", "true or false" },
}

local function names_of(...)
  local names = {}
  for _, set in ipairs({ ... }) do
    for name in pairs(set) do
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

-- An unknown name may be meant as an option or a filter: the engine knows only of the filters.
local function better_guess(message)
  local head, name, known = message:match('^(.-): unknown filter "([^"]*)".-%(known: (.-)%)')
  if not name then
    return message
  end
  local words = names_of(ENGINE, OWN)
  for word in known:gmatch("[%w_]+") do
    words[#words + 1] = word
  end
  local near = nearest(name, words)
  return ('%s: unknown filter or option "%s"%s (filters: %s; options: %s)'):format(head, name,
    near and (', did you mean "%s"?'):format(near) or "", known, table.concat(names_of(ENGINE, OWN), ", "))
end

local function plain(message)
  return better_guess((tostring(message):gsub("^bpf%.%a+: ", ""):gsub("^probe:%a+: ", "")))
end

---Ends a form with what is wrong, the probe's name first.
---@param query bpfnet.short.Query
---@param format string
function ask.fail(query, format, ...)
  error(("%s: %s"):format(query.name, format:format(...)), 0)
end

local function unquoted(query, name)
  ask.fail(query, 'there is no variable "%s"\nhint: text stands in quotes: "%s"', name, name)
end

---Checks that there are not too many arguments, and that the last one is something: an unquoted name is nil.
---@param query bpfnet.short.Query
---@param most integer how many are taken
---@param ... any the arguments
function ask.arguments(query, most, ...)
  local n = select("#", ...)
  if n > most then
    ask.fail(query, "expected at most %d argument%s, got %d\nhint: options stand in the braces, as in "
      .. "%s{ duration = 60 }", most, most == 1 and "" or "s", n, query.name)
  end
  if n == 0 or select(n, ...) ~= nil then
    return
  end
  local name = nothing.as_argument()
  if name then
    unquoted(query, name)
  end
  ask.fail(query, 'the last argument is nil\nhint: text stands in quotes, as in count("comm daddr")')
end

---Calls f(...) of the engine, whose errors name the function that was called: here that is not the user's.
---@param f function
---@return any
function ask.engine(f, ...)
  local ok, result = pcall(f, ...)
  if not ok then
    error(plain(result), 0)
  end
  return result
end

-- { pid == 1 } is compared by Lua, before we are asked.
local function hint_of(value)
  return type(value) == "boolean" and '\nhint: a filter has one "=", as in { pid = 1 }; a condition stands in quotes, '
    .. 'as in { "pid == 1" }' or ""
end

---Checks the value of an option of the short forms.
---@param query bpfnet.short.Query
---@param name string
---@param value any
---@return any value
function ask.check(query, name, value)
  local kind, expected, min = table.unpack(OWN[name])
  local ok = type(value) == kind or kind == "integer" and math.type(value) == "integer"
  if not ok or min and not (value >= min and value < 1e9) then
    ask.fail(query, "%s: expected %s, got %s%s", name, expected, type(value) == "string" and ('"%s"'):format(value)
      or type(value) == "table" and "a table" or tostring(value), name == "where" and hint_of(value) or "")
  end
  return value
end

---Joins conditions. Only those with an `or` get parentheses, so that messages are about what users wrote.
---@param conditions string[]
---@return string? where nil: none
function ask.conjunction(conditions)
  if #conditions <= 1 then
    return conditions[1]
  end
  local parts = {}
  for i, condition in ipairs(conditions) do
    local has_or = condition:find("%f[%w_]or%f[^%w_]") or condition:find("||", 1, true)
    parts[i] = has_or and ("(%s)"):format(condition) or condition
  end
  return table.concat(parts, " and ")
end

---@param from table
---@param more table whose members win
---@return table
function ask.both(from, more)
  local to = {}
  for _, t in ipairs({ from, more }) do
    for key, value in pairs(t) do
      to[key] = value
    end
  end
  return to
end

local warned = {} -- each name once

---Says so where a pod, or all of a namespace or container, is not there: it may come, or be misspelt.
---@param filter bpf.Filter
function ask.warn_absent(filter)
  for _, word in ipairs({ "pod", "namespace", "container" }) do
    local names = filter[word]
    for _, name in ipairs(type(names) == "table" and names or { names }) do
      local pod = type(name) == "string" and not warned[word .. name] and require("bpfnet.pod")
      local absent = pod and (word == "pod" and pod.absent(name) or word ~= "pod" and pod.none(word, name))
      if absent then
        warned[word .. name] = true
        bpf.log("warn", "%s", absent)
      end
    end
  end
end

---Checks the table of options behind what is counted: count("comm", "daddr") is meant as count("comm daddr").
---@param query bpfnet.short.Query
---@param opts any
function ask.options(query, opts)
  if type(opts) ~= "table" then
    ask.fail(query, 'expected options like { every = 5 } at the end, got %s\nhint: names of fields are one text, '
      .. 'as in "comm daddr"', type(opts) == "string" and ('"%s"'):format(opts) or type(opts))
  end
end

---From what a user writes in braces to filters, options and conditions. Filters are left for the engine to check.
---@param query bpfnet.short.Query
---@param asked table|string a text is a condition
---@return { filter: table, engine: table, own: table, where: string[] }
function ask.sort_out(query, asked)
  if type(asked) == "string" then
    asked = { asked }
  elseif type(asked) ~= "table" then
    ask.fail(query, 'expected options like { dport = 443, "error != nil" }, got %s%s', type(asked), hint_of(asked))
  end
  local name = nothing.in_braces()
  if name then
    unquoted(query, name)
  end
  local more = { filter = {}, engine = {}, own = {}, where = {} }
  for key, value in pairs(asked) do
    if math.type(key) == "integer" then
      more.where[#more.where + 1] = ask.check(query, "where", value)
    elseif key == "where" then
      table.insert(more.where, 1, ask.check(query, "where", value))
    elseif OWN[key] then
      more.own[key] = ask.check(query, key, value)
    elseif key == "filter" and type(value) == "table" then
      more.filter = ask.both(more.filter, value)
    elseif ENGINE[key] then
      more.engine[key] = value
    else
      more.filter[key] = value
    end
  end
  return more
end

---Names of fields, as "comm daddr" or a list.
---@param query bpfnet.short.Query
---@param what string whose argument it is
---@param list? string|string[]
---@param needed? boolean there must be one
---@return string[]
function ask.names(query, what, list, needed)
  if type(list) == "string" then
    local names = {}
    for name in list:gmatch("[^%s,]+") do
      names[#names + 1] = name
    end
    list = names
  elseif list == nil and not needed then
    return {}
  end
  if type(list) ~= "table" or needed and #list == 0 then
    ask.fail(query, '%s: expected names of fields, like "comm daddr", got %s', what, type(list))
  end
  return list
end

---Checks that something may be a field's name; whether it is one only the probe knows.
---@param query bpfnet.short.Query
---@param name any
---@return string name
function ask.field(query, name)
  return type(name) == "string" and name:find("^[%a_][%w_]*$") and name or ask.fail(query,
    'expected the name of a field, got %s', type(name) == "string" and ('"%s"'):format(name) or type(name))
end

return ask
