-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the word before the cursor may become. A look at tables and at what is known of the API: no code of the
-- user's is run, so no __index function is called, and whatever the line is, nothing is raised.
--
--   complete.line(names, "bpf.att", 7) -- 5, { "attach" }

local lex = require("bpfnet.complete_lex")
local known = require("bpfnet.complete_known")
local texts = require("bpfnet.pretty_text")

local complete = {}

local MAX = 200
local MAX_LOOK = 5000 -- keys of one table
local MAX_CHAIN = 8 -- __index of __index

local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
  "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" }

local function raw_meta(value)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and meta or nil
end

-- Where members of a value that it has not itself are: a table, or nil.
local function fallback(value)
  local meta = raw_meta(value)
  if not meta then
    return nil
  end
  local methods = type(value) == "userdata" and rawget(meta, "methods")
  local next_table = methods or rawget(meta, "__index")
  return type(next_table) == "table" and next_table or nil
end

---Returns the member of a value as t.NAME would, without running anybody's code.
---@param value any
---@param name string
---@return any
function complete.member(value, name)
  for _ = 1, MAX_CHAIN do
    if type(value) == "table" and rawget(value, name) ~= nil then
      return rawget(value, name)
    end
    value = fallback(value)
    if value == nil then
      return nil
    end
  end
end

---Returns the names that may follow a value and "." or ":".
---@param value any
---@param methods? boolean only what can be called
---@return string[] unsorted
function complete.members(value, methods)
  local list, seen, looked = {}, {}, 0
  local function add(name, member)
    looked = looked + 1
    if type(name) == "string" and not seen[name] and texts.is_name(name) and not name:find("^_")
      and (not methods or known.is_callable(member)) then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  for name in pairs(not methods and known.attributes(value) or {}) do
    add(name)
  end
  for _ = 1, MAX_CHAIN do
    if type(value) == "table" then
      for name, member in next, value do
        add(name, member)
        if looked > MAX_LOOK then
          return list
        end
      end
    end
    value = fallback(value)
    if value == nil then
      break
    end
  end
  return list
end

-- The names before a "." or ":" as a path, "a.b"; and for "f(…)." the path of f.
local function path_before(token)
  local names = {}
  while token do
    if token.kind == "name" then
      table.insert(names, 1, token.text)
    elseif #names == 0 and token.kind == "sign" and token.text == ")" and token.opener then
      return nil, path_before(token.opener.before)
    else
      return nil
    end
    local sign = token.before
    if not sign or sign.kind ~= "sign" or (sign.text ~= "." and sign.text ~= ":") then
      return table.concat(names, ".")
    end
    token = sign.before
  end
end

-- What a bracket belongs to: the path of the function that is called, and whether by ":".
local function callee(opener)
  local token = opener and opener.before
  if not token or token.kind ~= "name" then
    return nil
  end
  local path = path_before(token)
  local method = token.before and token.before.kind == "sign" and token.before.text == ":"
  return path, method and token.text or nil
end

-- The key that a value inside a table stands for: `fields` in {fields = {"a|.
local function key_of(token)
  local equals = token and token.before
  if equals and equals.kind == "sign" and equals.text == "=" and equals.before and equals.before.kind == "name" then
    return equals.before.text
  end
end

---@class bpfnet.complete.Place
---@field path? string the function that is called, as "bpf.attach", "p.filter"
---@field method? string its name if it is called by ":"
---@field keys string[] of the tables around, outermost first: { "filter", "comm" }
---@field argument? string the first argument of the call, if it is a text
---@field text? string what has been written of the text that the cursor is in
---@field at_key boolean a key of the innermost table may stand here
---@field depth integer tables around, inside the call

-- Where the last token stands: which call, which option.
local function place_of(token, opener)
  local place = { keys = {}, depth = 0 }
  local prev = token and token.before
  place.at_key = opener ~= nil and opener.text == "{" and prev ~= nil and prev.kind == "sign"
    and (prev == opener or prev.text == "," or prev.text == ";")
  local own = token and key_of(token)
  if own then
    place.keys[1] = own
  end
  while opener do
    if opener.text == "{" then
      place.depth = place.depth + 1
      local key = key_of(opener)
      if key then
        table.insert(place.keys, 1, key)
      end
    end
    local path, method = callee(opener)
    if path then
      place.path, place.method, place.call = path, method, opener
      break
    end
    opener = opener.opener
  end
  return place
end

-- The first argument of a call, if it is a text.
local function first_argument(tokens, call)
  for i, token in ipairs(tokens) do
    if token == call then
      local argument = tokens[i + 1]
      return argument and argument.kind == "string" and not argument.open and argument.text or nil
    end
  end
end

-- Those of the candidates that begin with the word, sorted.
local function matching(candidates, word)
  local list, seen = {}, {}
  for _, name in ipairs(candidates) do
    if name:sub(1, #word) == word and not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return table.move(list, 1, math.min(#list, MAX), 1, {})
end

-- Inside a text: the word that ends at the cursor, and what it may be.
local function in_string(names, token, place)
  local candidates, words = known.texts(names, place)
  local word = words and token.text:match("[%w_]*$") or token.text
  return word, candidates
end

-- A string without a bracket before it is an argument, too: require"bpfnet.
local function bare_call(token, place)
  if token.before and token.before.kind == "name" and not place.path then
    place.path = path_before(token.before)
  elseif token.before and token.before.kind == "name" then
    return { keys = {}, depth = 0, path = path_before(token.before), argument = nil }
  end
  return place
end

local function after_dot(names, sign)
  local path, called = path_before(sign.before)
  local by_colon = sign.text == ":"
  if called then
    return known.of_call(called, by_colon)
  elseif not path then
    return sign.before.kind == "string" and complete.members("", by_colon) or {}
  end
  return complete.members(names:resolve(path), by_colon)
end

local function any_name(names, word)
  local list = names:list()
  if word ~= "" then
    table.move(KEYWORDS, 1, #KEYWORDS, #list + 1, list)
  end
  return list
end

local function candidates_for(names, head)
  local tokens, opener = lex.tokens(head)
  local last = tokens[#tokens]
  if last and last.open and last.kind == "comment" then
    return "", {}
  elseif last and last.open and last.kind == "string" then
    local place = bare_call(last, place_of(last, last.opener))
    place.argument, place.text = place.call and first_argument(tokens, place.call), last.text
    return in_string(names, last, place)
  end
  local word, prev = "", last
  if last and last.kind == "name" and last.at + #last.text == #head + 1 then
    word, prev = last.text, last.before
  elseif last and last.kind == "number" and last.at + #last.text == #head + 1 then
    return "", {}
  end
  if prev and prev.kind == "sign" and (prev.text == "." or prev.text == ":") and prev.before then
    local dots = prev.text == "." and prev.before.kind == "sign" and prev.before.text == "."
    return word, dots and any_name(names, word) or after_dot(names, prev)
  end
  local place = place_of({ before = prev }, opener)
  place.argument = place.call and first_argument(tokens, place.call)
  local options = place.at_key and known.keys(names, place)
  return word, options or any_name(names, word)
end

---What may stand for the word before the cursor.
---@param names bpfnet.repl.Names
---@param text string
---@param cursor integer 0 to #text
---@param pending? string lines of the chunk before this one
---@return integer from where the word begins, in bytes from 1
---@return string[] list sorted, at most 200
function complete.line(names, text, cursor, pending)
  cursor = math.max(0, math.min(math.tointeger(cursor) or 0, #text))
  local head = text:sub(1, cursor)
  local ok, word, list = pcall(function()
    local word, candidates = candidates_for(names, (pending and pending .. "\n" or "") .. head)
    return word, matching(candidates, word)
  end)
  if not ok or #word > #head then
    return cursor + 1, {}
  end
  return cursor + 1 - #word, list
end

return complete
