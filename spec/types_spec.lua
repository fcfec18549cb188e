-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Types of fields whose texts the kernel knows: drop reasons, addresses, stacks.

local helper = require "helper"

local port = 4711 -- nobody listens in a namespace that has just been made

local function send(n)
  local text, status = helper.sh("unshare -n bash -c 'ip link set lo up;"
    .. " for ((i = 0; i < %d; i++)); do echo x >/dev/udp/127.0.0.1/%d; done'", n, port)
  assert(status == 0, text)
end

local function options(opts)
  opts.where = ("dport == %d"):format(port) .. (opts.where and " and " .. opts.where or "")
  return opts
end

describe("drop reasons, kernel symbols and stacks", function()
  local object = helper.out .. "/tests/drops.bpf.o"

  setup(function() helper.compile("spec/example/drops.bpf.c", object) end)

  it("are text in events", function()
    local got = {}
    local p = bpf.attach(object, options {}, function(ev) got[#got + 1] = ev end)
    send(3)
    bpf.run(0.1)
    p:close()
    assert.are.equal(3, #got)
    for _, ev in ipairs(got) do
      assert.are.equal("no_socket", ev.reason)
      assert.is_truthy(ev.location:find("^[%w_]*udp[%w_.]*%+0x%x+$"), ev.location)
      local frames = {}
      for frame in ev.stack:gmatch("[^;]+") do frames[#frames + 1] = frame end
      assert.is_true(#frames > 5, ev.stack)
      assert.is_truthy(frames[1]:find("skb", 1, true), "not the function with the tracepoint: "
        .. frames[1])
      local found
      for i, frame in ipairs(frames) do
        assert.is_nil(frame:find("^0x"), frame)
        if frame == ev.location then found = i end
      end
      assert.are.equal(2, found, ev.stack)
      assert.is_truthy(frames[#frames]:find("entry_SYSCALL_64", 1, true)
        or frames[#frames]:find("el0", 1, true), ev.stack)
      assert.is_true(tostring(ev):find("reason=no_socket", 1, true) > 0)
      local back = require("cjson").decode(ev:json())
      assert.are.equal(ev.location, back.location)
      assert.are.equal(ev.stack, back.stack)
      assert.are.equal("no_socket", back.reason)
    end
    -- the first one in a namespace takes another way through the neighbour table
    assert.are.equal(got[2].stack, got[3].stack)
  end)

  it("are tested in the kernel by the reason's name", function()
    local n = 0
    local p = bpf.attach(object, options { where = 'reason in {"no_socket", "netfilter_drop"}' },
      function() n = n + 1 end)
    local none = bpf.attach(object, options { where = 'reason == "udp_csum"' },
      function() n = n + 100 end)
    send(2)
    bpf.run(0.1)
    assert.are.equal(2, n)
    p:close()
    none:close()
  end)

  it("are keys of aggregations in the kernel", function()
    local p = bpf.load(object, options {})
    local agg = p:aggregate { by = { "reason", "location", "stack" } }
    local q = bpf.attach(object, options {})
    p:attach()
    send(5)
    local want, n = {}, 0
    local function see_events()
      for ev in q:events(0.1) do
        local key = ev.reason .. " " .. ev.location .. " " .. ev.stack
        want[key] = (want[key] or 0) + 1
        n = n + 1
      end
    end
    local function rows()
      local found = {}
      for _, row in ipairs(agg:rows()) do
        found[row.reason .. " " .. row.location .. " " .. row.stack] = row.count
      end
      return found
    end
    see_events()
    assert.are.equal(5, n)
    assert.are.same(want, rows())
    send(5)
    see_events()
    assert.are.equal(10, n)
    p:close()
    q:close()
    -- what is collected after the probe's end has its texts, too
    assert.are.same(want, rows())
  end)

  it("can be made up by their texts", function()
    local got
    local p = bpf.load(object)
    p:on_event(function(ev) got = ev end)
    p:inject { reason = "netfilter_drop", location = "ip_rcv+0x10", dport = 80 }
    assert.are.equal("netfilter_drop", got.reason)
    assert.are.equal("ip_rcv+0x10", got.location)
    assert.is_nil(got.stack)
    p:inject { reason = "9:5", location = 42 }
    assert.are.equal("9:5", got.reason)
    assert.are.equal("0x2a", got.location)
    p:inject {}
    assert.is_nil(got.reason)
    assert.is_nil(got.location)
    p:where('reason == "no_socket"')
    got = nil
    p:inject { reason = "netfilter_drop" }
    assert.is_nil(got)
    p:inject { reason = "no_socket" }
    assert.are.equal("no_socket", got.reason)
    p:close()
  end)

  it("get one clear message each when they are wrong", function()
    local p = bpf.load(object)
    local function fails(message, f, ...)
      local ok, why = pcall(f, p, ...)
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find(message, 1, true), why)
    end
    fails('expected drop reason, got "netfiler_drop", did you mean "netfilter_drop"?', p.inject,
      { reason = "netfiler_drop" })
    fails('expected kernel symbol, got "ip_rcvv+0x1"', p.inject, { location = "ip_rcvv+0x1" })
    fails('expected kernel stack, got "ip_rcv"', p.inject, { stack = "ip_rcv" })
    fails('column 11: "netfiler_drop" is no value of "reason", did you mean "netfilter_drop"?'
      .. ' (known: ', p.where, 'reason == "netfiler_drop"')
    fails('column 1: "location" is a kernel symbol, which can\'t be compared here', p.where,
      'location == "ip_rcv"')
    fails('column 5: "stack" is a kernel stack, which can\'t be compared here', p.where,
      'not stack == nil')
    p:close()
  end)
end)
