-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- From events of tcprequest, each of which is one socket's view, to requests as a pod sees them: with the
-- client's end, the sidecar that they went through, the request that it sent on, and the service's end.
--
--   local requests = require("bpfnet.pairs").new({
--     identify = pod.of_event,
--     is_proxy = function(who) return who.sidecar == true end,
--     on_request = function(r) print(r.who.pod, r.direction, r.how, parts.of(r)) end,
--   })
--   bpf.attach("tcprequest", function(ev) requests:add(ev) end)
--   bpf.every(0.25, function() requests:settle(bpf.now()) end)
--
-- Events come when a request's end is known, those of its parts in any order and up to the probe's
-- timeout apart. So each waits a while (`wait`) for those that belong to it; then it is settled. Every
-- event ends in exactly one place: as a request that on_request gets, or as a part of one; stats() counts.

local ends = require("bpfnet.pairs_ends")
local proxy = require("bpfnet.pairs_proxy")

local pairing = {}

---@class bpfnet.pairs.Request
---@field who any whose it is, as identify() said
---@field direction "in"|"out"|"inside"|"unknown" it arrives from elsewhere; goes elsewhere; both ends are in the
---  pod, also where one sidecar has asked another, or a sidecar sent it by itself; an older connection of which
---  nobody knows who connected
---@field event table the event that tells it: of one of its ends
---@field client? table event of the asking end
---@field server? table event of the answering end; of a sidecar, where it went through one
---@field proxied boolean a sidecar (or another proxy) took part
---@field upstream? table event of the request that the sidecar sent on, its own end; `upstream.peer` is the
---  service's. Where there were several: the last that was answered before the sidecar answered
---@field tries integer how many it sent on
---@field how? string how it is known which one that was: "exact", "via", "sticky", "thread", "size", "order"
---@field alone? boolean a request of the sidecar's own: none that it accepted fits
---@field answered boolean
---@field left_out? "pipelined"|"duplex"|"continued"|"sideless" why it has no times

---@class bpfnet.pairs.Stats
---@field events integer added
---@field requests integer that on_request got
---@field parts integer events that were the other end, or sent on, of one of those
---@field pending integer events that wait
---@field late integer of parts: told after their request was settled
---@field hurried integer settled before their time, for too many waited

---@class bpfnet.Pairs
---@field private ends bpfnet.pairs.Ends
local Pairs = {}
Pairs.__index = Pairs

local SLICE = 256 -- events that are settled together
local BUDGET_NS = 100000000

local DEFAULTS = {
  -- seconds: an end is told at once by the next request, or else after the probe's timeout of 0.5 s, which is
  -- looked after every 0.25 s
  wait = 1.25,
  patience = 15, -- seconds that what a sidecar sent on waits for a request that is told much later
  max_pending = 32768, -- events, of which one takes some 3 KB
  max_conns = 65536,
}

---@class bpfnet.pairs.Opts
---@field identify function whose socket an event's is, called once for each: a table with `pod_uid` or `pod`
---  where it is one of a pod's
---@field is_proxy function of that and the event: whether what it accepts it sends on
---@field on_request fun(r: bpfnet.pairs.Request)
---@field wait? number seconds
---@field patience? number seconds
---@field max_pending? integer events
---@field max_conns? integer sockets

---Makes a pairing.
---@param opts bpfnet.pairs.Opts
---@return bpfnet.Pairs
function pairing.new(opts)
  local self = setmetatable({
    on_request = opts.on_request, first = 1, last = 0, pending = {}, patient = {}, proxies = {},
  }, Pairs)
  for name, value in pairs(DEFAULTS) do
    self[name] = opts[name] or value
  end
  self.wait_ns = math.floor(self.wait * 1e9)
  self.patience_ns = math.floor(self.patience * 1e9)
  self.ends = ends.new({ max = self.max_conns, identify = opts.identify, is_proxy = opts.is_proxy })
  self.counts = { events = 0, requests = 0, parts = 0, late = 0, hurried = 0 }
  return self
end

---True if an identity is one of a pod's.
---@param who table
---@return boolean
function pairing.in_pod(who)
  return (who.pod_uid or who.pod) ~= nil
end

---Returns what is the same for all that belongs to one pod, or else to one identity.
---@param who table
---@return any
function pairing.unit(who)
  return who.pod_uid or who.pod or who
end

---True if two identities are of one pod, or the same.
---@param a table
---@param b table
---@return boolean
function pairing.same(a, b)
  return pairing.unit(a) == pairing.unit(b)
end

local function is_sidecar(conn)
  return conn.proxy and pairing.in_pod(conn.who)
end

-- True if the other end is in the same pod: by who it is, or else by the addresses.
local function is_inside(conn)
  if not pairing.in_pod(conn.who) then
    return false
  elseif conn.peer then
    return pairing.same(conn.who, conn.peer.who)
  end
  return ends.is_local(conn)
end

-- Who is at the other end of a sidecar's: false elsewhere, "sidecar" another one of the pod, "service" who else is
-- there.
local function inside_of(conn)
  return is_inside(conn) and (conn.peer and is_sidecar(conn.peer) and "sidecar" or "service")
end

-- What comes from another sidecar of the pod has been told as "in" or "out" by that.
local DIRECTIONS = { [false] = "in", service = "out", sidecar = "inside" }

local function times(ev)
  ev.resp_ns = ev.ttfb_ns and ev.start_ns + ev.ttfb_ns
  ev.end_ns = ev.start_ns + ev.total_ns
  ev.upstreams = {}
end

local function why_left_out(ev)
  return ev.continued and "continued" or ev.duplex and "duplex" or ev.pipelined and "pipelined"
    or ev.conn.side == "unknown" and "sideless" or nil
end

function Pairs:_proxy_of(ev)
  local key = ev.pid ~= 0 and ev.pid or -ev.cgroup
  local found = self.proxies[key]
  if not found then
    found = proxy.new()
    self.proxies[key] = found
  end
  ev.in_proxy = found
  return found
end

function Pairs:_add_to_proxy(ev)
  local conn = ev.conn
  if not conn.proxy or ev.continued or conn.side == "unknown" then
    return
  elseif conn.side == "accept" then
    table.insert(self:_proxy_of(ev).accepted, ev)
    conn.open[ev.nth] = ev
  else
    table.insert(self:_proxy_of(ev).sent, ev)
  end
end

---Takes an event of tcprequest, which may come in any order. The table is kept, and added to.
---@param ev table
function Pairs:add(ev)
  ev.conn = self.ends:conn(ev)
  times(ev)
  ev.left_out = why_left_out(ev)
  ev.conn.closed = ev.ended == "closed" or ev.ended == "reset"
  self.counts.events = self.counts.events + 1
  if not ev.continued then
    self.ends:add(ev)
  end
  self:_add_to_proxy(ev)
  self.last = self.last + 1
  self.pending[self.last] = ev
  if self.last - self.first >= self.max_pending then
    local slice = math.min(8 * SLICE, self.max_pending // 2)
    self.counts.hurried = self.counts.hurried + slice
    self:_settle(self.pending[self.first + slice].ts_ns)
  end
end

function Pairs:_emit(r)
  self.counts.requests = self.counts.requests + 1
  self.on_request(r)
end

function Pairs:_part()
  self.counts.parts = self.counts.parts + 1
end

-- The one whose answer it passed on: the last to be answered. Without any answer the last one.
local function main_upstream(list)
  local best
  for _, ev in ipairs(list) do
    if not best or (ev.resp_ns or -1) > (best.resp_ns or -1)
      or not ev.resp_ns and not best.resp_ns and ev.start_ns > best.start_ns then
      best = ev
    end
  end
  return best
end

function Pairs:_through_proxy(ev)
  local upstream = main_upstream(ev.upstreams)
  self:_emit({
    event = ev, who = ev.conn.who, direction = DIRECTIONS[inside_of(ev.conn)], client = ev.peer, server = ev,
    proxied = true, upstream = upstream, how = upstream and upstream.how, tries = #ev.upstreams,
    answered = ev.resp_ns ~= nil, left_out = ev.left_out or ev.peer and ev.peer.left_out,
  })
end

local function plain(ev, direction)
  local client = ev.conn.side == "connect" and ev or ev.peer
  local server = ev.conn.side == "connect" and ev.peer or ev.conn.side == "accept" and ev or nil
  local judge = direction == "in" and server or client or server or ev
  return {
    event = ev, who = ev.conn.who, direction = direction, client = client, server = server, proxied = false, tries = 0,
    answered = judge.resp_ns ~= nil, left_out = ev.left_out or ev.peer and ev.peer.left_out,
  }
end

-- What an answering socket saw.
function Pairs:_settle_accept(ev)
  local conn = ev.conn
  if conn.proxy and not ev.continued then
    return self:_through_proxy(ev)
  elseif not is_inside(conn) then
    return self:_emit(plain(ev, "in"))
  elseif ev.peer then
    return self:_part() -- the asking end's event is what is told
  end
  self:_emit(plain(ev, "inside"))
end

-- What an asking socket saw.
function Pairs:_settle_connect(ev)
  local conn = ev.conn
  local inside = is_inside(conn)
  if ev.request then
    return self:_part()
  elseif not conn.proxy and inside and conn.peer and is_sidecar(conn.peer) and not ev.continued then
    if not ev.peer then
      self.counts.late = self.counts.late + 1
    end
    return self:_part() -- of what the sidecar accepted
  end
  local r = plain(ev, inside and "inside" or "out")
  r.alone = conn.proxy and not ev.left_out or nil
  self:_emit(r)
end

function Pairs:_settle_one(ev)
  local side = ev.conn.side
  ev.settled = true
  self.ends:forget(ev)
  if side == "accept" then
    ev.conn.open[ev.nth] = nil
    self:_settle_accept(ev)
  elseif side == "connect" then
    self:_settle_connect(ev)
  else
    self:_emit(plain(ev, "unknown"))
  end
end

-- Proxies decide about what is due; before that, what is inside a pod is looked at once more: the peer may be
-- known by now.
function Pairs:_rounds(batch, until_ns)
  local busy = {}
  for _, ev in ipairs(batch) do
    if not ev.in_proxy then -- that it is a sidecar's may have been learnt since
      self.ends:judge(ev.conn, ev)
      self:_add_to_proxy(ev)
    end
    if ev.in_proxy and not ev.decided then
      busy[ev.in_proxy] = true
    end
  end
  for found in pairs(busy) do
    for _, list in ipairs({ found.accepted, found.sent }) do
      for _, ev in ipairs(list) do
        ev.inside = nil
        if is_sidecar(ev.conn) then
          ev.inside = inside_of(ev.conn)
        end
      end
    end
    found:round(until_ns, function(cookie) return self.ends:known(cookie) end)
  end
  return busy
end

-- What a sidecar sent on and fits nothing waits for longer: a response that takes its client minutes to
-- read is told minutes later. What it accepted and nothing fits waits as long again, for what is late.
local function may_wait(self, ev, until_ns)
  if not ev.in_proxy then
    return false
  elseif ev.conn.side == "connect" then
    return not ev.request and ev.ts_ns > until_ns - self.patience_ns
  end
  return #ev.upstreams == 0 and ev.ts_ns > until_ns - math.min(self.wait_ns, self.patience_ns)
end

function Pairs:_take(until_ns)
  local batch = {}
  while self.first <= self.last and self.pending[self.first].ts_ns <= until_ns do
    batch[#batch + 1] = self.pending[self.first]
    self.pending[self.first] = nil
    self.first = self.first + 1
  end
  return table.move(self.patient, 1, #self.patient, #batch + 1, batch)
end

function Pairs:_settle(until_ns)
  local batch, patient = self:_take(until_ns), {}
  local busy = self:_rounds(batch, until_ns)
  for _, ev in ipairs(batch) do
    if may_wait(self, ev, until_ns) and #patient < self.max_pending // 32 then
      patient[#patient + 1] = ev
    else
      self:_settle_one(ev)
    end
  end
  self.patient = patient
  for found in pairs(busy) do
    found:sweep()
  end
  self:_drop_proxies()
end

-- A process's evidence is kept while something of it waits, and for a thousand others.
function Pairs:_drop_proxies()
  local n = 0
  for _ in pairs(self.proxies) do
    n = n + 1
  end
  for key, found in pairs(n > 1024 and self.proxies or {}) do
    if #found.accepted == 0 and #found.sent == 0 then
      self.proxies[key] = nil
    end
  end
end

---Settles what has waited long enough, a part at a time for a tenth of a second at most: callbacks may not take
---longer than a second. What is left comes with the next call.
---@param now_ns integer as bpf.now()
function Pairs:settle(now_ns)
  local until_ns, began_ns = now_ns - self.wait_ns, bpf.now()
  repeat
    local some = self.pending[self.first + SLICE]
    local more = some and some.ts_ns < until_ns
    self:_settle(more and some.ts_ns or until_ns)
  until not more or bpf.now() - began_ns > BUDGET_NS
end

---Settles all, for the end, when nothing more will come.
function Pairs:flush()
  self.patience_ns = 0
  self:_settle(math.maxinteger)
end

---@return bpfnet.pairs.Stats
function Pairs:stats()
  local counts = { pending = self.last - self.first + 1 + #self.patient }
  for name, n in pairs(self.counts) do
    counts[name] = n
  end
  return counts
end

return pairing
