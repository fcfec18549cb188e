-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Which of the requests that a proxy accepted made it send which request on?
--
-- Nothing in the kernel says so. What a proxy sends on, it sends after it has read the request and
-- before it has answered; where only one accepted request was open then, that is the one ("exact").
-- Among several other evidence decides, the best first:
--
--   via     the request that the sending thread had read last, for as long as that proves right in this
--           process: a proxy that waits for something between reads others meanwhile
--   sticky  the sending socket has worked for this accepted one before, every time that it could be told, or
--           is the only one left that may have
--   thread  only this one was read by the thread that sends
--   size    only this one's sizes differ from those sent on by as much as was seen before (headers)
--   order   the one that has waited longest: first in, first out
--
-- What is told later than it happened takes part: a round looks at all requests that were told and
-- decides about those that are due.

local evidence = require("bpfnet.pairs_evidence")

local feasible = evidence.feasible

local proxy = {}

local LOOK = evidence.LOOK
local SWAPS = 16

---@class bpfnet.pairs.Proxy a proxy's process
---@field accepted table[] requests that it accepted, not settled
---@field sent table[] requests that it sent on, not settled
---@field private evidence bpfnet.pairs.Evidence
local Proxy = {}
Proxy.__index = Proxy

---@return bpfnet.pairs.Proxy
function proxy.new()
  return setmetatable({ accepted = {}, sent = {}, evidence = evidence.new() }, Proxy)
end

local function by_start(a, b)
  if a.start_ns ~= b.start_ns then
    return a.start_ns < b.start_ns
  end
  return a.cookie < b.cookie
end

-- Collects what each request claims by via. One that two claim is a fan-out or a retry, or via lies.
function Proxy:_claims(known)
  local claims = {}
  for _, sent in ipairs(self.sent) do
    local accepted = self.evidence:claim(sent, known)
    sent.claim = accepted
    if accepted then
      claims[accepted] = (claims[accepted] or 0) + 1
    end
  end
  return claims
end

-- Removes what was answered before a moment.
local function prune(open, ns)
  local n = 0
  for i = 1, #open do
    local accepted = open[i]
    open[i] = nil
    if evidence.until_ns(accepted) >= ns then
      n = n + 1
      open[n] = accepted
    end
  end
end

-- Walks over what was sent in order of time, with those accepted requests that were open then (and some
-- that were not: where there are many, they are removed some at a time).
function Proxy:_sweep(visit)
  local open, next_one, visits = {}, 1, 0
  for _, sent in ipairs(self.sent) do
    while self.accepted[next_one] and self.accepted[next_one].start_ns <= sent.start_ns do
      open[#open + 1] = self.accepted[next_one]
      next_one = next_one + 1
    end
    visits = visits + 1
    if visits * 16 >= #open then
      prune(open, sent.start_ns)
      visits = 0
    end
    visit(sent, open)
  end
end

local function assign(sent, accepted, how)
  sent.request, sent.how = accepted, how
  accepted.taken, accepted.by = true, sent
end

-- True if two requests claim what one of them should leave to another that nobody claims.
local function is_disputed(claims, sent, open)
  if claims[sent.claim] < 2 then
    return false
  end
  for _, accepted in ipairs(feasible(open, sent, LOOK, false)) do
    if not claims[accepted] then
      return true
    end
  end
  return false
end

-- What there is to see while all that was open is at hand.
function Proxy:_look_at(sent, open, claims, until_ns)
  local two = feasible(open, sent, 2, false)
  sent.disputed = sent.claim and is_disputed(claims, sent, open)
  if sent.claim and not sent.noted then
    evidence.note(self.evidence.via, not sent.disputed)
  end
  if sent.ts_ns <= until_ns and not sent.excluded then
    sent.excluded = true
    self.evidence:exclude(sent, open)
  end
  if #two == 1 then
    assign(sent, two[1], "exact")
    self.evidence:learn(sent, two[1])
  end
end

-- First what needs no guess, so that it is taken when the guessing begins.
function Proxy:_assign_known(claims, until_ns)
  self:_sweep(function(sent, open)
    self:_look_at(sent, open, claims, until_ns)
  end)
  local by_via = evidence.is_trusted(self.evidence.via)
  for _, sent in ipairs(self.sent) do
    local bound = not sent.request and self.evidence:bound(sent, sent.ts_ns <= until_ns)
    if not sent.request and by_via and sent.claim and not sent.disputed then
      assign(sent, sent.claim, "via")
      self.evidence:learn(sent, sent.claim)
    elseif bound and evidence.is_trusted(self.evidence.sticky) then
      if bound.taken then
        evidence.note(self.evidence.sticky, false)
      else
        assign(sent, bound, "sticky")
      end
    end
  end
end

-- One more for a request that already has some: a retry after one without an answer, else a fan-out.
local function extra(open, sent)
  local list = feasible(open, sent, LOOK, false)
  for _, accepted in ipairs(list) do
    for _, before in ipairs(accepted.upstreams) do
      if not before.resp_ns then
        return accepted
      end
    end
  end
  return list[1]
end

-- How many of the accepted requests had begun by a moment.
function Proxy:_begun_by(ns)
  local low, high = 0, #self.accepted
  while low < high do
    local middle = (low + high + 1) // 2
    if self.accepted[middle].start_ns <= ns then
      low = middle
    else
      high = middle - 1
    end
  end
  return low
end

function Proxy:_free_for(sent)
  local last = self:_begun_by(sent.start_ns)
  for i = last, math.max(1, last - LOOK), -1 do
    local accepted = self.accepted[i]
    if not accepted.taken and evidence.is_feasible(accepted, sent) then
      return accepted
    end
  end
end

-- A guess may have taken away the only one that fits. If the one that has it could as well have another, they
-- change.
function Proxy:_swap(sent, open)
  for _, accepted in ipairs(feasible(open, sent, SWAPS, false)) do
    local other = accepted.by
    local free = other and other.how ~= "exact" and other.how ~= "via" and self:_free_for(other)
    if free then
      if other.how == "sticky" then
        evidence.note(self.evidence.sticky, false)
      end
      assign(other, free, "order")
      return accepted
    end
  end
end

function Proxy:_guess(sent, open)
  local worth, found, how = self.evidence:is_worth_a_look(), nil, nil
  local free = feasible(open, sent, worth and LOOK or 1, true)
  if #free == 0 then
    found = self:_swap(sent, open) or extra(open, sent)
    return found, found and "order"
  elseif #free > 1 then
    found, how = self.evidence:tell_apart(free, sent)
  elseif not worth then
    self.evidence.look.tries = self.evidence.look.tries + 1
  end
  return found or free[1], found and how or "order"
end

-- Those that are due, or sent on for one that is, leave; the others are asked about again.
function Proxy:_decide(until_ns)
  local rest = {}
  for _, sent in ipairs(self.sent) do
    local accepted = sent.request
    sent.noted = sent.noted or sent.claim ~= nil
    if accepted and (sent.ts_ns <= until_ns or accepted.ts_ns <= until_ns) then
      table.insert(accepted.upstreams, sent)
      sent.decided = true
    else
      sent.request, sent.how = nil, nil
      rest[#rest + 1] = sent
    end
  end
  self.sent = rest
  for _, accepted in ipairs(self.accepted) do
    accepted.taken, accepted.by = #accepted.upstreams > 0, nil
  end
end

-- Splits a list: those that had begun by then, in order, and the others.
local function begun(list, until_ns)
  local these, others = {}, {}
  for _, ev in ipairs(list) do
    local into = ev.start_ns <= until_ns and these or others
    into[#into + 1] = ev
  end
  table.sort(these, by_start)
  return these, others
end

local function append(list, more)
  return table.move(more, 1, #more, #list + 1, list)
end

---Decides about what is due, that is what was told by `until_ns`: then a request sent on has `request`, the
---accepted one, and `how` that is known; the accepted one has it in `upstreams`. What fits none stays, for it
---may still be told.
---@param until_ns integer
---@param known fun(cookie: integer): bpfnet.pairs.Conn? finds a socket
function Proxy:round(until_ns, known)
  local accepted_later, sent_later
  self.accepted, accepted_later = begun(self.accepted, until_ns)
  self.sent, sent_later = begun(self.sent, until_ns)
  self:_assign_known(self:_claims(known), until_ns)
  self:_sweep(function(sent, open)
    if not sent.request then
      local accepted, how = self:_guess(sent, open)
      if accepted then
        assign(sent, accepted, how)
      end
    end
  end)
  self:_decide(until_ns)
  append(self.accepted, accepted_later)
  append(self.sent, sent_later)
end

---Forgets what was settled.
function Proxy:sweep()
  for _, name in ipairs({ "accepted", "sent" }) do
    local rest = {}
    for _, ev in ipairs(self[name]) do
      if not ev.settled then
        rest[#rest + 1] = ev
      end
    end
    self[name] = rest
  end
end

return proxy
