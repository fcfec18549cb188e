-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Reads the comments of a Lua source as LuaCATS has them: what help() says of functions and options has one
-- source, which is _meta*.lua and the modules themselves.

local help_meta = {}

---@class bpfnet.help.Param
---@field name string
---@field type string
---@field optional boolean
---@field doc string

---@class bpfnet.help.Function
---@field name string as written: "bpf.attach", "Probe:filter"
---@field args string[]
---@field doc string
---@field params table<string, bpfnet.help.Param>
---@field returns { type: string, doc: string }[]

---@class bpfnet.help.Class
---@field name string "bpf.Opts"
---@field variable? string by which functions of the class are named: "Probe"
---@field doc string
---@field fields bpfnet.help.Param[]

---@class bpfnet.help.Source
---@field doc string the comment that it begins with
---@field functions bpfnet.help.Function[]
---@field classes bpfnet.help.Class[]

local OPEN = { ["("] = 1, ["{"] = 1, ["<"] = 1, ["["] = 1, [")"] = -1, ["}"] = -1, [">"] = -1, ["]"] = -1 }

-- A type and the text after it: a type has spaces inside brackets, and around "|" and behind ":" and ",".
local function split_type(text)
  local depth, i = 0, 1
  while i <= #text do
    local byte = text:sub(i, i)
    depth = depth + (OPEN[byte] or 0)
    if byte == '"' then
      i = text:find('"', i + 1, true) or #text
    elseif byte == " " and depth <= 0 and not text:find("^[:,|] ", i - 1) and not text:find("^ |", i) then
      break
    end
    i = i + 1
  end
  return text:sub(1, i - 1), (text:sub(i + 1):gsub("^%s+", ""))
end

local function param_of(text)
  local name, mark, rest = text:match("^(%S-)(%??)%s+(.*)$")
  if not name then
    return nil
  end
  local kind, doc = split_type(rest)
  return { name = name, type = kind, optional = mark == "?", doc = doc }
end

local function return_of(text)
  local kind, rest = split_type(text)
  local name, doc = rest:match("^([%a_][%w_]*)%s*(.*)$")
  -- a word alone is the value's name, which says what it is
  return { type = kind, doc = doc and doc ~= "" and (name .. ": " .. doc) or rest }
end

-- What a block of "---" lines says.
local function block_of(lines)
  local block = { doc = {}, params = {}, returns = {}, fields = {} }
  local last
  for _, line in ipairs(lines) do
    local tag, rest = line:match("^@(%a+)%s*(.*)$")
    if not tag then
      if last and line:find("^  ") then
        last.doc = last.doc .. " " .. line:match("^%s*(.*)$")
      elseif line ~= "" then
        block.doc[#block.doc + 1] = line
      end
    elseif tag == "param" then
      last = param_of(rest)
      if last then
        block.params[last.name] = last
      end
    elseif tag == "return" then
      last = return_of(rest)
      block.returns[#block.returns + 1] = last
    elseif tag == "field" then
      last = param_of(rest:gsub("^private%s+", "\0"))
      block.fields[#block.fields + 1] = last and not last.name:find("%z") and last or nil
    elseif tag == "class" then
      block.class, last = rest:match("^([%w_.]+)"), nil
    end
  end
  block.text = table.concat(block.doc, "\n")
  return block
end

local function words(text)
  local list = {}
  for word in text:gmatch("[^,%s]+") do
    list[#list + 1] = word
  end
  return list
end

-- The comment at the beginning of a file, without signs.
local function head_of(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    local body = line:match("^%-%- ?(.*)$")
    if not body or line:find("^%-%-%-") then
      if #lines > 0 or not line:find("^%-%-%-@meta") then
        break
      end
    elseif not body:find("^SPDX") and not body:find("^luacheck:") then
      lines[#lines + 1] = body
    end
  end
  return table.concat(lines, "\n")
end

---Reads a source.
---@param text string
---@return bpfnet.help.Source
function help_meta.read(text)
  local source = { doc = head_of(text), functions = {}, classes = {} }
  local comment = {}
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    local body = line:match("^%-%-%- (%S.*)$") or line:match("^%-%-%-(.*)$")
    if body then
      comment[#comment + 1] = body
    else
      local name, args = line:match("^function%s+([%w_.:]+)%s*(%b())")
      local block = #comment > 0 and block_of(comment) or nil
      if name and block and not name:find("[.:]_") then
        source.functions[#source.functions + 1] = { name = name, args = words(args:sub(2, -2)), doc = block.text,
          params = block.params, returns = block.returns }
      elseif block and block.class then
        source.classes[#source.classes + 1] = { name = block.class, doc = block.text, fields = block.fields,
          variable = line:match("^local%s+([%w_]+)") }
      end
      comment = {}
    end
  end
  return source
end

return help_meta
