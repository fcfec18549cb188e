-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A reader of annotations (LuaCATS) that is as strict as a language server ought to be: what it can't parse,
-- and names of types that nobody defines, are told. lua-language-server itself is in no package of Debian's.

local luacats = {}

local BUILT_IN = {}
for name in ([[nil any boolean string number integer function table thread userdata lightuserdata unknown self
  true false]]):gmatch("%S+") do BUILT_IN[name] = true end

-- A text and where reading has got to; what is read moves it on.
local Reader = {}
Reader.__index = Reader

function Reader:accept(pattern)
  local from, to, word = self.text:find("^%s*(" .. pattern .. ")", self.at)
  if not from then return nil end
  self.at = to + 1
  return word
end

function Reader:expect(pattern, what)
  return self:accept(pattern) or error(("%s expected at %q"):format(what, self.text:sub(self.at)), 0)
end

function Reader:members(close, one)
  while not self:accept(close) do
    one(self)
    if not self:accept("[,;]") then return self:expect(close, close) end
  end
end

function Reader:fun()
  self:expect("%(", "(")
  self:members("%)", function()
    if not self:accept("%.%.%.") then self:expect("[%a_][%w_]*%??", "parameter") end
    if self:accept(":") then self:union() end
  end)
  if not self:accept(":") then return end
  repeat self:union() until not self:accept(",")
end

function Reader:table()
  self:members("}", function()
    if self:accept("%[") then
      self:union()
      self:expect("%]", "]")
    else
      self:expect("[%a_][%w_]*%??", "member")
    end
    self:expect(":", ":")
    self:union()
  end)
end

function Reader:primary()
  if self:accept("%(") then
    self:union()
    return self:expect("%)", ")")
  elseif self:accept("{") then
    return self:table()
  elseif self:accept('"[^"]*"') or self:accept("'[^']*'") or self:accept("%-?%d+") or self:accept("%.%.%.") then
    return
  elseif self:accept("fun%f[%(]") then
    return self:fun()
  end
  local name = self:expect("[%a_][%w_.]*", "type")
  self.uses[#self.uses + 1] = name
  if self:accept("<") then
    repeat self:union() until not self:accept(",")
    self:expect(">", ">")
  end
end

function Reader:union()
  repeat
    self:primary()
    while self:accept("%[%]") or self:accept("%?") do end
  until not self:accept("|")
end

local TAGS = {}

function TAGS.class(r, found)
  found.class = r:expect("[%a_][%w_.]*", "name of a class")
  found.defined[found.class], found.fields[found.class] = true, found.fields[found.class] or {}
  if not r:accept(":") then return end
  repeat r:union() until not r:accept(",")
end

function TAGS.field(r, found)
  if not found.class then error("a field without a class", 0) end
  r:accept("private%s")
  if r:accept("%[") then
    r:union()
    r:expect("%]", "]")
  else
    local name = r:expect("[%a_][%w_]*", "name of a field")
    if found.fields[found.class][name] then error("field " .. name .. " is there twice", 0) end
    found.fields[found.class][name] = true
    r:accept("%?")
  end
  r:union()
end

function TAGS.param(r, found)
  found.params[#found.params + 1] = r:accept("%.%.%.") or r:expect("[%a_][%w_]*", "parameter")
  r:accept("%?")
  r:union()
end

TAGS["return"] = function(r) r:union() end

function TAGS.overload(r)
  r:expect("fun%f[%(]", "fun")
  r:fun()
end

function TAGS.alias(r, found)
  found.defined[r:expect("[%a_][%w_.]*", "name of an alias")] = true
  if r:accept("%S") then
    r.at = r.at - 1
    r:union()
  end
end

-- A name that stands for a type; strictly it does so up to the function only.
function TAGS.generic(r, found)
  repeat
    found.defined[r:expect("%u[%w_]*", "name")] = true
    if r:accept(":") then r:union() end
  until not r:accept(",")
end

function TAGS.type(r) r:union() end
function TAGS.meta() end

-- The parameters that are documented are those that the function has, in their order; "..." may be left out.
local function check_params(found, name, args)
  local list = {}
  for arg in args:gmatch("[%w_.]+") do list[#list + 1] = arg end
  if list[#list] == "..." and found.params[#found.params] ~= "..." then list[#list] = nil end
  if #found.params > 0 and table.concat(found.params, ",") ~= table.concat(list, ",") then
    error(("%s has the parameters %s, documented are %s"):format(name, table.concat(list, ","),
      table.concat(found.params, ",")), 0)
  end
  found.functions[name] = true
end

local function read_line(found, line)
  local tag, rest = line:match("^%-%-%-@(%a+)%s*(.*)$")
  if tag then
    local reader = setmetatable({ text = rest, at = 1, uses = found.uses }, Reader)
    return (TAGS[tag] or error("unknown tag @" .. tag, 0))(reader, found)
  elseif line:find("^%-%-%-|") then
    return setmetatable({ text = line:sub(5), at = 1, uses = found.uses }, Reader):union()
  elseif line:find("^%-%-%-") then
    return
  end
  local name, args = line:match("^function%s+([%w_.:]+)%s*%((.-)%)")
  if not name then name, args = line:match("^local function%s+([%w_]+)%s*%((.-)%)") end
  if name then check_params(found, name, args) end
  found.params, found.class = {}, nil
end

---Reads annotations of many files.
---@param texts table<string, string> by the files' names
---@return string[] wrong "file:line: what", sorted
---@return table found { defined = set of types, fields = sets of names by class, functions = set of names }
function luacats.read(texts)
  local wrong, found = {}, { defined = {}, fields = {}, functions = {}, params = {} }
  local used = {}
  for file, text in pairs(texts) do
    local n = 0
    for line in (text .. "\n"):gmatch("([^\n]*)\n") do
      n, found.uses = n + 1, {}
      local ok, why = pcall(read_line, found, line)
      if not ok then wrong[#wrong + 1] = ("%s:%d: %s"):format(file, n, why) end
      for _, name in ipairs(found.uses) do used[#used + 1] = { name, ("%s:%d"):format(file, n) } end
    end
  end
  for _, use in ipairs(used) do
    if not BUILT_IN[use[1]] and not found.defined[use[1]] then
      wrong[#wrong + 1] = ("%s: nothing defines the type %s"):format(use[2], use[1])
    end
  end
  table.sort(wrong)
  return wrong, found
end

return luacats
