-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What speaks for it that a proxy sent this request on because of that one it had accepted, and how far
-- such signs are to be believed of one process. See bpfnet.pairs_proxy, which decides.

local evidence = {}

-- So many candidates are looked at for one request; where more are open, order decides anyway.
local LOOK = 64
evidence.LOOK = LOOK

local STICKY_AFTER = 2 -- times that a socket was surely used for another one
local LEFT_AFTER = 12 -- or that this was the only one left, while others were open as well
local KNOWN_SIZES = 64

---@class bpfnet.pairs.Bond the accepted socket that one sends on for
---@field conn bpfnet.pairs.Conn
---@field times integer that it was seen

---@class bpfnet.pairs.Evidence of one process
---@field via { good: number, bad: number }
---@field sticky { good: number, bad: number }
---@field sizes table<integer, true> pairs of differences that were seen
---@field nr_sizes integer
---@field look { tries: integer, hits: integer } how often thread or size told one from the others
local Evidence = {}
Evidence.__index = Evidence

---@return bpfnet.pairs.Evidence
function evidence.new()
  return setmetatable({
    via = { good = 0, bad = 0 }, sticky = { good = 0, bad = 0 }, sizes = {}, nr_sizes = 0,
    look = { tries = 0, hits = 0 },
  }, Evidence)
end

---Notes that a kind of evidence was right, or wrong.
---@param trust { good: number, bad: number }
---@param is_good boolean
function evidence.note(trust, is_good)
  local which = is_good and "good" or "bad"
  trust[which] = trust[which] + 1
  if trust.good + trust.bad > 512 then
    trust.good, trust.bad = trust.good / 2, trust.bad / 2
  end
end

---True until more than one in twenty was wrong, of late.
---@param trust { good: number, bad: number }
---@return boolean
function evidence.is_trusted(trust)
  return trust.bad * 20 <= trust.good + trust.bad
end

---Returns when an accepted request was answered, or given up.
---@param ev table
---@return integer ns
function evidence.until_ns(ev)
  return ev.resp_ns or ev.end_ns
end

-- A pod's sidecar sends on to its pod what came from outside, and the other way round; from one sidecar to the
-- next, and from that to the service.
local function other_way(accepted, sent)
  return not (accepted.inside ~= nil and sent.inside ~= nil and accepted.inside == sent.inside)
end

---True if one may have been sent because of the other: after it was read, and answered before it was.
---@param accepted table
---@param sent table
---@return boolean
local function is_feasible(accepted, sent)
  return accepted.start_ns <= sent.start_ns and sent.start_ns <= evidence.until_ns(accepted)
    and not (sent.resp_ns and accepted.resp_ns and sent.resp_ns > accepted.resp_ns)
    and other_way(accepted, sent)
end
evidence.is_feasible = is_feasible

---Returns those of a list that may have been the reason.
---@param open table[] in order of time
---@param sent table
---@param limit integer
---@param free_only boolean leaves out those that have one
---@return table[]
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
evidence.feasible = feasible

---Returns the request that the sending thread had read last, if that may be the one.
---@param sent table
---@param known fun(cookie: integer): bpfnet.pairs.Conn?
---@return table? accepted
function Evidence:claim(sent, known)
  local conn = sent.via_cookie ~= 0 and known(sent.via_cookie)
  local accepted = conn and conn.open[sent.via_nth]
  if accepted and not is_feasible(accepted, sent) then
    evidence.note(self.via, false)
    return nil
  end
  return accepted or nil
end

local function on_bond(conn, sent)
  for _, accepted in pairs(conn.open) do
    if is_feasible(accepted, sent) then
      return accepted
    end
  end
end

---Returns the request on the socket that this one is bound to. Where there is none, and it is late enough that it
---would have been told, the bond was an error.
---@param sent table
---@param is_due boolean
---@return table? accepted
function Evidence:bound(sent, is_due)
  local conn, bond = sent.conn, sent.conn.bond
  if not bond or bond.times < STICKY_AFTER then
    return nil
  end
  local accepted = on_bond(bond.conn, sent)
  if not accepted and is_due then
    evidence.note(self.sticky, false)
    conn.bond, conn.pooled = nil, true
  end
  return accepted
end

-- Leaves of the suspects those that fit this time too. nil: it is no matter, there were no others
local function narrow(suspects, list)
  local fits, left, last = {}, 0, nil
  for _, accepted in ipairs(list) do
    fits[accepted.conn] = true
  end
  for conn in pairs(suspects) do
    if fits[conn] then
      left, last = left + 1, conn
    else
      suspects[conn] = nil
    end
  end
  return left, last
end

---Finds by exclusion which accepted socket one works for: the only one that had a fitting request open each time.
---Of a proxy that takes any socket of a pool none is left soon. To be called once for each request, when all
---that was open then has been told.
---@param sent table
---@param open table[]
function Evidence:exclude(sent, open)
  local conn = sent.conn
  if conn.pooled or conn.bond and conn.bond.times >= STICKY_AFTER or #open > LOOK then
    return
  end
  conn.uses = (conn.uses or 0) + 1
  if conn.uses == 1 then
    return -- most that are used once are never used again
  end
  local list = feasible(open, sent, LOOK, false)
  if not conn.suspects then
    conn.suspects = {}
    for _, accepted in ipairs(list) do
      conn.suspects[accepted.conn] = true
    end
    return
  end
  local left, last = narrow(conn.suspects, list)
  if left == 0 then
    conn.pooled, conn.suspects, conn.bond = true, nil, nil
  elseif left == 1 and #list > 1 then
    conn.left_alone = (conn.left_alone or 0) + 1
    if conn.left_alone >= LEFT_AFTER then
      self:_bind(conn, last)
    end
  end
end

-- One that always has a request open is left for all sockets: then it is none's.
function Evidence:_bind(conn, to)
  local rival = to.bound_by
  conn.suspects = nil
  if rival and rival ~= conn and rival.bond and rival.bond.conn == to and not rival.closed then
    evidence.note(self.sticky, false)
    rival.bond, rival.pooled, conn.pooled = nil, true, true
  else
    conn.bond, to.bound_by = { conn = to, times = STICKY_AFTER }, conn
  end
end

---Returns both differences of size in one number, as a key.
---@param sent table
---@param accepted table
---@return integer
local function difference(sent, accepted)
  return (sent.request_bytes - accepted.request_bytes) << 32
    ~ (accepted.response_bytes - sent.response_bytes) & 0xffffffff
end

---Takes a pair that is sure as evidence for others.
---@param sent table
---@param accepted table
function Evidence:learn(sent, accepted)
  local conn, bond = sent.conn, sent.conn.bond
  if sent.learnt then
    return
  end
  sent.learnt = true
  if bond and bond.times >= STICKY_AFTER then
    evidence.note(self.sticky, bond.conn == accepted.conn)
  end
  if bond and bond.conn == accepted.conn then
    bond.times = bond.times + 1
  elseif not conn.pooled then
    conn.bond = { conn = accepted.conn, times = 1 }
  end
  local sizes = sent.resp_ns and difference(sent, accepted)
  if sizes and not self.sizes[sizes] then
    if self.nr_sizes >= KNOWN_SIZES then
      self.sizes, self.nr_sizes = {}, 0
    end
    self.sizes[sizes], self.nr_sizes = true, self.nr_sizes + 1
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

---True unless thread and size told nothing the last times: then they are looked at now and then, for where all
---are of one size and thread that costs a look at each.
---@return boolean
function Evidence:is_worth_a_look()
  local look = self.look
  return look.tries < 64 or look.hits * 20 > look.tries or look.tries % 16 == 0
end

---Returns the one of several that the thread or the sizes tell from the others.
---@param free table[]
---@param sent table
---@return table? accepted
---@return "thread"|"size"|nil how
function Evidence:tell_apart(free, sent)
  local look, how = self.look, "thread"
  local found = only(free, function(accepted)
    return accepted.tid == sent.tid
  end)
  if not found and self.nr_sizes > 0 and sent.resp_ns then
    how = "size"
    found = only(free, function(accepted)
      return self.sizes[difference(sent, accepted)]
    end)
  end
  look.tries, look.hits = look.tries + 1, look.hits + (found and 1 or 0)
  return found, found and how
end

return evidence
