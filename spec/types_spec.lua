-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Types of fields whose texts the kernel knows: drop reasons, addresses, stacks; and lists.

local helper = require "helper"

-- Nobody listens in a namespace that has just been made.
local function send(n, port)
  local text, status = helper.sh("unshare -n bash -c 'ip link set lo up;"
    .. " for ((i = 0; i < %d; i++)); do echo x >/dev/udp/127.0.0.1/%d; done'", n, port)
  assert(status == 0, text)
end

local port = 4711

local function options(opts)
  opts.where = ("dport == %d"):format(port) .. (opts.where and " and " .. opts.where or "")
  return opts
end

-- A function that checks what a method of this probe says.
local function failing(p)
  return function(message, f, ...)
    local ok, why = pcall(f, p, ...)
    assert.is_false(ok)
    assert.is_truthy(tostring(why):find(message, 1, true), why)
  end
end

describe("drop reasons, kernel symbols and stacks", function()
  local object = helper.out .. "/tests/drops.bpf.o"

  setup(function() helper.compile("spec/example/drops.bpf.c", object) end)

  it("are text in events", function()
    local got = {}
    local p = bpf.attach(object, options {}, function(ev) got[#got + 1] = ev end)
    send(3, port)
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
    send(2, port)
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
    send(5, port)
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
    send(5, port)
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

  it("are numbers where addresses are hidden, and a warning says so once", function()
    local hidden = os.tmpname()
    helper.sh("sed 's/^[0-9a-f]*/0000000000000000/' /proc/kallsyms | head -1000 >%s", hidden)
    local text, status = helper.sh("unshare -m sh -c 'mount --bind %s /proc/kallsyms && exec %s run"
      .. " %s %s'", hidden, helper.bpfnet, "-e", ("\"local p = bpf.load([[%s]])"
      .. " p:on_event(function(location) print(location) end)"
      .. " p:inject { location = 4096 } p:inject { location = 4097 }\""):format(object))
    os.remove(hidden)
    assert.are.equal(0, status, text)
    assert.are.equal("0x1000\n0x1001\n", (text:gsub("[^\n]*kallsyms[^\n]*\n", "", 1)))
    assert.is_truthy(text:find("/proc/kallsyms hides addresses (hint: CAP_SYSLOG, kernel.kptr_restrict)", 1, true))
  end)

  it("get one clear message each when they are wrong", function()
    local p = bpf.load(object)
    local fails = failing(p)
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

describe("lists", function()
  local object = helper.out .. "/tests/path.bpf.o"
  local location = "ip_rcv+0x10"

  setup(function() helper.compile("spec/example/path.bpf.c", object) end)

  it("are lists of tables, as long as their event says and there is room", function()
    local got, args = {}, {}
    local p = bpf.attach(object, function(ev) got[#got + 1] = ev end)
    local q = bpf.attach(object, function(hops, nr_hops) args[#args + 1] = { #hops, nr_hops } end)
    send(5, 4712)
    bpf.run(0.1)
    p:close()
    q:close()
    assert.are.equal(5, #got)
    for i, ev in ipairs(got) do
      local n = math.min(i - 1, 3)
      assert.are.equal(i - 1, ev.nr_hops)
      assert.are.equal(n, #ev.hops)
      for k = 1, n do
        local hop = ev.hops[k]
        assert.are.equal("no_socket", hop.reason)
        assert.is_truthy(hop.at:find("udp", 1, true), hop.at)
        assert.are.equal(k > 1 and k - 1 or nil, hop.gap_ns)
        assert.are.equal(k > 1 and "other" or "first", hop.kind)
        assert.are.equal(k - 1, hop.nth)
        assert.is_nil(hop.error)
        assert.is_nil(hop.mac)
        assert.is_nil(hop.flags)
        assert.is_false(hop.last)
        assert.are.equal("", hop.dev)
        assert.are.equal("0.0.0.0", hop.addr)
      end
      assert.are.same({ "::1" }, ev.addrs)
      local back = require("cjson").decode(ev:json())
      assert.are.equal(n, #back.hops)
      assert.are.equal(n > 0 and "no_socket" or nil, n > 0 and back.hops[1].reason or nil)
    end
    assert.are.same({ { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 3 }, { 3, 4 } }, args)
  end)

  it("are made up, printed and encoded", function()
    local got
    local p = bpf.load(object)
    p:on_event(function(ev) got = ev end)
    local hop = { at = location, reason = "netfilter_drop", gap_ns = 5, kind = "other",
      error = "EPERM", port = 80, flags = "SYN|ACK", last = true, dev = "eth0",
      mac = "02:42:ac:11:00:02", addr = "10.0.0.1", nth = 7 }
    local text = '{"at":"ip_rcv+0x10","reason":"netfilter_drop","gap_ns":5,"kind":"other",'
      .. '"error":"EPERM","port":80,"flags":"SYN|ACK","last":true,"dev":"eth0",'
      .. '"mac":"02:42:ac:11:00:02","addr":"10.0.0.1","nth":7}'
    local none = '{"at":null,"reason":null,"gap_ns":null,"kind":"first","error":null,"port":0,'
      .. '"flags":null,"last":false,"dev":"","mac":null,"addr":"0.0.0.0","nth":0}'
    p:inject { hops = { hop, {} }, addrs = { "10.0.0.1", "fd00::1" }, dport = 80, nr_hops = 1 }
    assert.are.same({ hop, { kind = "first", port = 0, last = false, dev = "", addr = "0.0.0.0",
      nth = 0 } }, got.hops)
    assert.are.same({ "10.0.0.1", "fd00::1" }, got.addrs)
    assert.are.equal(2, got.nr_hops)
    assert.are.equal(text, bpf.json(got.hops[1]))
    assert.are.equal(('{"ts_ns":0,"nr_hops":2,"dport":80,"nr_addrs":2,"hops":[%s,%s],'
      .. '"addrs":["10.0.0.1","fd00::1"]}'):format(text, none), got:json())
    assert.are.equal(("path ts_ns=0 nr_hops=2 dport=80 nr_addrs=2 hops=[%s,%s]"
      .. ' addrs=["10.0.0.1","fd00::1"]'):format(text, none), tostring(got))
    assert.are.equal(text, tostring(got.hops[1]))
    -- what came is what goes
    local first = got
    got = nil
    p:inject(first)
    assert.are.same(first, got)
    p:inject { nr_hops = 200 }
    assert.are.equal(3, #got.hops)
    p:inject {}
    assert.are.equal('{"ts_ns":0,"nr_hops":0,"dport":0,"nr_addrs":0,"hops":[],"addrs":[]}',
      got:json())
    p:on_event(function(hops) got = hops end)
    p:inject { hops = { hop } }
    assert.are.same({ hop }, got)
    p:where("nr_hops > 1")
    got = nil
    p:inject { hops = { hop } }
    assert.is_nil(got)
    p:inject { hops = { hop, hop } }
    assert.are.equal(2, #got)
    p:close()
  end)

  it("can be pulled, and outlive their probe", function()
    local p = bpf.attach(object)
    send(4, 4712)
    local kept = {}
    for ev in p:events(0.1) do kept[#kept + 1] = ev end
    p:close()
    collectgarbage()
    assert.are.equal(4, #kept)
    assert.are.equal("no_socket", kept[4].hops[3].reason)
    assert.are.equal(kept[4]:json(), kept[4]:json())
    assert.is_truthy(tostring(kept[4].hops):find('^%[{"at":"[%w_]*udp'))
  end)

  it("get one clear message each when they are wrong", function()
    local p = bpf.load(object)
    local fails = failing(p)
    fails('field "hops": expected list, got string', p.inject, { hops = "ip_rcv" })
    fails('field "hops": expected list, got a table with names', p.inject,
      { hops = { at = "ip_rcv" } })
    fails('field "hops": at most 3 entries fit, got 4', p.inject, { hops = { {}, {}, {}, {} } })
    fails('field "hops", entry 2: expected a table with the fields of struct path_hop, got integer',
      p.inject, { hops = { {}, 5 } })
    fails('field "hops", entry 1: unknown field "reson", did you mean "reason"?', p.inject,
      { hops = { { reson = "no_socket" } } })
    fails('field "hops", entry 3: field "reason": expected drop reason, got "no_sokcet",'
      .. ' did you mean "no_socket"?', p.inject, { hops = { {}, {}, { reason = "no_sokcet" } } })
    fails('entry 1: field "addrs": expected address, got "x"', p.inject,
      { addrs = { "x" } })
    fails('column 1: "hops" is a list, which can\'t be compared here', p.where, "hops == nil")
    fails("hint: compare nr_hops, or the entries in the script", p.where, "hops == nil")
    fails('field "hops" is a list, which is no key', p.aggregate, { by = "hops" })
    fails('field "hops" is list, not an integer', p.aggregate, { sum = "hops" })
    fails('field "hops" is a list, which is no key', p.rate, { 10, by = "hops" })
    p:close()
  end)
end)
