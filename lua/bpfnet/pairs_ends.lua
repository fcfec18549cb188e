-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Puts the two ends of a request together: what the asking socket saw (tcprequest, side "connect") and
-- what the answering one saw ("accept"), when both are on this host.
--
-- Two sockets are the ends of one connection if their addresses mirror each other. Behind address
-- translation (a service's IP, a redirection to a sidecar) only the client's address and port are the
-- same at both ends. Addresses alone prove nothing where pods share them and ports are used again, so in
-- either case a request must have been answered while the other end asked it. From then on the two
-- sockets belong together, and their requests are matched by number.

local ends = {}

-- How far the hooks at two ends may disagree about one moment.
local SLACK_NS = 1000000

---@class bpfnet.pairs.Conn a socket, as far as its requests tell
---@field cookie integer
---@field side "connect"|"accept"|"unknown"
---@field saddr string
---@field sport integer
---@field daddr string
---@field dport integer
---@field netns integer
---@field who any what identify() said of its first event
---@field proxy boolean
---@field peer? bpfnet.pairs.Conn the other end, once a request has proved it
---@field translated? boolean the ends know different addresses of the server
---@field offset? integer number of a request here minus its number at the other end
---@field waiting table<integer, table> events that have no other end yet, by place
---@field first integer first place of them
---@field last integer last one
---@field closed boolean
---@field open table<integer, table> by number: requests at a proxy that are not settled

---@class bpfnet.pairs.Ends
---@field private young table<integer, bpfnet.pairs.Conn> by cookie
---@field private aged table<integer, bpfnet.pairs.Conn> those not heard of since the last turn
---@field private by_client table<string, bpfnet.pairs.Conn[]>
---@field private count integer of young ones
---@field private max integer
---@field private turned_ns integer
local Ends = {}
Ends.__index = Ends

local TURN_NS = 60000000000

---Makes a table of sockets.
---@param opts { max: integer, identify: (fun(ev: table): any), is_proxy: (fun(who: any, ev: table): boolean) }
---@return bpfnet.pairs.Ends
function ends.new(opts)
  return setmetatable({
    max = opts.max, identify = opts.identify, is_proxy = opts.is_proxy,
    young = {}, aged = {}, by_client = {}, count = 0, turned_ns = 0,
  }, Ends)
end

local function is_loopback(addr)
  return addr:find("^127%.") ~= nil or addr == "::1"
end
ends.is_loopback = is_loopback

local function client_of(conn)
  if conn.side == "accept" then
    return conn.daddr, conn.dport
  end
  return conn.saddr, conn.sport
end

-- Loopback addresses mean something within a namespace only.
local function client_key(conn)
  local addr, port = client_of(conn)
  return is_loopback(addr) and ("%d %s %d"):format(conn.netns, addr, port) or ("%s %d"):format(addr, port)
end

function Ends:_register(conn)
  local list = self.by_client[conn.client]
  if not list then
    self.by_client[conn.client] = { conn }
  else
    list[#list + 1] = conn
  end
end

function Ends:_unregister(conn)
  local list = self.by_client[conn.client]
  for i, other in ipairs(list or {}) do
    if other == conn then
      table.remove(list, i)
      break
    end
  end
  if list and #list == 0 then
    self.by_client[conn.client] = nil
  end
end

-- Sockets that were not heard of for one to two turns are forgotten; when there are too many, sooner.
function Ends:_turn(now_ns)
  for cookie, conn in pairs(self.aged) do
    if self.young[cookie] ~= conn then
      self:_unregister(conn)
    end
  end
  self.aged, self.young, self.count, self.turned_ns = self.young, {}, 0, now_ns
end

local function is_of(conn, ev)
  return conn.sport == ev.sport and conn.dport == ev.dport and conn.saddr == ev.saddr and conn.daddr == ev.daddr
end

function Ends:_new_conn(ev)
  local conn = {
    cookie = ev.cookie, side = ev.side, saddr = ev.saddr, sport = ev.sport, daddr = ev.daddr,
    dport = ev.dport, netns = ev.netns, waiting = {}, first = 1, last = 0, open = {},
  }
  conn.who = self.identify(ev)
  conn.client = client_key(conn)
  self:_register(conn)
  return conn
end

function Ends:_find(ev)
  local conn = self.young[ev.cookie]
  if conn and is_of(conn, ev) then
    return conn
  end
  local aged = self.aged[ev.cookie]
  if conn then
    self:_unregister(conn)
    conn = nil
  elseif aged and is_of(aged, ev) then
    conn = aged
  end
  if self.count >= self.max or ev.ts_ns - self.turned_ns > TURN_NS then
    self:_turn(ev.ts_ns)
  end
  conn = conn or self:_new_conn(ev)
  self.young[ev.cookie] = conn
  self.count = self.count + 1
  return conn
end

---Returns the socket of an event, a new one if need be.
---@param ev table
---@return bpfnet.pairs.Conn
function Ends:conn(ev)
  local conn = self:_find(ev)
  self:judge(conn, ev)
  return conn
end

---Looks again at whose a socket is, and whether it is a proxy's: either may be learnt later than its first request.
---@param conn bpfnet.pairs.Conn
---@param ev table
function Ends:judge(conn, ev)
  if conn.who.runtime == "unknown" then
    conn.who = self.identify(ev)
  end
  conn.proxy = self.is_proxy(conn.who, ev)
end

---Returns the socket with a cookie, if it is known.
---@param cookie integer
---@return bpfnet.pairs.Conn?
function Ends:known(cookie)
  return self.young[cookie] or self.aged[cookie]
end

-- How long the answering end was at work while the asking one waited; nil: it is not the same request.
local function overlap(asked, answered)
  local asked_until, answered_until = asked.resp_ns or asked.end_ns, answered.resp_ns or answered.end_ns
  if answered.start_ns < asked.start_ns - SLACK_NS or answered.start_ns > asked_until + SLACK_NS
    or asked.resp_ns and answered.resp_ns and answered_until > asked_until + SLACK_NS then
    return nil
  end
  return math.min(asked_until, answered_until) - math.max(asked.start_ns, answered.start_ns)
end

local function overlap_of(ev, other)
  if ev.conn.side == "connect" then
    return overlap(ev, other)
  end
  return overlap(other, ev)
end

-- The event among those that wait on a socket which is the other end of this one, and how well it fits.
-- Requests of a connection follow each other: the wanted one is near the end.
local function find_waiting(conn, ev, offset)
  local best, found
  for i = conn.last, conn.first, -1 do
    local other = conn.waiting[i]
    if other and other.end_ns < ev.start_ns - SLACK_NS then
      break
    end
    local fits = other and overlap_of(ev, other)
    if fits and offset and ev.nth - other.nth == offset then
      return other, math.maxinteger
    elseif fits and (not best or fits > best) then
      best, found = fits, other
    end
  end
  return found, best
end

local function mirrors(a, b)
  return a.saddr == b.daddr and a.daddr == b.saddr and a.sport == b.dport and a.dport == b.sport
end

-- The better of two sockets that may be the other end: mirrored addresses, then the same namespace.
local function rank(conn, other)
  return (mirrors(conn, other) and 2 or 0) + (conn.netns == other.netns and 1 or 0)
end

-- Looks for the other end's socket by what waits on those with the client's address. Of two that are
-- equally good neither is taken: pods may share addresses.
function Ends:_find_peer(ev)
  local conn, best, found, unique = ev.conn, -1, nil, true
  for _, other in ipairs(self.by_client[conn.client]) do
    if not other.peer and other.side ~= conn.side and other.side ~= "unknown" then
      local event = find_waiting(other, ev)
      local value = event and rank(conn, other) or -1
      if value > best then
        best, found, unique = value, event, true
      elseif event and value == best then
        unique = false
      end
    end
  end
  return unique and found or nil
end

local function wait(conn, ev)
  conn.last = conn.last + 1
  conn.waiting[conn.last], ev.place = ev, conn.last
end

local function join(ev, other)
  local conn, peer = ev.conn, other.conn
  ev.peer, other.peer = other, ev
  if not conn.peer then
    conn.peer, peer.peer = peer, conn
    conn.translated = not mirrors(conn, peer)
    peer.translated = conn.translated
  end
  conn.offset, peer.offset = ev.nth - other.nth, other.nth - ev.nth
end

---Adds a request that one end has told, with ev.conn set: if the other end has told of it already, each
---becomes the other's `peer`; else it waits until forget().
---@param ev table
function Ends:add(ev)
  local conn, other = ev.conn
  if conn.side == "unknown" then
    return
  elseif conn.peer then
    other = find_waiting(conn.peer, ev, conn.offset)
  else
    other = self:_find_peer(ev)
  end
  if other then
    self:forget(other)
    join(ev, other)
  else
    wait(conn, ev)
  end
end

---Lets a request wait no longer.
---@param ev table
function Ends:forget(ev)
  local conn = ev.conn
  if not ev.place then
    return
  end
  conn.waiting[ev.place], ev.place = nil, nil
  while conn.first <= conn.last and not conn.waiting[conn.first] do
    conn.first = conn.first + 1
  end
end

---True if a socket's peer is surely in the same network namespace: by its addresses.
---@param conn { saddr: string, daddr: string } a socket, or an event of one
---@return boolean
function ends.is_local(conn)
  return conn.saddr == conn.daddr or is_loopback(conn.saddr) or is_loopback(conn.daddr)
end

return ends
