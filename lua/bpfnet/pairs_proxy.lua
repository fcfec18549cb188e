-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Which of the requests that a proxy accepted made it send which request on?
--
-- Nothing in the kernel says so. What a proxy sends on, it sends after it has read the request and
-- before it has answered; where only one accepted request was open then, that is the one ("exact").
-- Among several other evidence decides, the best first:
--
--   via     the request that the sending thread had read last, for as long as that proves right in this
--           process: a proxy that waits for something between reads others meanwhile
--   sticky  the sending socket has worked for this accepted one every time that it could be told
--   thread  only this one was read by the thread that sends
--   size    only this one's sizes differ from those sent on by as much as was seen before (headers)
--   order   the one that has waited longest: first in, first out
--
-- What is told later than it happened takes part: a round looks at all requests that were told and
-- decides about those that are due.

local proxy = {}

-- So many candidates are looked at for one request; where more are open, order decides anyway.
local LOOK = 64
local STICKY_AFTER = 2

---@class bpfnet.pairs.Proxy a proxy's process
---@field accepted table[] requests that it accepted, not settled
---@field sent table[] requests that it sent on, not settled
---@field private via { good: number, bad: number }
---@field private sticky { good: number, bad: number }
---@field private sizes table<integer, true> pairs of differences that were seen
---@field private nr_sizes integer
---@field private look { tries: integer, hits: integer } how often thread or size told one from the others
local Proxy = {}
Proxy.__index = Proxy

---@return bpfnet.pairs.Proxy
function proxy.new()
  return setmetatable({
    accepted = {}, sent = {}, sizes = {}, nr_sizes = 0,
    via = { good = 0, bad = 0 }, sticky = { good = 0, bad = 0 },
    look = { tries = 0, hits = 0 },
  }, Proxy)
end

-- A kind of evidence is believed until more than one in twenty was wrong, of late.
local function note(trust, is_good)
  local which = is_good and "good" or "bad"
  trust[which] = trust[which] + 1
  if trust.good + trust.bad > 512 then
    trust.good, trust.bad = trust.good / 2, trust.bad / 2
  end
end

local function is_trusted(trust)
  return trust.bad * 20 <= trust.good + trust.bad
end

local function answered_until(ev)
  return ev.resp_ns or ev.end_ns
end

-- A pod's sidecar sends on to its pod what came from outside, and the other way round.
local function other_way(accepted, sent)
  return not (accepted.inside ~= nil and sent.inside ~= nil and accepted.inside == sent.inside)
end

local function is_feasible(accepted, sent)
  return accepted.start_ns <= sent.start_ns and sent.start_ns <= answered_until(accepted)
    and not (sent.resp_ns and accepted.resp_ns and sent.resp_ns > accepted.resp_ns)
    and other_way(accepted, sent)
end

local function by_start(a, b)
  if a.start_ns ~= b.start_ns then
    return a.start_ns < b.start_ns
  end
  return a.cookie < b.cookie
end

-- What via and sticky say, if it may be so.
local function via_of(self, sent, known)
  local conn = sent.via_cookie ~= 0 and known(sent.via_cookie)
  local accepted = conn and conn.open[sent.via_nth]
  if accepted and not is_feasible(accepted, sent) then
    note(self.via, false)
    return nil
  end
  return accepted or nil
end

local function sticky_of(sent)
  local bond = sent.conn.bond
  if not bond or bond.times < STICKY_AFTER then
    return nil
  end
  for _, accepted in pairs(bond.conn.open) do
    if is_feasible(accepted, sent) then
      return accepted
    end
  end
end

-- Collects what each request claims by via. One that two claim is a fan-out or a retry, or via lies.
function Proxy:_claims(known)
  local claims = {}
  for _, sent in ipairs(self.sent) do
    local accepted = via_of(self, sent, known)
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
    if answered_until(accepted) >= ns then
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

-- Those of the open ones that fit, at most `limit`, free ones only if asked for.
local function feasible(open, sent, limit, free_only)
  local list = {}
  for i = 1, math.min(#open, LOOK) do
    local accepted = open[i]
    if not (free_only and accepted.taken) and is_feasible(accepted, sent) then
      list[#list + 1] = accepted
      if #list == limit then
        break
      end
    end
  end
  return list
end

local function assign(sent, accepted, how)
  sent.request, sent.how = accepted, how
  accepted.taken = true
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

-- Both differences in one number, as a key.
local function difference(sent, accepted)
  return (sent.request_bytes - accepted.request_bytes) << 32
    ~ (accepted.response_bytes - sent.response_bytes) & 0xffffffff
end

-- What is sure about a pair is evidence for others.
function Proxy:_learn(sent, accepted)
  local conn, bond = sent.conn, sent.conn.bond
  if sent.learnt then
    return
  end
  sent.learnt = true
  if bond and bond.times >= STICKY_AFTER then
    note(self.sticky, bond.conn == accepted.conn)
  end
  if bond and bond.conn == accepted.conn then
    bond.times = bond.times + 1
  else
    conn.bond = { conn = accepted.conn, times = 1 }
  end
  local sizes = sent.resp_ns and difference(sent, accepted)
  if sizes and not self.sizes[sizes] then
    if self.nr_sizes >= LOOK then
      self.sizes, self.nr_sizes = {}, 0
    end
    self.sizes[sizes], self.nr_sizes = true, self.nr_sizes + 1
  end
end

-- First what needs no guess, so that it is taken when the guessing begins.
function Proxy:_assign_known(claims)
  self:_sweep(function(sent, open)
    local two = feasible(open, sent, 2, false)
    sent.disputed = sent.claim and is_disputed(claims, sent, open)
    if sent.claim and not sent.noted then
      note(self.via, not sent.disputed)
    end
    if #two == 1 then
      assign(sent, two[1], "exact")
      self:_learn(sent, two[1])
    end
  end)
  local by_via, by_bond = is_trusted(self.via), is_trusted(self.sticky)
  for _, sent in ipairs(self.sent) do
    local bound = not sent.request and by_bond and sticky_of(sent)
    if not sent.request and by_via and sent.claim and not sent.disputed then
      assign(sent, sent.claim, "via")
      self:_learn(sent, sent.claim)
    elseif bound and not bound.taken then
      assign(sent, bound, "sticky")
    end
  end
end

local function only(list, fits)
  local found
  for _, accepted in ipairs(list) do
    if fits(accepted) then
      if found then
        return nil
      end
      found = accepted
    end
  end
  return found
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

-- What told nothing the last times is looked for now and then: where all are of one size and thread, it
-- costs a look at each.
local function is_worth(look)
  return look.tries < 64 or look.hits * 20 > look.tries or look.tries % 16 == 0
end

function Proxy:_look(free, sent)
  local found = only(free, function(accepted)
    return accepted.tid == sent.tid
  end)
  if found then
    return found, "thread"
  end
  found = self.nr_sizes > 0 and sent.resp_ns and only(free, function(accepted)
    return self.sizes[difference(sent, accepted)]
  end)
  return found, found and "size"
end

function Proxy:_guess(sent, open)
  local look, found, how = self.look, nil, nil
  local worth = is_worth(look)
  local free = feasible(open, sent, worth and LOOK or 1, true)
  if #free == 0 then
    found = extra(open, sent)
    return found, found and "order"
  elseif #free > 1 then
    found, how = self:_look(free, sent)
    look.hits = look.hits + (found and 1 or 0)
  end
  look.tries = look.tries + 1
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
    accepted.taken = #accepted.upstreams > 0
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
  self:_assign_known(self:_claims(known))
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
