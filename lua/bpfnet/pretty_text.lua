-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What pretty.lua and its parts write with: quoted texts, the width of coloured ones, colours.

local out = require("bpfnet.out")

local texts = {}

local COLOURS = {
  key = "\27[36m", string = "\27[32m", number = "\27[33m", dim = "\27[2m", error = "\27[31m",
  title = "\27[1m", hint = "\27[33m",
}
local RESET = "\27[0m"

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ["\0"] = "\\0", ['"'] = '\\"', ["\\"] = "\\\\" }

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return "
  .. "then true until while"):gmatch("%a+") do
  KEYWORDS[word] = true
end

---Returns what paints a text, which is nothing where no colour is wanted.
---@param colour? boolean
---@return fun(kind: string, text: string): string
function texts.painter(colour)
  return function(kind, text)
    return colour and text ~= "" and COLOURS[kind] .. text .. RESET or text
  end
end

---Returns the columns that a text takes on a terminal; colours take none.
---@param text string
---@return integer
function texts.width(text)
  if text:find("\27", 1, true) then
    text = text:gsub("\27%[[%d;]*m", "")
  end
  return utf8.len(text) or #text
end

-- Bytes of the first `columns` characters, colours along with them.
local function prefix(text, columns)
  local at, n = 1, 0
  while at <= #text do
    local _, colour = text:find("^\27%[[%d;]*m", at)
    if colour then
      at = colour + 1
    elseif n == columns then
      break
    else
      n = n + 1
      at = at + #(text:match("^[%z\1-\127\192-\255][\128-\191]*", at) or "?")
    end
  end
  return text:sub(1, at - 1)
end

---Cuts a text that is wider than `columns`, with "..." at its end.
---@param text string
---@param columns integer
---@return string
function texts.cut(text, columns)
  if texts.width(text) <= columns then
    return text
  end
  local reset = text:find("\27", 1, true) and RESET or ""
  return prefix(text, math.max(columns - 3, 0)) .. reset .. ("..."):sub(1, math.max(columns, 0))
end

local function escape(byte)
  return ESCAPES[byte] or ("\\x%02x"):format(byte:byte())
end

---Returns a text in quotes as Lua would read it, with control characters and what is no UTF-8 escaped.
---@param text string
---@param max? integer bytes that are shown; then "..." and how many there are
---@return string
function texts.quote(text, max)
  local shown = max and #text > max and text:sub(1, max) or text
  while #shown < #text and not utf8.len(shown) and #shown > max - 3 do
    shown = shown:sub(1, -2) -- not half of a character
  end
  local quoted = shown:gsub('[%c"\\\127]', escape)
  if utf8.len(shown) then
    quoted = quoted:gsub("\xc2[\x80-\x9f]", function(pair) return pair:gsub(".", escape) end)
  else
    quoted = quoted:gsub("[\x80-\xff]", escape)
  end
  return '"' .. quoted .. '"' .. (#shown < #text and ("... (%d bytes)"):format(#text) or "")
end

---Returns a text without what would act on the terminal.
---@type fun(text: string): string
texts.harmless = out.harmless

---Returns whether a text can stand in t.NAME.
---@param text string
---@return boolean
function texts.is_name(text)
  return text:find("^[%a_][%w_]*$") ~= nil and not KEYWORDS[text]
end

---Returns any value as a short text, without running code of anybody.
---@param value any
---@return string
function texts.plain(value)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "number" then
    return tostring(value)
  elseif kind == "nil" or kind == "boolean" then
    return tostring(value)
  end
  return ("%s: %p"):format(kind, value)
end

---Returns columns of texts as lines, titles first.
---@param columns { title: string, width: integer, right: boolean, [integer]: string }[]
---@param rows integer
---@param paint fun(kind: string, text: string): string
---@return string[]
function texts.columns(columns, rows, paint)
  local lines = {}
  for r = 0, rows do
    local parts = {}
    for i, column in ipairs(columns) do
      local text = r == 0 and column.title or column[r]
      local gap = (" "):rep(column.width - texts.width(text))
      parts[i] = column.right and gap .. text or text .. gap
    end
    local line = table.concat(parts, "  "):match("^(.-) *$")
    lines[r + 1] = r == 0 and paint("title", line) or line
  end
  return lines
end

return texts
