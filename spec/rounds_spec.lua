-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Many events of one round of the loop: what a handler may do in the middle of it, and that each
-- event comes once whatever it does.

local helper = require "helper"

local ours = helper.ours

-- Runs the loop until it ends without an error; the errors' texts.
local function run_on()
  local errors = {}
  while true do
    local ok, why = pcall(bpf.run, 0.1)
    if ok then return errors end
    errors[#errors + 1] = why
  end
end

-- Counts an event; an error if it has come before.
local function once(seen, cookie, ended)
  local key = cookie .. " " .. ended
  assert(not seen[key], "an event came twice: " .. key)
  seen[key] = true
  seen.n = (seen.n or 0) + 1
end

describe("a round of events", function()
  it("loses none to an error in a handler, and gives none twice", function()
    local seen, plain, tables = {}, 0, 0
    local p = bpf.attach("tcpclose", ours(), function(cookie, ended)
      once(seen, cookie, ended)
      plain = plain + 1
      if plain == 3 or plain == 10 then error("at " .. plain) end
    end)
    local q = bpf.attach("tcpclose", ours(), function(ev)
      once(seen, ev.cookie, ev.pid)
      tables = tables + 1
      if tables == 7 then local _ = ev.comm.x.y end
    end)
    helper.traffic_facts("-c 10 echo4")
    local errors = run_on()
    assert.are.equal(40, seen.n)
    assert.are.equal(3, #errors)
    local all = table.concat(errors, "\n")
    for _, text in ipairs { ":33: at 3\n", ":33: at 10", "attempt to index" } do
      assert.is_truthy(all:find(text, 1, true), all)
    end
    assert.are.equal(20, p:stats().events)
    assert.are.equal(20, q:stats().events)
    p:close()
    q:close()
  end)

  it("goes on after a handler that was stopped for its time", function()
    local seen = {}
    local p = bpf.attach("tcpclose", ours(), function(cookie, ended)
      once(seen, cookie, ended)
      while seen.n == 2 do pcall(function() while true do end end) end
    end)
    helper.traffic_facts("-c 3 echo4")
    local errors = run_on()
    assert.are.equal(6, seen.n)
    assert.are.equal(1, #errors)
    assert.is_truthy(errors[1]:find("ran longer than", 1, true), errors[1])
    p:close()
  end)

  it("takes another handler, or none, at once", function()
    local seen, others, p = {}, 0, nil
    p = bpf.attach("tcpclose", ours(), function(cookie, ended)
      once(seen, cookie, ended)
      p:on_event(function(ev)
        others = others + 1
        assert(ev.probe == "tcpclose")
        if others == 4 then p:on_event(nil) end
      end)
      collectgarbage()
    end)
    helper.traffic_facts("-c 5 echo4")
    bpf.run(0.1)
    assert.are.equal(1, seen.n)
    assert.are.equal(4, others)
    assert.are.equal(10, p:stats().events)
    p:close()
  end)

  it("ends for a probe that its handler closes, and not for others", function()
    local mine, others, p = 0, 0, nil
    p = bpf.attach("tcpclose", ours(), function(cookie)
      mine = mine + 1
      if mine == 3 then
        p:close()
        p = nil
        collectgarbage()
        error("after closing " .. cookie)
      end
    end)
    local q = bpf.attach("tcpclose", ours(), function() others = others + 1 end)
    helper.traffic_facts("-c 5 echo4")
    local errors = run_on()
    assert.are.equal(1, #errors)
    assert.are.equal(3, mine)
    assert.are.equal(10, others)
    q:close()
    assert.are.equal("idle", bpf.run(1))
  end)

  it("bears a probe that its handler detaches and forgets", function()
    local n, p = 0, nil
    p = bpf.attach("tcpclose", ours(), function(cookie)
      n = n + 1
      if n == 2 then
        p:detach()
        p = nil
        collectgarbage()
        collectgarbage()
      end
      return cookie
    end)
    helper.traffic_facts("-c 5 echo4")
    assert.are.equal("idle", bpf.run(1))
    assert.is_true(n >= 2)
  end)

  it("goes on after events that a handler makes up, and errors that it catches", function()
    local seen, made, caught = {}, 0, 0
    local q = bpf.load("tcpconnect", function(pid)
      made = made + 1
      if pid % 2 == 1 then error("odd") end
    end)
    local p = bpf.attach("tcpclose", ours(), function(cookie, ended)
      once(seen, cookie, ended)
      local ok, why = pcall(q.inject, q, { pid = seen.n })
      if not ok then
        assert(why:find("odd", 1, true), why)
        caught = caught + 1
      end
    end)
    helper.traffic_facts("-c 5 echo4")
    assert.are.same({}, run_on())
    assert.are.equal(10, seen.n)
    assert.are.equal(10, made)
    assert.are.equal(5, caught)
    p:close()
    q:close()
  end)

  it("is not disturbed by a handler that stops the loop", function()
    local seen = {}
    local p = bpf.attach("tcpclose", ours(), function(cookie, ended)
      once(seen, cookie, ended)
      if seen.n == 4 then bpf.stop() end
    end)
    helper.traffic_facts("-c 5 echo4")
    assert.are.equal("stopped", bpf.run(2))
    assert.are.equal("timeout", bpf.run(0.1))
    assert.are.equal(10, seen.n)
    p:close()
  end)
end)

describe("the texts of addresses and names", function()
  it("are right, however many there are", function()
    local want, got = nil, nil
    local p <close> = bpf.load("tcpconnect", function(comm, daddr, saddr) got = { comm, daddr, saddr } end)
    local function check(i)
      want = { "c" .. i % 5000, ("10.%d.%d.%d"):format(i >> 16 & 255, i >> 8 & 255, i & 255),
        i & 0xffff == 0 and "::" or ("fd00::%x"):format(i & 0xffff) }
      p:inject { comm = want[1], daddr = want[2], saddr = want[3] }
      assert.are.same(want, got)
    end
    for i = 0, 30000 do check(i % 7 == 0 and i // 7 or i) end
    collectgarbage()
    for i = 0, 3000 do check(i * 37) end
    p:inject {}
    assert.are.same({ "", "::", "::" }, got)
  end)
end)
