-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- tcprequest between clients, a proxy and a service, which say what they did when (tests/runtime/requests*.c).

local helper = require "helper"

local requests = helper.out .. "/tests/requests"

local function in_cgroup(command)
  return ("sh -c 'echo $$ > %s/cgroup.procs; exec %s'"):format(helper.cgroup(), command)
end

---"key=value key=value" as a table.
local function words(line)
  local t = {}
  for key, value in line:gmatch("([%w_]+)=(%S+)") do t[key] = tonumber(value) or value end
  return t
end

-- Servers of `requests` in our cgroup; stop() gives what they have to say.
local function start_role(args)
  local child = helper.start(in_cgroup(requests .. " " .. args))
  local port = helper.wait(20, function() return child.stdout():match("port (%d+)") end)
  return {
    port = port,
    stop = function()
      child.kill("TERM")
      assert.are.equal(0, child.wait(), child.stderr())
      return child.stdout()
    end,
  }
end

local function truth(text, kind)
  local list = {}
  for line in text:gmatch(kind .. " ([^\n]+)") do list[#list + 1] = words(line) end
  return list
end

local function median(list)
  table.sort(list)
  return list[#list // 2 + 1]
end

---Load through a proxy to a service; what each of them says, and what the probe saw.
local function run_proxy(proxy, load)
  local got = {}
  got.probe = bpf.attach("tcprequest", helper.ours(), function(ev) got[#got + 1] = ev end)
  local service = start_role("serve -d 3000")
  local sidecar = start_role(("proxy 127.0.0.1 %s -d 2000 -o 1000 %s"):format(service.port, proxy))
  local child = helper.start(in_cgroup(("%s load 127.0.0.1 %s %s"):format(requests, sidecar.port, load)))
  repeat bpf.run(0.1) until child.status()
  assert.are.equal(0, child.wait(), child.stderr())
  local said = { truth(child.stdout(), "client"), truth(sidecar.stop(), "proxy"), truth(service.stop(), "service") }
  bpf.run(0.3)
  local stats = got.probe:stats()
  assert.are.same({ 0, 0, 0 }, { stats.dropped, stats.untracked, stats.malformed })
  got.probe:detach()
  got.probe:close()
  return got, said, stats.missed
end

---The kernel's times lie within what the program saw around its calls; how far from it, in ns.
local function check_times(ev, starts, first)
  local from, answer = ev.start_ns, ev.start_ns + ev.ttfb_ns
  if ev.side == "connect" then
    assert.is_true(from >= starts and answer <= first)
    return from - starts + first - answer
  end
  assert.is_true(from <= starts and answer >= first)
  return starts - from + answer - first
end

local function check_proxy(got, said, via)
  local seen, off = {}, {}
  for _, ev in ipairs(got) do
    local key = ("%d %d %s %d"):format(ev.sport, ev.dport, ev.side, ev.nth)
    assert.is_nil(seen[key], "twice: " .. key)
    seen[key] = ev
    assert.are.equal("answered", ev.outcome)
    assert.are.same({ 100, 1000 }, { ev.request_bytes, ev.response_bytes })
    assert.is_false(ev.pipelined or ev.duplex or ev.continued or ev.old)
  end
  local function take(sport, dport, side, nth)
    local key = ("%d %d %s %d"):format(sport, dport, side, nth)
    local ev = seen[key]
    assert(ev, "nothing of " .. key)
    seen[key] = nil
    return ev
  end
  local upstream = {}
  for _, t in ipairs(said[3]) do
    local ev = take(t.sport, t.dport, "accept", t.nth)
    off[#off + 1] = check_times(ev, t.read_ns, t.sent_ns)
    upstream[t.dport] = t.sport
  end
  for _, t in ipairs(said[1]) do
    off[#off + 1] = check_times(take(t.sport, t.dport, "connect", t.nth), t.start_ns, t.first_ns)
  end
  for _, t in ipairs(said[2]) do
    local down = take(t.sport, t.dport, "accept", t.nth)
    local up = take(t.up_sport, upstream[t.up_sport], "connect", t.up_nth)
    off[#off + 1] = check_times(down, t.read_ns, t.back_ns)
    off[#off + 1] = check_times(up, t.forward_ns, t.answer_ns)
    assert.are.equal(t.tid, down.tid)
    assert.are.equal(t.tid, up.tid)
    if via then assert.are.same({ down.cookie, down.nth }, { up.via_cookie, up.via_nth }) end
  end
  assert.is_nil(next(seen), "events that nobody knows of: " .. tostring(next(seen)))
  return median(off)
end

-- Modes of the proxy; in a thread of its own each request is sent on by who has read it.
local MODES = {
  { "a thread for each connection", "", true },
  { "threads that share a pool", "-s", true },
  { "epoll", "-e", false },
  { "epoll with a pool", "-e -s", false },
  { "new connections each time", "-x", true },
}

describe("tcprequest, through a proxy", function()
  for _, mode in ipairs(MODES) do
    it("sees every request with " .. mode[1], function()
      for try = 1, 3 do
        local fresh = mode[2]:find("x") and "-x" or ""
        local got, said, missed = run_proxy(mode[2], "-c 50 -n 4 " .. fresh)
        if missed == 0 or try == 3 then
          assert.are.equal(200, #said[2])
          assert.is_true(check_proxy(got, said, mode[3]) < 200000)
          break
        end
      end
    end)
  end
end)

-- A connection on which turns are taken for a while, by event loops' non-blocking sockets.
local function run_pair(seconds)
  local go = os.tmpname()
  os.remove(go)
  local child = helper.start(in_cgroup(helper.out .. "/tests/pair " .. go))
  bpf.run(seconds)
  io.open(go, "w"):close()
  repeat bpf.run(0.1) until child.status()
  os.remove(go)
  assert.are.equal(0, child.wait(), child.stderr())
  return words((child.stdout():gsub('"(%w+)":(%d+),?', "%1=%2 ")))
end

describe("tcprequest, with a redirect", function()
  it("sees what goes past TCP", function()
    local ok, r = pcall(bpf.redirect, { cgroup = helper.cgroup() })
    if not ok then
      pending(r)
      return
    end
    local ends = { connect = {}, accept = {} }
    local p = bpf.attach("tcprequest", helper.ours(), function(ev) table.insert(ends[ev.side], ev) end)
    local fact = run_pair(1)
    local past = r:stats().redirected_msgs
    p:detach()
    p:close()
    r:close()
    assert.is_true(past > 40)
    for _, list in pairs(ends) do
      local requests_sum, answers_sum = 0, 0
      for i, ev in ipairs(list) do
        -- as tests/runtime/pair.c chooses them
        assert.are.same({ i, 1 + i * 37 % 1000, 1 + i * 113 % 6000 },
          { ev.nth, ev.request_bytes, ev.response_bytes })
        requests_sum = requests_sum + ev.request_bytes
        answers_sum = answers_sum + ev.response_bytes
      end
      assert.are.same({ fact.requests, fact.answers }, { requests_sum, answers_sum })
    end
    assert.are.equal(#ends.connect, #ends.accept)
    assert.is_true(#ends.connect > past // 2)
  end)
end)

describe("tcprequest's filter", function()
  it("is asked once for each request", function()
    local service = start_role("serve")
    local n = 0
    local p = bpf.attach("tcprequest", { filter = { cgroup = helper.cgroup(), dport = tonumber(service.port) } },
      function(ev)
        assert.are.equal("connect", ev.side)
        n = n + 1
      end)
    local child = helper.start(in_cgroup(("%s load 127.0.0.1 %s -c 4 -n 50"):format(requests, service.port)))
    repeat bpf.run(0.1) until child.status()
    assert.are.equal(0, child.wait())
    service.stop()
    bpf.run(0.2)
    local stats = p:stats()
    p:close()
    assert.are.equal(200, n)
    assert.is_true(stats.filtered >= 200, "the other end's, and what else goes on here: " .. stats.filtered)
  end)
end)
