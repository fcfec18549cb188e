-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Points (example/points.bpf.c): which are hooked, by what way, and exactly what is seen there.

local helper = require "helper"

local object = helper.out .. "/tests/points.bpf.o"
local WAYS = { "fentry", "multi", "kprobe" }
local PORT = 20000 + bpf.now() // 1000 % 20000

-- Compiling takes its time in an emulated machine: once for all of them, while nothing changes.
local function compile()
  local root = helper.root
  local _, status = helper.sh("for f in %s/bpf/*.h %s/spec/example/points.bpf.c; do"
    .. " [ %s -nt $f ] || exit 1; done", root, root, object)
  if status == 0 then return end
  local text
  text, status = helper.sh("mkdir -p %s/tests && clang -g -O2 -mcpu=v2 -target bpf"
    .. " -D__TARGET_ARCH_%s -fms-extensions -Wno-microsoft-anon-tag -I %s/bpf"
    .. " -c %s/spec/example/points.bpf.c -o %s", helper.out,
    helper.sh("uname -m"):match("x86") or "arm64", root, root, object)
  assert.are.equal(0, status, text)
end

-- Sends n datagrams to PORT, to nobody, on the loopback of a namespace of its own.
local function send(n, port)
  return ("unshare -n bash -c 'ip link set lo up; for ((i = 0; i < %d; i++)); do"
    .. " echo x >/dev/udp/127.0.0.1/%d; done' 2>/dev/null"):format(n, port or PORT)
end

local function point_of(p, name)
  for _, point in ipairs(p.points) do
    if point.name == name then return point end
  end
end

-- Is this way to hook functions there?
local function has(way)
  local p <close> = bpf.load(object, { way = way })
  return point_of(p, "ip_rcv").way == way
end

local function has_functions()
  local p <close> = bpf.load(object)
  return point_of(p, "ip_rcv").way ~= nil
end

-- "udp_rcv ip_rcv ...", sorted, with ">" behind those that are seen at their end. Hooks of netfilter
-- are in a new namespace only where the kernel has some of its own, which accept all.
local function names(events)
  local list = {}
  for _, ev in ipairs(events) do
    if ev.point ~= "nf_hook_slow" then
      list[#list + 1] = ev.point .. (ev.left and ">" or "")
    end
  end
  table.sort(list)
  return table.concat(list, " ")
end

local FUNCTIONS = "ip_finish_output ip_finish_output> ip_output ip_rcv net_dev_queue"
  .. " netif_receive_skb udp_rcv>"
local TRACEPOINTS = "net_dev_queue netif_receive_skb"

local function attach(opts, events)
  opts.where = "dport == " .. PORT
  return bpf.attach(object, opts, function(ev) events[#events + 1] = ev end)
end

describe("points", function()
  setup(compile)

  it("are those that are not optional, or those that are named", function()
    local function wanted(points)
      local p <close> = bpf.load(object, { points = points })
      local list = {}
      for _, point in ipairs(p.points) do
        if point.wanted then list[#list + 1] = point.name end
      end
      return table.concat(list, " ")
    end
    local usual = "net_dev_queue netif_receive_skb ip_rcv ip_output nf_hook_slow ip_finish_output"
      .. " tcp_v4_rcv br_handle_frame udp_rcv nowhere no_tracepoint"
    assert.are.equal(usual, wanted(nil))
    assert.are.equal(usual .. " optional_rcv", wanted("all"))
    assert.are.equal("net_dev_queue", wanted("net_dev_queue"))
    assert.are.equal("net_dev_queue netif_receive_skb no_tracepoint", wanted({ "device" }))
    assert.are.equal("net_dev_queue netif_receive_skb",
      wanted({ "netif_receive_skb", "net_dev_queue" }))
    assert.are.equal("net_dev_queue netif_receive_skb", wanted("netif_receive_skb, net_dev_queue"))
    assert.are.equal("net_dev_queue nf_hook_slow", wanted("netfilter,net_dev_queue"))
  end)

  it("have errors of one line that say what was expected", function()
    local function fails(points, message, name)
      local p, why = bpf.try_attach(name or object, { points = points })
      assert.is_nil(p)
      assert.are.equal("bpf.attach: " .. message, why)
    end
    local groups = "\nhint: groups of points are: device ip netfilter socket bridge all"
    fails("ip_rvc", "unknown point \"ip_rvc\", did you mean \"ip_rcv\"?" .. groups)
    fails({ "ip_rcv", "netfiltre" },
      "unknown point \"netfiltre\", did you mean \"netfilter\"?" .. groups)
    fails("", "unknown point \"\"" .. groups)
    fails({}, "bad option \"points\": expected names of points in a list, or with commas between,"
      .. " got table")
    fails({ 1 }, "bad option \"points\": expected names of points in a list, or with commas"
      .. " between, got integer")
    fails("no_tracepoint", "points: point \"no_tracepoint\" can't be seen here: this kernel has no"
      .. " tp_btf/no_such_tracepoint")
    fails("state", "'tcpclose' has no points to choose from", "tcpclose")
    if has_functions() then
      fails("nowhere", "points: point \"nowhere\" can't be seen here: this kernel has no function"
        .. " no_such_function")
    else
      fails("socket", "points: none of the points can be seen here (tcp_v4_rcv: this kernel lets no"
        .. " function be hooked: no fentry, no kprobes)")
    end
  end)

  it("say why they are not seen", function()
    local p <close> = bpf.load(object)
    local function check(name, way, where, why)
      local point = point_of(p, name)
      assert.are.same({ way, where, why }, { point.way or "", point.where, point.why })
    end
    check("net_dev_queue", "tracepoint", "tp_btf/net_dev_queue", "")
    check("no_tracepoint", "", "", "this kernel has no tp_btf/no_such_tracepoint")
    check("optional_rcv", "", "", "")
    check("nowhere", "", "", has_functions() and "this kernel has no function no_such_function"
      or "this kernel lets no function be hooked: no fentry, no kprobes")
    if has_functions() then -- its first alternative is not there
      check("ip_output", point_of(p, "ip_rcv").way, "ip_output", "")
    end
  end)

  it("that are tracepoints see a datagram", function()
    local events = {}
    local p <close> = attach({ points = "net_dev_queue,netif_receive_skb" }, events)
    os.execute(send(1))
    bpf.run(0.3)
    assert.are.equal(TRACEPOINTS, names(events))
    assert.is_true(events[1].wanted and events[2].wanted)
    assert.are.equal(events[1].skb, events[2].skb)
    assert.is_true(events[1].ts_ns < events[2].ts_ns)
    assert.are.equal(0, p:stats().missed)
  end)

  for _, way in ipairs(WAYS) do
    it("see each place of a datagram once, by " .. way, function()
      if not has(way) then return pending("this kernel has no " .. way) end
      local events = {}
      local p <close> = attach({ way = way }, events)
      os.execute(send(1))
      bpf.run(0.3)
      assert.are.equal(FUNCTIONS, names(events))
      for _, ev in ipairs(events) do
        assert.are.equal(events[1].skb, ev.skb)
        assert.are.equal(ev.point == "nf_hook_slow" and 1 or 0, ev.ret)
        assert.is_true(ev.wanted)
        assert.are.equal(ev.left, ev.spent_ns > 0)
      end
      assert.are.equal(0, p:stats().missed)
      -- once more, after a pause without any
      p:detach()
      os.execute(send(1))
      assert.are.equal(way, point_of(p, "udp_rcv").way)
      p:attach()
      os.execute(send(1))
      bpf.run(0.3)
      assert.are.equal(FUNCTIONS:gsub("[^ ]+", "%0 %0"), names(events))
    end)

    it("lose and double nothing while they get another where, by " .. way, function()
      if not has(way) then return pending("this kernel has no " .. way) end
      local n, count, changes = 300, {}, 0
      local p <close> = bpf.attach(object, { way = way, where = "dport == " .. PORT },
        function(ev)
          local name = ev.point .. (ev.left and ">" or "")
          count[name] = (count[name] or 0) + 1
        end)
      local child = helper.start(send(n))
      repeat
        changes = changes + 1
        p:where(("dport == %d and ts_ns > %d"):format(PORT, changes))
        bpf.run(0.02)
      until not os.execute(("kill -0 %d 2>/dev/null"):format(child.pid)) or changes > 500
      child.wait()
      bpf.run(0.3)
      assert.is_true(changes > 1)
      assert.are.equal(0, p:stats().dropped)
      for name in FUNCTIONS:gmatch("%S+") do
        assert.are.equal(n, count[name], name)
      end
    end)
  end

  it("hold nothing in the kernel once they are detached", function()
    local file = os.tmpname()
    local snapshot = assert(load(helper.snapshot_code(file)))
    local p = bpf.attach(object)
    snapshot()
    local ids, count = helper.held(file)
    assert.is_true(count > 5)
    p:close()
    snapshot()
    -- what all probes of this process share stays
    local shared = helper.held(file)
    for kind, list in pairs(shared) do
      for id in pairs(list) do ids[kind][id] = nil end
    end
    assert.is_nil(next(shared.prog))
    assert.is_nil(next(shared.link))
    local left, which = helper.still_there(ids)
    os.remove(file)
    assert.are.equal(0, left, which)
  end)

  it("come with their module, and go with it", function()
    if not os.getenv("VMRUN") then return pending("modules are loaded in virtual machines only") end
    assert(not helper.read("/proc/modules"):find("bridge "), "the module bridge is loaded already")
    local events = {}
    local p <close> = bpf.attach(object, { points = "br_handle_frame", way = "kprobe",
      where = "dport == " .. PORT }, function(ev) events[#events + 1] = ev end)
    local function state()
      local point = point_of(p, "br_handle_frame")
      return (point.way or "") .. ":" .. point.where .. ":" .. point.why
    end
    local function bridged()
      local text, status = helper.sh("unshare -n bash -ec '"
        .. "ip link add bridge0 type bridge; ip link add v type veth peer name w;"
        .. " ip link set v master bridge0; ip addr add 10.9.8.2/24 dev w;"
        .. " for i in bridge0 v w; do ip link set $i up; done;"
        .. " ip neigh add 10.9.8.9 lladdr ff:ff:ff:ff:ff:ff dev w; sleep 0.5;"
        .. " echo x >/dev/udp/10.9.8.9/%d'", PORT)
      assert.are.equal(0, status, text)
      bpf.run(0.3)
    end
    assert.are.equal("::the module bridge is not loaded", state())
    for round = 1, 2 do
      assert(os.execute("modprobe bridge"))
      helper.wait(10, function()
        bpf.run(0.2)
        return state() == "kprobe:br_handle_frame:"
      end)
      bridged()
      assert.are.equal(string.rep("br_handle_frame ", round):sub(1, -2), names(events))
      helper.wait(10, function() return os.execute("rmmod bridge 2>/dev/null") end)
      helper.wait(10, function()
        bpf.run(0.2)
        return state() == "::its module is not loaded"
      end)
    end
  end)
end)
