-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The part of a line before the cursor as tokens, whatever it is: for complete.lua. Nothing is an error.

local lex = {}

---@class bpfnet.lex.Token
---@field kind "name"|"string"|"number"|"sign"|"comment"
---@field text string of a string its content as written
---@field at integer byte where it begins, of a string its content
---@field open? boolean the text ends inside it
---@field opener? bpfnet.lex.Token the bracket around it
---@field before? bpfnet.lex.Token the token before it

local OPENERS = { ["("] = true, ["["] = true, ["{"] = true }
local CLOSERS = { [")"] = true, ["]"] = true, ["}"] = true }

-- Where the string that begins at `at` with `quote` ends: its last content byte, where to go on, or not at all.
local function short_string(text, at, quote)
  local i = at + 1
  while i <= #text do
    local byte = text:sub(i, i)
    if byte == "\\" then
      i = i + 1
    elseif byte == quote or byte == "\n" then
      return i - 1, i + 1
    end
    i = i + 1
  end
  return #text, nil
end

local function long_bracket(text, at)
  local level, start = text:match("^%[(=*)%[()", at)
  if not level then
    return nil
  end
  local first, last = text:find("]" .. level .. "]", start, true)
  return start, first and first - 1 or #text, first and last + 1 or nil
end

-- Kind, where the content begins and ends, and where to go on; nil for the end of the text inside it.
local function next_token(text, at)
  local byte = text:sub(at, at)
  if text:find("^%-%-", at) then
    local start, last, on = long_bracket(text, at + 2)
    if start then
      return "comment", start, last, on
    end
    local eol = text:find("\n", at, true)
    return "comment", at + 2, (eol or #text + 1) - 1, eol and eol + 1
  elseif byte == '"' or byte == "'" then
    local last, on = short_string(text, at, byte)
    return "string", at + 1, last, on
  end
  local start, last, on = long_bracket(text, at)
  if start then
    return "string", start, last, on
  end
  local _, name_end = text:find("^[%a_][%w_]*", at)
  if name_end then
    return "name", at, name_end, name_end + 1
  end
  _, name_end = text:find("^%.?%d[%w.]*", at)
  if name_end then
    return "number", at, name_end, name_end + 1
  end
  _, name_end = text:find("^%.%.%.?", at)
  if not name_end then
    _, name_end = text:find("^[:=~<>]=?:?", at)
  end
  return "sign", at, name_end or at, (name_end or at) + 1
end

---Returns the tokens of a text, and the bracket that is open at its end.
---@param text string
---@return bpfnet.lex.Token[]
---@return bpfnet.lex.Token? opener
function lex.tokens(text)
  local tokens, stack, at = {}, {}, 1
  while true do
    at = text:find("[^ \t\r\n\f\v]", at)
    if not at then
      break
    end
    local kind, first, last, on = next_token(text, at)
    local token = { kind = kind, text = text:sub(first, last), at = first, opener = stack[#stack], open = not on,
      before = tokens[#tokens] }
    if kind ~= "comment" or token.open then
      tokens[#tokens + 1] = token
    end
    if kind == "sign" and OPENERS[token.text] then
      stack[#stack + 1] = token
    elseif kind == "sign" and CLOSERS[token.text] then
      token.opener = table.remove(stack) -- its own opener
    end
    if not on then
      break
    end
    at = on
  end
  return tokens, stack[#stack]
end

return lex
