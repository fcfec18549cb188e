-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The part of YAML that kubeconfigs are written in: block mappings and lists, plain and quoted scalars, JSON
-- in their place, comments. All else is refused with its line, never read as something that it isn't.
--
--   local config, message = yaml.decode(text)

local cjson = require("cjson")

local yaml = {}

local function refuse(line, ...)
  error({ message = ("line %d: "):format(line.number) .. string.format(...) })
end

-- Without the comment behind it. A # inside of quotes or of a word is none.
local function uncomment(text)
  local quote
  for at = 1, #text do
    local c = text:sub(at, at)
    local before = at == 1 and " " or text:sub(at - 1, at - 1)
    if quote then
      quote = c ~= quote and quote or nil
    elseif (c == '"' or c == "'") and before:find("[%s:,%[{-]") then
      quote = c
    elseif c == "#" and before:find("%s") then
      return text:sub(1, at - 1)
    end
  end
  return text
end

local function read_lines(text)
  local lines, number = {}, 0
  for raw in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    local spaces, rest = uncomment(raw):match("^( *)(.-)%s*$")
    local line = { number = number, indent = #spaces, text = rest }
    if rest:find("^\t") then
      refuse(line, "a tab at its start, expected blanks")
    elseif rest == "---" and #lines > 0 then
      refuse(line, "a second document, expected one")
    elseif rest ~= "" and rest ~= "---" and rest ~= "..." then
      lines[#lines + 1] = line
    end
  end
  return lines
end

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", n = "\n", t = "\t", r = "\r" }

local function unquote(line, text)
  local inside, rest = text:match("^'(.*)'(.*)$")
  if text:sub(1, 1) == "'" then
    if not inside or rest ~= "" or inside:gsub("''", ""):find("'") then
      refuse(line, "a quoted text that does not end where the line does")
    end
    return (inside:gsub("''", "'"))
  end
  inside = text:match('^"(.*)"$')
  if not inside or inside:gsub("\\.", ""):find('"') or inside:find("\\$") and not inside:find("\\\\$") then
    refuse(line, "a quoted text that does not end where the line does")
  end
  return (inside:gsub("\\(.)", function(c)
    return ESCAPES[c] or refuse(line, "\\%s in a quoted text, which is not read here", c)
  end))
end

local NAMES = { ["&"] = "an anchor", ["*"] = "an alias", ["!"] = "a tag", ["|"] = "a text of several lines",
  [">"] = "a text of several lines", ["%"] = "a directive", ["@"] = "a reserved sign", ["`"] = "a reserved sign" }

local WORDS = { ["true"] = true, ["false"] = false, ["null"] = cjson.null, ["~"] = cjson.null }

local function scalar(line, text)
  local first = text:sub(1, 1)
  if NAMES[first] then
    refuse(line, "%s (%s), which is not read here: block mappings, lists and plain values are", NAMES[first],
      first)
  elseif first == "'" or first == '"' then
    return unquote(line, text)
  elseif first == "{" or first == "[" then
    local ok, value = pcall(cjson.decode, text)
    if not ok then
      refuse(line, "%s...%s that is not JSON, which is all that is read here", first, first == "{" and "}" or "]")
    end
    return value
  elseif text:find(": ") or text:find(":$") then
    refuse(line, "a ':' in a plain value: quotes are missing")
  end
  if WORDS[text] ~= nil then
    return WORDS[text]
  end
  return text
end

-- "key: value", "key:" and quoted keys. nil: it is none of them.
local function split(text)
  local key, rest = text:match("^([^%s'\"{%[&*!|>%%@`#-][^:]*):%s+(.*)$")
  key = key or text:match("^([^%s'\"{%[&*!|>%%@`#-][^:]*):$")
  if not key then
    key, rest = text:match("^[\"']([^\"'\\]*)[\"']:%s*(.*)$")
  end
  return key, rest ~= "" and rest or nil
end

local function is_item(line)
  return line.text == "-" or line.text:find("^%- ") ~= nil
end

local block

-- What stands below a key or a dash without a value: nothing is null.
local function below(lines, at, indent, list_too)
  local line = lines[at]
  if line and (line.indent > indent or list_too and line.indent == indent and is_item(line)) then
    return block(lines, at, line.indent)
  end
  return cjson.null, at
end

local function read_list(lines, at, indent)
  local list = {}
  while lines[at] and lines[at].indent == indent and is_item(lines[at]) do
    local line = lines[at]
    local gap, rest = line.text:match("^%-(%s*)(.*)$")
    local value
    if rest == "" then
      value, at = below(lines, at + 1, indent)
    elseif split(rest) or rest:find("^%- ") then
      -- what is behind the dash begins a block of its own
      lines[at] = { number = line.number, indent = indent + 1 + #gap, text = rest }
      value, at = block(lines, at, indent + 1 + #gap)
    else
      value, at = scalar(line, rest), at + 1
    end
    list[#list + 1] = value
  end
  return list, at
end

local function read_mapping(lines, at, indent)
  local mapping = {}
  while lines[at] and lines[at].indent == indent and not is_item(lines[at]) do
    local line = lines[at]
    local key, rest = split(line.text)
    if not key then
      refuse(line, "expected 'key: value', got '%s'", line.text:sub(1, 40))
    elseif mapping[key] ~= nil then
      refuse(line, "'%s' a second time", key)
    elseif rest then
      mapping[key], at = scalar(line, rest), at + 1
    else
      mapping[key], at = below(lines, at + 1, indent, true)
    end
  end
  return mapping, at
end

block = function(lines, at, indent)
  local read = is_item(lines[at]) and read_list or read_mapping
  local value, after = read(lines, at, indent)
  if lines[after] and lines[after].indent > indent then
    refuse(lines[after], "more indented than what it belongs to")
  end
  return value, after
end

local function decode(text)
  local lines = read_lines(text)
  if not lines[1] then
    return {}
  end
  local value, after = block(lines, 1, lines[1].indent)
  if lines[after] then
    refuse(lines[after], "less indented than the first line, or a list in a mapping")
  end
  return value
end

---Reads a document. Numbers stay texts; null is cjson.null.
---@param text string YAML as above, or JSON
---@return table? document
---@return string? error with the line
function yaml.decode(text)
  if text:find("^%s*{") then
    local ok, value = pcall(cjson.decode, text)
    if ok then
      return value
    end
    return nil, (value:gsub("^.-:%d+: ", ""))
  end
  local ok, value = pcall(decode, text)
  if ok then
    return value
  elseif type(value) ~= "table" then
    error(value, 0)
  end
  return nil, value.message
end

return yaml
