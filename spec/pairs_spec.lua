-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- bpfnet.pairs: which requests belong together, on made-up events, where the truth is known exactly.

local made = require("pairs_made")
local pairing = require("bpfnet.pairs")
local parts = require("bpfnet.pairs_parts")

local ELSEWHERE = made.ELSEWHERE

-- Gives all events to a pairing; returns the requests that it tells, and its counts.
local function run(events, opts)
  local requests = {}
  opts = opts or {}
  local it = pairing.new({
    identify = function(ev) return opts.unnamed and opts.unnamed() or ev.who end,
    is_proxy = function(who) return who.sidecar end,
    on_request = function(r) requests[#requests + 1] = r end,
    max_pending = opts.max_pending, max_conns = opts.max_conns,
  })
  local next_settle
  for _, ev in ipairs(events) do
    it:add(ev)
    if opts.live then
      next_settle = next_settle or ev.ts_ns
      if ev.ts_ns >= next_settle then
        it:settle(ev.ts_ns)
        next_settle = ev.ts_ns + 250000000
      end
    end
  end
  local held = it:stats().pending
  if opts.before_flush then
    opts.before_flush()
  end
  it:flush()
  local stats = it:stats()
  assert.are.equal(0, stats.pending)
  assert.are.equal(stats.events, stats.requests + stats.parts)
  return requests, stats, held
end

local function only(requests, direction)
  local list = {}
  for _, r in ipairs(requests) do
    if r.direction == direction then
      list[#list + 1] = r
    end
  end
  return list
end

-- Counts of how pairs are known, and of pairs that are wrong.
local function verdicts(requests)
  local how, wrong = {}, 0
  for _, r in ipairs(requests) do
    how[r.how or "none"] = (how[r.how or "none"] or 0) + 1
    if r.upstream and r.upstream.id ~= r.server.id then
      wrong = wrong + 1
    end
  end
  return how, wrong
end

local function sidecar_conns(w, pod, port)
  return w:connect(ELSEWHERE, pod.sidecar, "10.9.0.1", port, pod.addr, 80),
    w:connect(pod.sidecar, pod.service, "127.0.0.1", port, "127.0.0.1", 8080)
end

describe("one request through a sidecar", function()
  local function one()
    local w, pod = made.world(), made.pod(1)
    local front, back = sidecar_conns(w, pod, 40000)
    w:through(front, back, 1, 1000, 200, 3000, 300)
    return made.by_time(w.events), pod
  end

  it("is one, with all its parts, which add up", function()
    local requests = run(one())
    assert.are.equal(1, #requests)
    local r = requests[1]
    assert.are.same({ "in", true, "exact", 1, true }, { r.direction, r.proxied, r.how, r.tries, r.answered })
    assert.are.equal("service", ({ [8080] = "service" })[r.upstream.peer.sport])
    local times, total = parts.of(r)
    assert.are.same({
      network = 10000, sidecar_unread = 10000, sidecar_in = 200000, unread = 5000, service = 3000000,
      sidecar_out = 300000, transfer = 10000,
    }, times)
    local sum = 0
    for _, ns in pairs(times) do
      sum = sum + ns
    end
    assert.are.equal(total, sum)
  end)

  it("is so in whatever order its events come", function()
    for seed = 1, 20 do
      local events = made.shuffle(one(), seed)
      local requests = run(events)
      assert.are.equal(1, #requests)
      assert.are.equal("exact", requests[1].how)
      assert.are.equal(3000000, parts.of(requests[1]).service)
    end
  end)

  it("is told with what is known when an event is lost", function()
    local expected = {
      accept_80 = { alone = true, tries = 0 }, -- the sidecar's request is one of its own
      connect_8080 = { unsplit = true }, accept_8080 = { service = 3015000 },
    }
    for lost = 1, 3 do
      local events = one()
      local ev = table.remove(events, lost)
      local what = ev.side .. "_" .. (ev.side == "accept" and ev.sport or ev.dport)
      local requests = run(events)
      local r = only(requests, "in")[1]
      if what == "accept_80" then
        assert.are.same({ "inside", true }, { requests[1].direction, requests[1].alone })
        assert.is_nil(r)
      else
        local times, total = parts.of(r)
        assert.are.equal(expected[what].service, times.service)
        assert.are.equal(expected[what].unsplit, times.unsplit and true)
        assert.are.equal(3555000 - 5000 + 5000 - 20000, total)
      end
    end
  end)
end)

describe("fifty at once", function()
  -- Closed loops over kept connections; each() says how long each part of a request takes.
  local function load(n, rounds, each)
    local w, pod, all = made.world(), made.pod(1), {}
    for i = 1, n do
      local front, back = sidecar_conns(w, pod, 40000 + i)
      all[i] = { front = front, back = back, at = i * 7 }
    end
    local id = 0
    for round = 1, rounds do
      for i, loop in ipairs(all) do
        id = id + 1
        local before, service, after, more = each(i, round)
        loop.at = w:through(loop.front, loop.back, id, loop.at, before, service, after, more) + 3
      end
    end
    return made.by_time(w.events), n * rounds
  end

  local function noise(i, round, most)
    return (i * 7919 + round * 104729) % most
  end

  it("are told apart by the thread's last request", function()
    local events, n = load(50, 40, function(i, round)
      return 100, 1000 + noise(i, round, 900), 100, { via = true }
    end)
    for _, live in ipairs({ false, true }) do
      local requests = run(events, { live = live })
      assert.are.equal(n, #only(requests, "in"))
      local how, wrong = verdicts(requests)
      assert.are.equal(0, wrong)
      assert.are.equal(n, (how.via or 0) + (how.exact or 0))
      events = load(50, 40, function(i, round)
        return 100, 1000 + noise(i, round, 900), 100, { via = true }
      end)
    end
  end)

  it("are not believed a thread that reads others meanwhile", function()
    local events, n = load(50, 40, function(i, round)
      return 500, 1000 + noise(i, round, 900), 300
    end)
    -- one thread: the last request read is another one's, nearly always
    local last
    local at = {}
    for _, ev in ipairs(events) do
      at[#at + 1] = ev
    end
    table.sort(at, function(a, b) return a.start_ns < b.start_ns end)
    for _, ev in ipairs(at) do
      if ev.side == "accept" and ev.sport == 80 then
        last = ev
      elseif ev.side == "connect" and last then
        ev.via_cookie, ev.via_nth = last.cookie, last.nth
      end
    end
    local requests = run(events)
    assert.are.equal(n, #only(requests, "in"))
    local how, wrong = verdicts(requests)
    assert.is_true((how.via or 0) < n / 20, tostring(how.via))
    assert.is_true(wrong < n / 20, wrong .. " wrong")
  end)

  it("are taken in order where nothing else tells, with the right times", function()
    local events, n = load(50, 40, function(i, round)
      return 500, 1000 + noise(i, round, 900), 300
    end)
    local requests = run(events, { live = true })
    local how, wrong = verdicts(requests)
    assert.are.equal(n, #only(requests, "in"))
    assert.are.equal(n, (how.order or 0) + (how.exact or 0) + (how.sticky or 0))
    assert.is_true(wrong < n / 20, wrong .. " wrong")
  end)

  it("are known by exclusion where each has a socket of its own", function()
    local events, n = load(50, 200, function(i, round)
      return 300 + noise(i, round, 500), 1000 + noise(i, round, 900), 300 + noise(round, i, 700)
    end)
    local how, wrong = verdicts(run(events, { live = true }))
    assert.is_true(how.sticky > n * 0.8, tostring(how.sticky))
    assert.is_true(wrong < n / 20, wrong .. " wrong")
  end)

  it("are not bound to sockets of a pool", function()
    local w, pod, fronts, backs, id = made.world(), made.pod(1), {}, {}, 0
    for i = 1, 50 do
      fronts[i], backs[i] = sidecar_conns(w, pod, 40000 + i)
    end
    for round = 1, 200 do
      for i, front in ipairs(fronts) do
        local some = noise(i, round, 700)
        id = id + 1
        w:through(front, backs[(i + round) % 50 + 1], id, round * 3000 + i * 7, 300, 1000 + some, 1200 - some)
      end
    end
    local requests = run(made.by_time(w.events), { live = true })
    local how = verdicts(requests)
    assert.are.equal(id, #only(requests, "in"))
    assert.is_true((how.sticky or 0) < id / 20, tostring(how.sticky))
  end)

  it("are told apart by size, once it is known how much the sidecar adds", function()
    local events = load(1, 5, function() return 100, 1000, 100, {
      front = { request_bytes = 100, response_bytes = 900 }, back = { request_bytes = 140, response_bytes = 880 } }
    end)
    local shift = events[#events].ts_ns + 1000000
    local more, n = load(50, 20, function(i, round)
      local a, b = noise(i, round, 5000), noise(i, round + 1, 7000)
      return 100 + noise(i, round, 700), 1000 + noise(i, round, 900), 100 + noise(i, round + 3, 700), {
        front = { request_bytes = 100 + a, response_bytes = 900 + b },
        back = { request_bytes = 140 + a, response_bytes = 880 + b },
      }
    end)
    for _, ev in ipairs(more) do
      ev.start_ns, ev.ts_ns, ev.cookie = ev.start_ns + shift, ev.ts_ns + shift, ev.cookie + 1000
      ev.id = ev.id + 1000
      events[#events + 1] = ev
    end
    local how, wrong = verdicts(run(events))
    assert.is_true((how.size or 0) > n / 10, tostring(how.size)) -- until sockets are known by exclusion
    assert.is_true((how.size or 0) + (how.sticky or 0) > n * 0.9)
    assert.is_true(wrong < n / 100, wrong .. " wrong")
  end)

  it("keep the socket that was sure to be theirs before", function()
    local w, pod, loops = made.world(), made.pod(1), {}
    local id, at = 0, 0
    for i = 1, 50 do
      local front, back = sidecar_conns(w, pod, 40000 + i)
      loops[i] = { front = front, back = back }
      for _ = 1, 3 do -- alone
        id = id + 1
        at = w:through(front, back, id, at, 100, 500, 100) + 50
      end
    end
    for i, loop in ipairs(loops) do -- all at once, and out of order
      id = id + 1
      w:through(loop.front, loop.back, id, at + i, 100 + noise(i, 1, 800), 500 + noise(i, 2, 900),
        100 + noise(i, 3, 900))
    end
    local how, wrong = verdicts(run(made.by_time(w.events)))
    assert.are.same({ 0, 200 }, { wrong, how.exact + how.sticky })
    assert.is_true(how.sticky >= 40, tostring(how.sticky))
  end)
end)

describe("a sidecar", function()
  it("that is known as one only after its first request is one for that, too", function()
    local w, pod = made.world(), made.pod(1)
    local front, back = sidecar_conns(w, pod, 40000)
    w:through(front, back, 1, 1000, 200, 3000, 300)
    pod.sidecar.sidecar = nil
    local requests = run(made.by_time(w.events), { before_flush = function() pod.sidecar.sidecar = true end })
    assert.are.same({ 1, "exact", true }, { #requests, requests[1].how, requests[1].proxied })
  end)

  it("is waited for when its own request is told late", function()
    local w, pod = made.world(), made.pod(1)
    local front, back = sidecar_conns(w, pod, 40000)
    local _, accepted, upstream = w:through(front, back, 1, 1000, 200, 3000, 300)
    upstream[1].ts_ns = accepted[2].ts_ns + 2000000000
    local other = w:connect(ELSEWHERE, pod.service, "10.9.0.1", 50000, pod.addr, 81)
    for i = 1, 20 do -- so that time goes by
      w:request(other, 1 + i, i * 200000, i * 200000 + 10, i * 200000 + 20, i * 200000 + 30)
    end
    local requests = run(made.by_time(w.events), { live = true })
    local how = verdicts(requests)
    assert.are.same({ 21, 1 }, { #only(requests, "in"), how.exact })
  end)

  it("that nobody knows at first is asked about again", function()
    local w, pod, unknown = made.world(), made.pod(1), { runtime = "unknown" }
    local front, back = sidecar_conns(w, pod, 40000)
    w:through(front, back, 1, 1000, 200, 3000, 300)
    local requests = run(made.by_time(w.events), {
      unnamed = function() return unknown end, before_flush = function() unknown = nil end,
    })
    assert.are.same({ 1, "exact", pod.sidecar }, { #requests, requests[1].how, requests[1].who })
  end)

  it("that answers by itself makes no parts, and steals none", function()
    local w, pod = made.world(), made.pod(1)
    local front, back = sidecar_conns(w, pod, 40001)
    local cached = w:connect(ELSEWHERE, pod.sidecar, "10.9.0.1", 50000, pod.addr, 80)
    w:request(cached, 1, 1000, 1010, 1100, 1110)
    w:through(front, back, 2, 1050, 200, 1000, 100)
    w:request(cached, 3, 3000, 3010, 3100, 3110)
    local requests = run(made.by_time(w.events))
    local how, wrong = verdicts(requests)
    assert.are.same({ 0, { none = 2, exact = 1 } }, { wrong, how })
    for _, r in ipairs(requests) do
      local times = parts.of(r)
      assert.are.equal(r.tries == 0, times.unsplit ~= nil)
      assert.are.equal(r.tries == 0 and 90000 or nil, times.unsplit)
    end
  end)

  it("that tries again, or asks several, is one request", function()
    local w, pod = made.world(), made.pod(1)
    local front, back = sidecar_conns(w, pod, 40001)
    local _, second = sidecar_conns(w, pod, 40002)
    w:request(front, 1, 1000, 1010, 9000, 9010)
    local failed = w:request(back, 1, 1100, 1110, 2000, 2010)
    failed.ttfb_ns, failed.outcome = nil, "unanswered"
    w:request(second, 1, 2100, 2110, 8800, 8810)
    local requests = run(made.by_time(w.events))
    assert.are.equal(1, #requests)
    assert.are.same({ 2, 2110000, "exact" }, { requests[1].tries, requests[1].upstream.peer.start_ns, requests[1].how })
    local times, total = parts.of(requests[1])
    assert.are.same({ 1090000, 6690000, 8015000 - 15000 + 5000 }, { times.sidecar_in, times.service, total })
  end)

  it("that tries again while others are open takes none of theirs", function()
    local w, pod = made.world(), made.pod(1)
    local fronts, backs = {}, {}
    for i = 1, 4 do
      fronts[i], backs[i] = sidecar_conns(w, pod, 40000 + i)
    end
    w:request(fronts[1], 1, 1000, 1010, 9000, 9010)
    w:request(fronts[2], 2, 1100, 1110, 9100, 9110)
    local failed = w:request(backs[1], 1, 1200, 1210, 2000, 2010)
    failed.ttfb_ns, failed.outcome = nil, "unanswered"
    w:request(backs[2], 2, 1300, 1310, 8900, 8910)
    w:request(backs[3], 1, 2100, 2110, 8800, 8810)
    local requests, stats = run(made.by_time(w.events))
    local tries = {}
    for _, r in ipairs(only(requests, "in")) do
      tries[r.server.id] = r.tries
    end
    assert.are.same({ 2, 3 }, { #requests, tries[1] + tries[2] })
    assert.are.equal(6, stats.parts)
  end)

  it("guesses anew when a guess took the only one that fits another", function()
    local w, pod = made.world(), made.pod(1)
    local fronts, backs = {}, {}
    for i = 1, 2 do
      fronts[i], backs[i] = sidecar_conns(w, pod, 40000 + i)
    end
    w:request(fronts[1], 1, 1000, 1010, 9000, 9010) -- the first, and long
    w:request(fronts[2], 2, 1100, 1110, 3000, 3010) -- short
    w:request(backs[2], 2, 1200, 1210, 2000, 2010) -- fits both
    w:request(backs[1], 1, 1300, 1310, 8000, 8010) -- fits the long one only
    local how, wrong = verdicts(run(made.by_time(w.events)))
    assert.are.same({ 0, { exact = 1, order = 1 } }, { wrong, how })
    w, fronts, backs = made.world(), {}, {}
    for i = 1, 3 do
      fronts[i], backs[i] = sidecar_conns(w, pod, 40000 + i)
    end
    w:request(fronts[1], 1, 1000, 1010, 9000, 9010)
    w:request(fronts[2], 2, 1100, 1110, 9100, 9110)
    w:request(fronts[3], 3, 1150, 1160, 3000, 3010)
    w:request(backs[3], 3, 1200, 1210, 2000, 2010) -- fits all
    w:request(backs[1], 1, 1300, 1310, 8000, 8010) -- fits two
    w:request(backs[2], 2, 1400, 1410, 8100, 8110) -- likewise: nothing is left, unless the first gives way
    local requests = run(made.by_time(w.events))
    for _, r in ipairs(requests) do
      assert.are.equal(1, r.tries)
    end
  end)

  it("sends requests of its own, which are nobody else's", function()
    local w, pod = made.world(), made.pod(1)
    local front, back = sidecar_conns(w, pod, 40001)
    local away = w:connect(pod.sidecar, ELSEWHERE, pod.addr, 40002, "10.8.0.1", 15010)
    w:through(front, back, 1, 1000, 200, 5000, 100)
    w:request(away, 2, 2000, 2010, 3000, 3010) -- within the first, but to the control plane
    w:request(back, 3, 20000, 20010, 20100, 20110) -- a health check
    local requests = run(made.by_time(w.events))
    local seen = {}
    for _, r in ipairs(requests) do
      seen[#seen + 1] = ("%s %s %d"):format(r.direction, tostring(r.alone), (r.client or r.server).id)
    end
    table.sort(seen)
    assert.are.same({ "in nil 1", "inside true 3", "out true 2" }, seen)
  end)

  it("passes on what its service sends out", function()
    local w, pod = made.world(), made.pod(1)
    -- redirected: the service believes that it talks to 10.96.0.1
    local front = w:connect(pod.service, pod.sidecar, pod.addr, 41000, "127.0.0.1", 15001, "10.96.0.1")
    local back = w:connect(pod.sidecar, ELSEWHERE, pod.addr, 42000, "10.8.0.1", 443)
    w:through(front, back, 1, 1000, 200, 5000, 100)
    local requests = run(made.by_time(w.events))
    assert.are.equal(1, #requests)
    local r = requests[1]
    assert.are.same({ "out", true, "exact" }, { r.direction, r.proxied, r.how })
    assert.are.equal(pod.service, r.client.who)
    local times, total = parts.of(r)
    assert.are.same({ 200000, 100000 }, { times.sidecar_in, times.sidecar_out })
    assert.are.equal(100000 + 10000, times.network) -- the sidecar's round trip is an estimate
    assert.are.equal(r.client.total_ns, total)
  end)

  it("does both at once", function()
    local w, pod, n = made.world(), made.pod(1), 0
    local loops = {}
    for i = 1, 20 do
      local a, b = sidecar_conns(w, pod, 40000 + i)
      local c = w:connect(pod.service, pod.sidecar, "127.0.0.1", 41000 + i, "127.0.0.1", 15001)
      local d = w:connect(pod.sidecar, ELSEWHERE, pod.addr, 42000 + i, "10.8.0.1", 443)
      loops[i] = { { a, b, i * 10 }, { c, d, i * 13 } }
    end
    for _ = 1, 20 do
      for i, both in ipairs(loops) do
        for _, loop in ipairs(both) do
          n = n + 1
          loop[3] = w:through(loop[1], loop[2], n, loop[3], 300, 1000 + i * 20, 300) + 5
        end
      end
    end
    local requests = run(made.by_time(w.events))
    local _, wrong = verdicts(requests)
    assert.are.same({ 400, 400, true }, { #only(requests, "in"), #only(requests, "out"), wrong < 40 })
  end)
end)

describe("both ends on this host", function()
  it("add the way between, also with a translated address", function()
    for _, as in ipairs({ false, "10.96.0.7" }) do
      local w, a, b = made.world(), made.pod(1), made.pod(2)
      local conn = w:connect(a.service, b.service, a.addr, 40000, b.addr, 80, as or nil)
      w:request(conn, 1, 1000, 1100, 2000, 2050)
      local requests = run(made.by_time(w.events))
      local into, out = only(requests, "in")[1], only(requests, "out")[1]
      assert.are.equal(2, #requests)
      assert.are.same({ b.service, a.service }, { into.who, out.who })
      local times, total = parts.of(into)
      assert.are.same({ 5000 + 50000, 95000, 900000, 10000 },
        { times.network, times.unread, times.service, times.transfer })
      assert.are.equal(1060000, total)
      times, total = parts.of(out)
      assert.are.same({ 10000, 95000 + 45000, 900000, 10000 },
        { times.network, times.unread, times.service, times.transfer })
      assert.are.equal(1060000, total)
    end
  end)

  it("are not taken for each other's in pods with the same addresses", function()
    local w, pods, n = made.world(), {}, 0
    for p = 1, 2 do
      local pod = made.pod(p, "10.1.0.1")
      pods[p] = { pod, { sidecar_conns(w, pod, 40000) } }
    end
    local at = { 1000, 1003 }
    for _ = 1, 50 do
      for p = 1, 2 do
        n = n + 1
        at[p] = w:through(pods[p][2][1], pods[p][2][2], n, at[p], 200, 1000, 100) + 10
      end
    end
    local requests = run(made.by_time(w.events))
    local how, wrong = verdicts(requests)
    assert.are.same({ 0, 100, 100 }, { wrong, how.exact, #requests })
    for _, r in ipairs(requests) do
      assert.are.equal(r.who.pod, r.upstream.peer.who.pod)
      assert.are.equal(r.server.id, r.upstream.peer.id)
    end
  end)

  it("are left alone where two could be the other end", function()
    local w, a = made.world(), made.pod(1)
    for p = 2, 3 do -- two services with one address, and one client that may have asked either
      local conn = w:connect(a.service, made.pod(p, "10.1.0.9").service, a.addr, 40000, "10.1.0.9", 80)
      w:request(conn, p, 1000, 1100, 2000, 2050)
    end
    table.remove(w.events, 3) -- the second client's
    for _, r in ipairs(run({ w.events[2], w.events[3], w.events[1] })) do
      assert.is_true(not r.client or not r.server)
    end
  end)

  it("are told apart when a port is used again, and a cookie too", function()
    local w, a, b, at = made.world(), made.pod(1), made.pod(2), 1000
    for id = 1, 30 do
      local conn = w:connect(a.service, b.service, a.addr, 40000, b.addr, 80)
      if id > 20 then
        conn.c.cookie, conn.s.cookie, conn.c.sport, conn.s.dport = 7, 8, 40000 + id, 40000 + id
      end
      w:request(conn, id, at, at + 100, at + 1000, at + 1010)
      at = at + 1100
    end
    local requests = run(made.by_time(w.events))
    assert.are.equal(60, #requests)
    for _, r in ipairs(requests) do
      assert.are.equal(r.client.id, r.server.id)
    end
  end)

  it("inside a pod without a sidecar are one request", function()
    local w, pod = made.world(), made.pod(1)
    local cache = { pod = pod.service.pod, name = "cache", pid = 130, netns = pod.netns, sidecar = false }
    local conn = w:connect(pod.service, cache, "127.0.0.1", 40000, "127.0.0.1", 6379)
    w:request(conn, 1, 1000, 1100, 2000, 2050)
    local requests = run(made.by_time(w.events))
    assert.are.equal(1, #requests)
    assert.are.equal("inside", requests[1].direction)
    assert.are.equal(900000, parts.of(requests[1]).service)
  end)
end)

describe("what has no times", function()
  it("is told with why", function()
    for _, why in ipairs({ "pipelined", "duplex", "continued" }) do
      local w, pod = made.world(), made.pod(1)
      local conn = w:connect(ELSEWHERE, pod.service, "10.9.0.1", 40000, pod.addr, 80)
      w:request(conn, 1, 1000, 1100, 2000, 2050, { [why] = true })
      local requests = run(w.events)
      assert.are.same({ 1, why, "in" }, { #requests, requests[1].left_out, requests[1].direction })
    end
  end)

  it("is what nobody knows the side of", function()
    local w, pod = made.world(), made.pod(1)
    local conn = w:connect(ELSEWHERE, pod.service, "10.9.0.1", 40000, pod.addr, 80)
    w:request(conn, 1, 1000, 1100, 2000, 2050, { side = "unknown" })
    local requests = run(w.events)
    assert.are.same({ 1, "sideless", "unknown" }, { #requests, requests[1].left_out, requests[1].direction })
  end)

  it("is what got no answer, through a sidecar too", function()
    local w, pod = made.world(), made.pod(1)
    local front, back = sidecar_conns(w, pod, 40000)
    local _, accepted, upstream = w:through(front, back, 1, 1000, 100, 5000, 100)
    for _, ev in ipairs({ accepted[2], upstream[1], upstream[2] }) do
      ev.ttfb_ns, ev.outcome = nil, "unanswered"
    end
    local requests = run(made.by_time(w.events))
    assert.are.same({ 1, false, 1 }, { #requests, requests[1].answered, requests[1].tries })
  end)
end)

describe("memory", function()
  it("is bounded, and what is settled early is counted", function()
    local w, pod, at = made.world(), made.pod(1), 1000
    for i = 1, 3000 do
      local front, back = sidecar_conns(w, pod, 1024 + i)
      at = w:through(front, back, i, at, 10, 20, 10)
    end
    local requests, stats, held = run(made.by_time(w.events), { max_pending = 1024, max_conns = 512 })
    assert.is_true(held <= 1024 + 32)
    assert.is_true(stats.hurried > 5000)
    assert.are.equal(3000, #only(requests, "in"))
  end)

  it("does not grow with connections that came and went", function()
    local w, pod, at = made.world(), made.pod(1), 1000
    local it = pairing.new({
      identify = function(ev) return ev.who end, is_proxy = function(who) return who.sidecar end,
      on_request = function() end, max_conns = 256,
    })
    local function some(n)
      w.events = {}
      for i = 1, n do
        local front, back = sidecar_conns(w, pod, 1024 + i)
        at = w:through(front, back, i, at, 10, 20, 10)
      end
      for _, ev in ipairs(made.by_time(w.events)) do
        it:add(ev)
        it:settle(ev.ts_ns)
      end
      at = at + 5000000
      repeat
        it:settle(at * 1000)
      until it:stats().pending == 0
      w.events = {}
      collectgarbage()
      return collectgarbage("count")
    end
    some(2000)
    local before = some(2000)
    assert.is_true(some(2000) < before + 200)
  end)
end)
