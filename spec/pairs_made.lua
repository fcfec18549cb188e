-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Made-up events of tcprequest for pairs_spec: pods whose clients, sidecars and services do what a test says,
-- and what each of their sockets would have told. Each event knows by `id` which request it belongs to.

local made = {}

local US = 1000

local World = {}
World.__index = World

---@return table world of pods; `events` is what their sockets told
function made.world()
  return setmetatable({ events = {}, cookies = 0, ids = 0 }, World)
end

---A pod with a sidecar and a service.
---@return table pod addr, netns, and the identities sidecar and service
function made.pod(n, addr)
  return {
    addr = addr or "10.1.0." .. n, netns = 5000 + n,
    sidecar = { pod = "shop/p" .. n, name = "sidecar", sidecar = true, pid = n * 100 + 10, netns = 5000 + n },
    service = { pod = "shop/p" .. n, name = "app", sidecar = false, pid = n * 100 + 20, netns = 5000 + n },
  }
end

made.ELSEWHERE = { name = "elsewhere", pid = 0 } -- a client or service of another machine

---A connection between two programs; `as` is the address that the client used, where it is translated.
function World:connect(client, server, caddr, cport, saddr, sport, as)
  self.cookies = self.cookies + 2
  return {
    client = client, server = server, nth = 0,
    c = { side = "connect", cookie = self.cookies - 1, saddr = caddr, sport = cport, daddr = as or saddr,
      dport = sport },
    s = { side = "accept", cookie = self.cookies, saddr = saddr, sport = sport, daddr = caddr, dport = cport },
  }
end

local function tell(world, who, socket, fields)
  if who == made.ELSEWHERE then
    return nil
  end
  local ev = {
    who = who, pid = who.pid, tid = fields.tid or who.pid, cgroup = who.pid, netns = who.netns, srtt_us = 100,
    via_cookie = 0, via_nth = 0, unread_ns = 0, request_bytes = 100, response_bytes = 1000, outcome = "answered",
    ended = "next", old = false, pipelined = false, duplex = false, continued = false, request_ns = 0,
  }
  for _, from in ipairs({ socket, fields }) do
    for k, v in pairs(from) do
      ev[k] = v
    end
  end
  ev.ts_ns = ev.start_ns + ev.total_ns + (fields.told_ns or 0)
  table.insert(world.events, ev)
  return ev
end

---One request over a connection. at: when the client sends it; read, answer: when the service reads it and
---answers; back: when the client reads that; all in us from 0. The way takes 5 us each time, what is longer
---lies unread; bodies take 10 us more. more: fields of both events.
function World:request(conn, id, at, read, answer, back, more)
  conn.nth = conn.nth + 1
  local c = { start_ns = at * US, ttfb_ns = (back - at) * US, total_ns = (back - at + 10) * US }
  local s = { start_ns = read * US, ttfb_ns = (answer - read) * US, total_ns = (answer - read + 10) * US }
  c.unread_ns, s.unread_ns = (back - answer - 5) * US, (read - at - 5) * US
  if not answer then
    c.ttfb_ns, s.ttfb_ns, c.outcome, s.outcome = nil, nil, "unanswered", "unanswered"
  end
  for _, f in ipairs({ c, s }) do
    f.id, f.nth = id, conn.nth
    for k, v in pairs(more or {}) do
      f[k] = v
    end
  end
  return tell(self, conn.client, conn.c, c), tell(self, conn.server, conn.s, s)
end

---What a sidecar accepts on connection `front` and sends on over `back`: it reads it 10 us after it was sent,
---waits `before`, the service takes `service`, it waits `after` (us). Returns when the client has read it.
function World:through(front, back, id, at, before, service, after, more)
  local read = at + 10
  local sent = read + before
  local answered = sent + 10 + service
  local passed = answered + 10 + after
  local accepted = { self:request(front, id, at, read, passed, passed + 10, more and more.front) }
  local upstream = { self:request(back, id, sent, sent + 10, answered, answered + 10, more and more.back) }
  if upstream[1] and more and more.via and accepted[2] then
    upstream[1].via_cookie, upstream[1].via_nth = accepted[2].cookie, accepted[2].nth
  end
  return passed + 10, accepted, upstream
end

---Shuffles a list, the same way each time.
function made.shuffle(list, seed)
  local state = seed
  for i = #list, 2, -1 do
    state = (state * 1103515245 + 12345) & 0x7fffffff
    local j = state // 65536 % i + 1
    list[i], list[j] = list[j], list[i]
  end
  return list
end

---Puts events into the order in which the ring would have them.
function made.by_time(list)
  table.sort(list, function(a, b)
    if a.ts_ns ~= b.ts_ns then
      return a.ts_ns < b.ts_ns
    end
    return a.cookie < b.cookie
  end)
  return list
end

return made
