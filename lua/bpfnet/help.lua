-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- help() at the prompt: of a probe, a function, a module, a script or a subject. What it says of functions and
-- options are the comments of _meta*.lua and of the modules, of probes what `bpfnet probes NAME` says.
--
--   print(require("bpfnet.help").text("bpf.attach"))

local embedded = require("bpfnet.embedded")
local meta = require("bpfnet.help_meta")
local nearest = require("bpfnet.nearest")
local probes = require("bpfnet.probes")
local texts = require("bpfnet.pretty_text")
local things = require("bpfnet.pretty_things")
local topics = require("bpfnet.help_topics")

local help = {}

local sources = {}

-- What is written about a module, nil if it is none of ours.
local function source_of(name)
  if sources[name] == nil then
    local text = embedded.source(name)
    sources[name] = text and meta.read(text) or false
  end
  return sources[name] or nil
end

-- All annotations of what is written in C.
local function annotations()
  local list = {}
  for _, name in ipairs(embedded.modules()) do
    if name:find("^bpfnet%._meta") then
      list[#list + 1] = source_of(name)
    end
  end
  return list
end

-- The function of that name: "bpf.attach", "Probe:filter"; "attach", which is bpf's before others'.
local function find_function(name)
  local short
  for _, source in ipairs(annotations()) do
    for _, f in ipairs(source.functions) do
      if f.name == name then
        return f
      elseif f.name:match("[^.:]*$") == name and (not short or f.name == "bpf." .. name) then
        short = f
      end
    end
  end
  return short
end

local function find_class(name)
  for _, source in ipairs(annotations()) do
    for _, class in ipairs(source.classes) do
      if class.name == name then
        return class
      end
    end
  end
end

-- "bpf.attach(name [, opts] [, on_event])"
local function signature(f)
  local text = ""
  for i, name in ipairs(f.args) do
    local param = f.params[name]
    local comma = i > 1 and ", " or ""
    text = text .. (param and param.optional and (" [%s%s]"):format(comma, name) or comma .. name)
  end
  local returns = {}
  for i, value in ipairs(f.returns) do
    returns[i] = value.type
  end
  return ("%s(%s)%s"):format(f.name, text:gsub("^ ", ""), #returns > 0 and " -> " .. table.concat(returns, ", ") or "")
end

-- Words in lines of `width` columns, all but the first indented.
local function wrapped(text, width, indent)
  local lines, line = {}, ""
  for word in text:gmatch("%S+") do
    if line ~= "" and texts.width(line) + 1 + texts.width(word) > width - #indent then
      lines[#lines + 1] = line
      line = word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. indent)
end

local function rows(list, width)
  local lines, names = {}, 0
  for _, row in ipairs(list) do
    names = math.max(names, #row[1])
  end
  for i, row in ipairs(list) do
    local indent = (" "):rep(names + 4)
    local line = ("  %s%s  %s"):format(row[1], (" "):rep(names - #row[1]), wrapped(row[2], width, indent))
    lines[i] = line:match("^(.-) *$")
  end
  return table.concat(lines, "\n")
end

local function class_text(class, width)
  local list = {}
  for i, field in ipairs(class.fields) do
    list[i] = { field.name, field.doc ~= "" and field.doc or field.type }
  end
  return rows(list, width)
end

-- What a function does: its own comment, or that of what it returns.
local function doc_of(f)
  local class = f.doc == "" and f.returns[1] and find_class(f.returns[1].type)
  return class and class.doc or f.doc
end

-- The members of what a function takes or returns.
local function members_text(f, width)
  local kinds, parts = {}, {}
  for _, name in ipairs(f.args) do
    kinds[#kinds + 1] = f.params[name] and f.params[name].type
  end
  kinds[#kinds + 1] = f.returns[1] and f.returns[1].type
  for _, kind in ipairs(kinds) do
    local class = find_class((kind:gsub("[?%[%]]", "")))
    if class and not class.variable and #class.fields > 0 then
      parts[#parts + 1] = ("%s:\n%s"):format(kind, class_text(class, width))
    end
  end
  return #parts > 0 and table.concat(parts, "\n") or nil
end

local function function_text(f, width)
  local parts, list, doc = { signature(f) }, {}, doc_of(f)
  parts[2] = doc ~= "" and wrapped(doc, width, "") or nil
  for _, name in ipairs(f.args) do
    local param = f.params[name]
    if param then
      list[#list + 1] = { name, param.type .. (param.doc ~= "" and ": " .. param.doc or "") }
    end
  end
  for _, value in ipairs(f.returns) do
    list[#list + 1] = value.doc ~= "" and value.doc ~= "self" and { "->", value.doc } or nil
  end
  if #list > 0 then
    parts[#parts + 1] = rows(list, width)
  end
  parts[#parts + 1] = members_text(f, width)
  local example = topics.EXAMPLES[f.name]
  parts[#parts + 1] = example and "example:  " .. example or nil
  return table.concat(parts, "\n")
end

local function page_text(page, width)
  local class = page.class and find_class(page.class)
  return page.text .. (class and "\n\n" .. class_text(class, width) or "")
end

-- A line for each function: its first sentence.
local function list_text(functions, width)
  local list = {}
  for i, f in ipairs(functions) do
    local doc = doc_of(f)
    list[i] = { signature(f):gsub(" %->.*", ""), (doc:match("^(.-%.)%s") or doc):gsub("\n", " ") }
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local text = {}
  for i, row in ipairs(list) do
    text[i] = ("  %s\n      %s"):format(row[1], wrapped(row[2], width, "      "))
  end
  return table.concat(text, "\n")
end

-- The functions of a class, or of bpf, that the annotations have.
local function functions_of(prefix)
  local list = {}
  for _, source in ipairs(annotations()) do
    for _, f in ipairs(source.functions) do
      list[#list + 1] = f.name:sub(1, #prefix) == prefix and f or nil
    end
  end
  return list
end

local function methods_text(prefix, title, width)
  local list = functions_of(prefix)
  return #list > 0 and ("%s\n%s\n\nhelp(\"%s\") says more."):format(title, list_text(list, width), list[1].name) or nil
end

local function module_text(name, width)
  local source = source_of(name)
  if not source then
    return nil
  end
  return ("%s\n\n%s%s"):format(name, source.doc, #source.functions > 0 and "\n\n" .. list_text(source.functions, width)
    or "")
end

-- Of a script its usage, which is the comment it begins with.
local function script_text(name)
  local text = not name:find(".", 1, true) and embedded.source(name)
  return text and meta.read(text).doc or nil
end

local function probe_text(name)
  local info = bpf.probes({ name = name })[1]
  return info and probes.text(info) or nil
end

local function probes_text()
  local list = {}
  for i, info in ipairs(bpf.probes({ try = false })) do
    list[i] = { info.name, info.doc or info.why or "" }
  end
  return "p = bpf.attach(NAME [, options] [, on_event])\n" .. rows(list, 1000)
    .. "\n\nhelp(NAME) shows fields, filters and what works here."
end

local CLASSES = { probe = "Probe:", timer = "Timer:", redirect_ = "Redirect:", map = "Map:", request = "Request:" }

-- Of a name, or nil.
local function by_name(name, width)
  local page = topics.PAGES[topics.ALSO[name] or name]
  if page then
    return page_text(page, width)
  elseif name == "probes" then
    return probes_text()
  elseif name == "bpf" or name == "bpfnet" then
    return methods_text("bpf.", "The module bpfnet, also the global bpf:", width)
  elseif CLASSES[name:lower()] then
    return methods_text(CLASSES[name:lower()], ("Methods of a %s:"):format(name:lower()), width)
  end
  local text = probe_text(name) or name:find(".", 1, true) and module_text(name, width) or script_text(name)
  if text then
    return text
  end
  local f = find_function(name) or find_function((name:gsub("^%l[%w_]*:", "Probe:")))
  return f and function_text(f, width) or module_text("bpfnet." .. name, width)
end

local OPTIONS = { "bpf.Opts", "bpf.Filter", "bpf.AggregateOpts", "bpf.Stats" }

-- An option that has no page of its own.
local function option_text(name, width)
  for _, class_name in ipairs(OPTIONS) do
    local class = find_class(class_name)
    for _, field in ipairs(class and class.fields or {}) do
      if field.name == name then
        return ("%s: of %s\n%s"):format(name, class_name, rows({ { field.type, field.doc } }, width))
      end
    end
  end
end

---Returns the names that help() knows, beside those of the probes.
---@return string[]
function help.topics()
  local list = { "probes", "bpf", "probe", "timer", "map" }
  for name in pairs(topics.PAGES) do
    list[#list + 1] = name
  end
  for _, name in ipairs(embedded.scripts()) do
    list[#list + 1] = name
  end
  for _, name in ipairs(embedded.modules()) do
    list[#list + 1] = not name:find("%._meta") and name or nil
  end
  for _, f in ipairs(functions_of("")) do
    list[#list + 1] = f.name
  end
  return list
end

local function unknown(name)
  local names, known = help.topics(), {}
  for _, info in ipairs(bpf.probes({ try = false })) do
    names[#names + 1] = info.name
  end
  for _, word in ipairs(names) do
    known[#known + 1] = word
    known[#known + 1] = word:match("[.:]([%w_]+)$")
  end
  local near = nearest(name, known)
  return ("nothing is called \"%s\"%s"):format(texts.cut(texts.harmless(name), 60),
    near and (", did you mean help(\"%s\")?"):format(near) or "; help() says what there is")
end

-- The name of a function of the engine's.
local function name_of(f)
  for name, value in pairs(bpf) do
    if value == f then
      return "bpf." .. name
    end
  end
  for _, class in ipairs({ "Probe", "Timer", "Map", "Redirect", "Request" }) do
    local registered = debug.getregistry()["bpf." .. class]
    for name, value in pairs(registered and registered.methods or {}) do
      if value == f then
        return class .. ":" .. name
      end
    end
  end
end

local function module_name_of(t)
  for name, value in pairs(package.loaded) do
    if value == t and name:find("^bpfnet") then
      return name
    end
  end
end

-- A function of one of our modules: out.bytes.
local function module_function(f)
  for module, t in pairs(package.loaded) do
    local source = module:find("^bpfnet%.") and type(t) == "table" and source_of(module)
    for _, known in ipairs(source and source.functions or {}) do
      if rawget(t, known.name:match("[^.:]*$")) == f then
        return known
      end
    end
  end
end

local function of_function(f, width)
  local name = name_of(f)
  local known = name and find_function(name) or module_function(f)
  return known and function_text(known, width) or things.function_line(f)
end

local function of_object(value, width)
  local class = things.class(value)
  local parts = { things.line(value) }
  if class == "Probe" and value.state ~= "closed" then
    parts[#parts + 1] = methods_text("Probe:", "Its methods:", width)
    parts[#parts + 1] = probe_text(value.name)
  else
    parts[#parts + 1] = class and methods_text(class .. ":", "Its methods:", width)
  end
  return table.concat(parts, "\n\n")
end

---Returns the help about something.
---@param about any nil: the first page; a name; a function, probe, module or other value
---@param opts? { width?: integer } default 80
---@return string
function help.text(about, opts)
  local width = opts and opts.width or 80
  if about == nil then
    return ("bpfnet %s: %s\n\n%s"):format(bpf.version, "probes of the network, at a prompt", topics.MAIN)
  elseif type(about) == "string" then
    return by_name(about, width) or option_text(about, width) or unknown(about)
  elseif type(about) == "function" then
    return of_function(about, width)
  elseif about == bpf then
    return by_name("bpf", width)
  elseif type(about) == "table" and module_name_of(about) then
    return module_text(module_name_of(about), width) or "?"
  end
  local probe = require("bpfnet.pretty_event").probe_of(about)
  return probe and probe_text(probe) or type(about) == "userdata" and of_object(about, width)
    or ("there is no help about a %s; help() says what there is"):format(type(about))
end

return help
