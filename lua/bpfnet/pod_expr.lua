-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Expressions that ask for containers, as the word `where` of a filter and the option `where` have them:
-- `pod != "kube-system/*" and not sidecar`. What the engine's own expressions mean by `and`, `or`, `not` and
-- nil is meant here, too.

local expr = {}

---@class bpfnet.pod_expr.Token
---@field kind "text"|"word"|"sign"
---@field from integer
---@field to integer
---@field value string a text without its quotes

-- What can be asked for.
expr.WORDS = { pod = true, namespace = true, container = true, image = true, runtime = true, sidecar = true }

-- Words that are no values and no fields.
local JOINS = { ["and"] = "and", ["&&"] = "and", ["or"] = "or", ["||"] = "or", ["not"] = "not", ["!"] = "not" }
local LONG_SIGNS = { ["&&"] = true, ["||"] = true, ["=="] = true, ["!="] = true, ["~="] = true }
local EQUAL, UNEQUAL = { ["=="] = true }, { ["!="] = true, ["~="] = true }

-- Where the quoted text that begins at `at` ends.
local function end_of_text(text, at)
  local quote, to = text:sub(at, at), at + 1
  while to < #text and text:sub(to, to) ~= quote do
    to = to + (text:sub(to, to) == "\\" and 2 or 1)
  end
  return math.min(to, #text)
end

-- The piece that begins at `at`: a quoted text, a word, or a sign. nil for a blank.
local function token_at(text, at)
  if text:find("^[\"']", at) then
    local to = end_of_text(text, at)
    return { kind = "text", from = at, to = to, value = text:sub(at + 1, to - 1) }
  end
  local kind, value = "word", text:match("^[%w_.:/*?@-]+", at)
  if not value then
    local two = text:sub(at, at + 1)
    kind, value = "sign", LONG_SIGNS[two] and two or text:match("^%S", at)
  end
  return value and { kind = kind, from = at, to = at + #value - 1, value = value }
end

---@param text string
---@return bpfnet.pod_expr.Token[]
function expr.tokens(text)
  local list, at = {}, 1
  while at <= #text do
    local token = token_at(text, at)
    list[#list + 1] = token
    at = token and token.to + 1 or at + 1
  end
  return list
end

---@param token bpfnet.pod_expr.Token?
---@return "and"|"or"|"not"|nil
function expr.join_of(token)
  return token and token.kind ~= "text" and JOINS[token.value] or nil
end

local Parser = {}
Parser.__index = Parser

function Parser:fail(format, ...)
  error(("where %q: %s\nhint: who is meant has the form pod == \"shop/cart\", container not in "
    .. "{\"app\", \"web\"}, sidecar, namespace != nil"):format(self.text, format:format(...)), 0)
end

function Parser:peek()
  return self.list[self.at]
end

-- The next piece, if it is that sign or word.
function Parser:skip(value)
  local token = self:peek()
  local found = token and token.kind ~= "text" and token.value == value
  self.at = self.at + (found and 1 or 0)
  return found
end

function Parser:shown()
  local token = self:peek()
  return token and ('"%s"'):format(token.value) or "the end"
end

function Parser:value()
  local token = self:peek()
  if not token or token.kind == "sign" or expr.join_of(token) then
    self:fail("expected a name, got %s", self:shown())
  end
  self.at = self.at + 1
  return token.value, token.kind == "word" and token.value == "nil"
end

function Parser:list_of_values()
  local names = {}
  if not self:skip("{") then
    self:fail("expected a list like {\"a\", \"b\"} behind `in`, got %s", self:shown())
  end
  repeat
    names[#names + 1] = self:value()
  until not self:skip(",")
  if not self:skip("}") then
    self:fail("expected \",\" or \"}\" in the list, got %s", self:shown())
  end
  return names
end

local function negated(test)
  return function(identity) return not test(identity) end
end

local function is_sidecar(wanted)
  return function(identity) return identity.sidecar == wanted end
end

-- sidecar, sidecar == false
function Parser:sidecar()
  local token = self:peek()
  local differs = token and UNEQUAL[token.value]
  if not token or not (EQUAL[token.value] or differs) then
    return is_sidecar(true)
  end
  self.at = self.at + 1
  local value = self:value()
  if value ~= "true" and value ~= "false" then
    self:fail('sidecar is true or false, not "%s"', value)
  end
  local test = is_sidecar(value == "true")
  return differs and negated(test) or test
end

-- pod == "shop/*", pod not in {...}, pod != nil
function Parser:comparison(word)
  local token = self:peek()
  local sign = token and token.kind ~= "text" and token.value
  local differs = UNEQUAL[sign] or sign == "not"
  local test
  self.at = self.at + 1
  if sign == "in" or sign == "not" and self:skip("in") then
    test = self.literal(word, self:list_of_values())
  elseif EQUAL[sign] or UNEQUAL[sign] then
    local value, is_nil = self:value()
    test = is_nil and function(identity) return identity[word] == nil end or self.literal(word, value)
  elseif sign == "starts" then
    test = self.literal(word, (self:value()) .. "*")
  else
    self.at = self.at - 1
    self:fail("expected ==, !=, in, not in or starts behind %s, got %s", word, self:shown())
  end
  return differs and negated(test) or test
end

function Parser:primary()
  if self:skip("(") then
    local test = self:either()
    if not self:skip(")") then
      self:fail("expected \")\", got %s", self:shown())
    end
    return test
  end
  local token = self:peek()
  local word = token and token.kind == "word" and token.value
  if not expr.WORDS[word] then
    self:fail("expected one of pod, namespace, container, image, runtime, sidecar, got %s", self:shown())
  end
  self.at = self.at + 1
  self.words[word] = true
  return word == "sidecar" and self:sidecar() or self:comparison(word)
end

-- Weaker than comparisons, as in the engine's expressions. What is no container is neither a sidecar nor "not a
-- sidecar", as in the filter.
function Parser:no()
  if expr.join_of(self:peek()) ~= "not" then
    return self:primary()
  end
  self.at = self.at + 1
  local token, behind = self:peek(), self.list[self.at + 1]
  if token and token.value == "sidecar" and not (behind and (EQUAL[behind.value] or UNEQUAL[behind.value])) then
    self.at, self.words.sidecar = self.at + 1, true
    return is_sidecar(false)
  end
  return negated(self:no())
end

function Parser:both()
  local a = self:no()
  while expr.join_of(self:peek()) == "and" do
    self.at = self.at + 1
    local left, right = a, self:no()
    a = function(identity) return left(identity) and right(identity) end
  end
  return a
end

function Parser:either()
  local a = self:both()
  while expr.join_of(self:peek()) == "or" do
    self.at = self.at + 1
    local left, right = a, self:both()
    a = function(identity) return left(identity) or right(identity) end
  end
  return a
end

---What an expression means.
---@param text string raises one line that says what is wrong with it, and a hint
---@param literal fun(word: string, names: string|string[]): fun(identity: bpfnet.pod.Identity): boolean
---@return fun(identity: bpfnet.pod.Identity): boolean test
---@return table<string, boolean> words that it asks for
function expr.compile(text, literal)
  local parser = setmetatable({ text = text, list = expr.tokens(text), at = 1, literal = literal, words = {} }, Parser)
  local test = parser:either()
  if parser:peek() then
    parser:fail("expected `and`, `or` or the end, got %s", parser:shown())
  end
  return test, parser.words
end

return expr
