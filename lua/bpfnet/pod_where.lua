-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The option `where` may ask for an event's container: `pod != "kube-system/*" and duration_ns > 1ms`. The
-- expression is compiled for the kernel, which knows no names; so what asks for them is taken out of it and
-- becomes a filter. That is the same only for terms that `and` joins, whatever is in them; others are refused.
--
-- The engine calls options() when the text has one of the words in it.

local expr = require("bpfnet.pod_expr")
local match = require("bpfnet.pod_match")

local pod_where = {}

-- Behind these a word is a value: comm == pod, comm in {pod, web}.
local function is_value(before)
  if not before then
    return false
  elseif before.kind == "sign" then
    return before.value ~= "(" and not expr.join_of(before)
  end
  return before.value == "in" or before.value == "starts"
end

local function asks(token, before)
  return token.kind == "word" and expr.WORDS[token.value] and not is_value(before)
end

-- Does a part ask for containers, and has it a field of the event?
local function kinds_in(part)
  local pods, others = nil, nil
  for i, token in ipairs(part) do
    local before = part[i - 1]
    if asks(token, before) then
      pods = pods or token
    elseif token.kind == "word" and not expr.join_of(token) and not is_value(before)
      and token.value ~= "in" and token.value ~= "starts" then
      others = others or token
    end
  end
  return pods, others
end

local DEPTH = { ["("] = 1, ["{"] = 1, [")"] = -1, ["}"] = -1 }

-- Parts that `join` joins outside of parentheses.
local function split_at(list, join)
  local parts, part, depth = {}, {}, 0
  for _, token in ipairs(list) do
    depth = depth + (token.kind == "sign" and DEPTH[token.value] or 0)
    if depth == 0 and expr.join_of(token) == join then
      parts[#parts + 1], part = part, {}
    else
      part[#part + 1] = token
    end
  end
  parts[#parts + 1] = part
  return parts
end

-- Is it one pair of parentheses with all the rest in it?
local function is_wrapped(list)
  local depth = 0
  for i, token in ipairs(list) do
    depth = depth + (token.kind == "sign" and DEPTH[token.value] or 0)
    if depth == 0 then
      return i > 1 and i == #list and list[1].value == "("
    end
  end
  return false
end

-- The parts that all have to be true, each with whether it is meant negated: what is in parentheses and behind a
-- `not` is taken apart, too, as `not (a or b)` is `not a and not b`.
local function take_apart(list, negated, parts)
  local pods, others = kinds_in(list)
  if pods and others then
    if is_wrapped(list) then
      return take_apart(table.move(list, 2, #list - 1, 1, {}), negated, parts)
    end
    local ors = split_at(list, "or")
    local pieces = (negated or #ors > 1) and ors or split_at(list, "and")
    if #pieces > 1 and (negated or #ors == 1) then
      for _, piece in ipairs(pieces) do
        take_apart(piece, negated, parts)
      end
      return
    elseif #ors == 1 and #split_at(list, "and") == 1 and expr.join_of(list[1]) == "not" then
      return take_apart(table.move(list, 2, #list, 1, {}), not negated, parts)
    end
  end
  parts[#parts + 1] = { list = list, negated = negated, pods = pods, others = others }
end

local function text_of(text, part)
  local list = part.list
  local inner = list[1] and text:sub(list[1].from, list[#list].to) or ""
  return part.negated and ("not (%s)"):format(inner) or inner
end

-- Parts as one text; those with an `or` of their own in parentheses.
local function joined(texts)
  if #texts > 1 then
    for i, one in ipairs(texts) do
      texts[i] = #split_at(expr.tokens(one), "or") > 1 and ("(%s)"):format(one) or one
    end
  end
  return texts[1] and table.concat(texts, " and ") or nil
end

local function refuse_mixture(text, part)
  error(("where %q: \"%s\" is decided by a name, \"%s\" in the kernel, which knows none: they can be joined by `and`"
    .. " only\nhint: two probes, one for each; or in a handler, like `if ev.pod == \"shop/cart\" or ev.dport == 443 "
    .. "then`"):format(text, part.pods.value, part.others.value), 0)
end

---Splits a text into what the kernel can decide and what asks for containers.
---@param text string as the option `where`; raises for a text in which the two can't be told apart
---@return string? rest nil if nothing is left
---@return string? pods the word `where` of a filter; nil if it asks for no container
function pod_where.split(text)
  local list, rest, pods = expr.tokens(text), {}, {}
  if not kinds_in(list) then
    return text, nil
  end
  local parts = {}
  take_apart(list, false, parts)
  for _, part in ipairs(parts) do
    if part.pods and part.others then
      refuse_mixture(text, part)
    end
    local to = part.pods and pods or rest
    to[#to + 1] = text_of(text, part)
  end
  return joined(rest), joined(pods)
end

---@param text string? as the option `where`
---@return boolean
function pod_where.asks(text)
  return text ~= nil and kinds_in(expr.tokens(text)) ~= nil
end

---For probe:where(), which leaves the filter as it is.
---@param text string raises if it asks for containers
function pod_where.refuse(text)
  local _, pods = pod_where.split(text)
  if pods then
    error(("where %q: a container is asked for by the filter\nhint: probe:filter{ where = %q }"):format(text, pods), 0)
  end
end

---The options of bpf.attach() with that done: a copy, if there was something to do.
---@param opts bpf.Opts
---@return bpf.Opts
function pod_where.options(opts)
  local rest, pods = pod_where.split(opts.where)
  if not pods then
    return opts
  end
  local copy, filter = {}, {}
  for key, value in pairs(opts) do
    copy[key] = value
  end
  for key, value in pairs(opts.filter or {}) do
    filter[key] = value
  end
  match.check({ where = pods })
  filter.where = filter.where and ("(%s) and (%s)"):format(filter.where, pods) or pods
  copy.where, copy.filter = rest, filter
  return copy
end

return pod_where
