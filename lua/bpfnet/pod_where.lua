-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The option `where` may ask for an event's container: `pod == "shop/cart" and duration_ns > 1ms`. The
-- expression is compiled for the kernel, which knows no names; so what asks for them is taken out of it and
-- becomes a filter. That is the same only for terms that `and` joins; others are refused.
--
-- The engine calls options() when the text has one of the words in it.

local pod_where = {}

local WORDS = { pod = true, namespace = true, container = true, image = true, runtime = true, sidecar = true }

local function wrong(text, why)
  error(("where %q: %s\nhint: what asks for a pod has the form pod == \"shop/cart\", or container in "
    .. "{\"app\", \"web\"}, and is joined to the rest by `and`"):format(text, why), 0)
end

-- The piece of the text that begins at `at`: a quoted text, a word, or a sign. nil for a blank.
local function token_at(text, at)
  local quote = text:match("^[\"']", at)
  if quote then
    local to = text:find(quote, at + 1, true) or #text
    return { kind = "text", from = at, to = to, value = text:sub(at + 1, to - 1) }
  end
  local kind, value = "word", text:match("^[%w_.:/*?-]+", at)
  if not value then
    kind, value = "sign", text:match("^[&|=!]+", at) or text:match("^%S", at)
  end
  return value and { kind = kind, from = at, to = at + #value - 1, value = value }
end

local function tokens(text)
  local list, at = {}, 1
  while at <= #text do
    local token = token_at(text, at)
    list[#list + 1] = token
    at = token and token.to + 1 or at + 1
  end
  return list
end

local OPEN, CLOSE = { ["("] = true, ["{"] = true }, { [")"] = true, ["}"] = true }

local function is_and(token)
  return token.value == "and" and token.kind == "word" or token.value == "&&"
end

local function is_or(token)
  return token.value == "or" and token.kind == "word" or token.value == "||"
end

-- The terms that `and` joins outside of parentheses, each a list of tokens; and whether an `or` stands there.
local function terms_of(list)
  local terms, term, depth, has_or = {}, {}, 0, false
  for _, token in ipairs(list) do
    depth = depth + (token.kind ~= "sign" and 0 or OPEN[token.value] and 1 or CLOSE[token.value] and -1 or 0)
    if depth == 0 and is_and(token) then
      terms[#terms + 1], term = term, {}
    else
      has_or = has_or or depth == 0 and is_or(token)
      term[#term + 1] = token
    end
  end
  terms[#terms + 1] = term
  return terms, has_or
end

local function asks(term)
  for i, token in ipairs(term) do
    -- a word behind a comparison is a value: comm == pod
    local before = term[i - 1]
    if token.kind == "word" and WORDS[token.value] and (not before or before.kind ~= "sign"
      or before.value == "(" or before.value == "!") then
      return true
    end
  end
  return false
end

-- Names in `{...}` from the third token on.
local function names_in(text, term, from)
  local names = {}
  if not term[from] or term[from].value ~= "{" or term[#term].value ~= "}" then
    wrong(text, "a list like {\"a\", \"b\"} is expected behind `in`")
  end
  for i = from + 1, #term - 1 do
    if term[i].kind ~= "sign" then
      names[#names + 1] = term[i].value
    elseif term[i].value ~= "," then
      wrong(text, ("%q in the list of names"):format(term[i].value))
    end
  end
  return names
end

-- What one term asks for: a word and its value for the filter.
local function filter_of(text, term)
  local word, sign = term[1].value, term[2] and term[2].value
  if word == "sidecar" and #term == 1 then
    return word, true
  elseif (word == "not" or word == "!") and #term == 2 and sign == "sidecar" then
    return sign, false
  elseif WORDS[word] and sign == "in" then
    return word, names_in(text, term, 3)
  elseif WORDS[word] and sign == "==" and #term == 3 and term[3].kind ~= "sign" then
    local value = term[3].value
    if word == "sidecar" then
      return word, value == "true"
    end
    return word, value
  end
  wrong(text, "this can't be asked of a container")
end

---Splits a text into what the kernel can decide and what asks for containers.
---@param text string as the option `where`; raises for a text in which the two can't be told apart
---@return string? rest nil if nothing is left
---@return table words for the option `filter`; empty if it asks for no container
function pod_where.split(text)
  local terms, has_or = terms_of(tokens(text))
  local rest, words = {}, {}
  for _, term in ipairs(terms) do
    if not term[1] or not asks(term) then
      rest[#rest + 1] = term[1] and text:sub(term[1].from, term[#term].to) or ""
    elseif has_or then
      wrong(text, "a container and something else joined by `or`")
    else
      local word, value = filter_of(text, term)
      if words[word] ~= nil then
        wrong(text, ("%q is asked for twice"):format(word))
      end
      words[word] = value
    end
  end
  if not next(words) then
    return text, words
  end
  return #rest > 0 and table.concat(rest, " and ") or nil, words
end

---The options of bpf.attach() with that done: a copy, if there was something to do.
---@param opts bpf.Opts
---@return bpf.Opts
function pod_where.options(opts)
  local rest, words = pod_where.split(opts.where)
  if not next(words) then
    return opts
  end
  local copy, filter = {}, {}
  for key, value in pairs(opts) do
    copy[key] = value
  end
  for key, value in pairs(opts.filter or {}) do
    filter[key] = value
  end
  for word, value in pairs(words) do
    if filter[word] ~= nil then
      wrong(opts.where, ("%q is in the filter, too"):format(word))
    end
    filter[word] = value
  end
  copy.where, copy.filter = rest, filter
  return copy
end

return pod_where
