-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- podnet under traffic that changes packets on their way: segments, merged and cut, clones, tunnels,
-- fragments, floods. What is kept of a packet's identity, and what is not.

local helper = require "helper"
local watch = require "podnet_watch"
local ways = require "podnet_ways"

local PACKETS = helper.out .. "/tests/packets"
-- The points of devices are seen everywhere; with them all that can be seen of parts and ends.
local DEVICES = { "device", "end", "tcp_rcv_established" }

-- "net_dev_queue@A eth0 ... = end" of each path, and how often
local function shapes(w, paths)
  local count = {}
  for _, ev in ipairs(paths) do
    local text = ways.text(w.names, ev):gsub("^[^\n]*\n ", ""):gsub("\n ", " | ")
    count[text] = (count[text] or 0) + 1
  end
  return count
end

-- Bytes of TCP's payload that these packets have; all have 12 bytes of options.
local function payload(paths)
  local sum = 0
  for _, ev in ipairs(paths) do sum = sum + ev.ip_len - 52 end
  return sum
end

local function select_paths(paths, f)
  local list = {}
  for _, ev in ipairs(paths) do
    if f(ev) then list[#list + 1] = ev end
  end
  return list
end

local function place(w, hop) return hop.point .. "@" .. w.names[hop.netns] .. " " .. hop.ifname end

-- Data that A sends to B.
local function data(ev) return ev.first_dport == 80 and not (ev.tcp_flags or ""):find("SYN") end

-- Every path is a piece of the way between A and B, in order; nothing twice, nothing of another.
local function check_bulk(w, paths)
  local function order(a, b, va, vb)
    local places = { "net_dev_queue@" .. a, "net_dev_start_xmit@" .. a, "napi_gro_receive@HOST " .. va,
      "netif_rx@HOST " .. va, "netif_receive_skb@HOST " .. va, "net_dev_queue@HOST " .. vb,
      "net_dev_start_xmit@HOST " .. vb, "napi_gro_receive@" .. b, "netif_rx@" .. b,
      "netif_receive_skb@" .. b }
    local at = {}
    for i, p in ipairs(places) do at[p] = i end
    return at
  end
  local there, back = order("A eth0", "B eth0", "va", "vb"), order("B eth0", "A eth0", "vb", "va")
  for _, ev in ipairs(paths) do
    local at, last = ev.first_dport == 80 and there or back, 0
    for _, hop in ipairs(ev.hops) do
      local i = at[place(w, hop)]
      if i then
        assert.is_true(i > last, ways.text(w.names, ev))
        last = i
      else
        assert.is_truthy(hop.point:find("^tcp_rcv") or hop.point == ev.ended, ways.text(w.names, ev))
      end
    end
    assert.are.same({ ev.first_saddr, ev.first_sport, ev.first_daddr, ev.first_dport },
      { ev.saddr, ev.sport, ev.daddr, ev.dport })
  end
  watch.check(paths)
  w:check_losses()
end

-- A stream of 1 MiB from A to B; with offloads off, each segment by itself.
local function bulk(options, offloads)
  local world = watch.world(options)
  if not world then return end
  for _, what in ipairs { "tso", "gso" } do
    local text, status = world:exec("A", ("%s %s %s eth0"):format(PACKETS, what, offloads))
    assert.are.equal(0, status, text)
  end
  local w = watch.attach(world, { paths = true, points = DEVICES })
  local facts = w:run { "bulk from=A at=B to=10.1.0.3 port=80 mib=1" }[1]
  assert.are.equal(1 << 20, facts.server_bytes)
  return w, w:take(20)
end

describe("podnet", function()
  teardown(watch.down)

  it("follows big segments", function()
    local w, paths = bulk("neigh gro=off", "on")
    if not w then return end
    check_bulk(w, paths)
    assert.are.equal(1 << 20, payload(select_paths(paths, data)))
    for _, ev in ipairs(paths) do
      assert.are.equal("net_dev_queue", ev.hops[1].point)
      assert.are.equal("first", ev.hops[1].identity)
    end
    w:close()
  end)

  -- The big one is freed where it is cut. Where functions can't be hooked, the segments are new packets.
  it("follows what big segments are cut into", function()
    local w, paths = bulk("neigh gro=off", "off")
    if not w then return end
    check_bulk(w, paths)
    local hooked = w.seen.skb_segment
    local cut = select_paths(paths, function(ev) return data(ev) and ev.hops[2].point == "freed" end)
    local big = {}
    for _, ev in ipairs(cut) do
      assert.are.equal("net_dev_queue@A eth0", place(w, ev.hops[1]))
      big[ev.trace] = true
    end
    assert.is_true(#cut > 0)
    local arrived = select_paths(paths, function(ev) return data(ev) and ev.hops[2].point ~= "freed" end)
    assert.are.equal(1 << 20, payload(arrived))
    local segments = 0
    for _, ev in ipairs(arrived) do
      local xmit = ev.hops[1].point == "net_dev_start_xmit" and 1 or 2
      if ev.hops[xmit].identity == "segment" or (not hooked and xmit == 1) then
        segments = segments + 1
        assert.are.equal(hooked and true or nil, big[ev.trace])
        assert.is_true(ev.ip_len <= 1500)
      end
    end
    assert.is_true(segments > 2 * #cut)
    w:close()
  end)

  it("follows segments that are merged", function()
    local w, paths = bulk("neigh gro=on", "off")
    if not w then return end
    check_bulk(w, paths)
    local arrived = select_paths(paths, function(ev)
      return data(ev) and ev.ifname == "eth0" and w.names[ev.netns] == "B"
    end)
    -- those that went into another end where that was, or nothing tells of their end
    local merged = select_paths(paths, function(ev)
      local last = ev.hops[#ev.hops]
      return data(ev) and ev.ifname == "va" and (last.point == "napi_gro_receive" or last.point == "merged"
        or last.point == "freed")
    end)
    assert.are.equal(1 << 20, payload(arrived))
    -- an emulated machine is too slow for many to be there at once
    assert.is_true(watch.guest or #merged > #arrived)
    w:close()
  end)

  it("keeps apart what looks the same", function()
    local world = watch.world("neigh fw=none")
    if not world then return end
    local w <close> = watch.attach(world, { paths = true, points = { "device" } })
    local n = watch.guest and 5 or 30
    local runs = {}
    for i = 1, n do
      runs[2 * i - 1] = "udp from=A at=B to=fd01::3 port=80 sport=" .. 4000 + i
      runs[2 * i] = "udp from=B at=A to=fd01::2 port=80 sport=" .. 4000 + i
    end
    w:run(runs)
    local paths = w:take(4 * n)
    local count = shapes(w, paths)
    assert.are.equal(4 * n, #paths)
    local there = "net_dev_queue@A eth0 | net_dev_start_xmit@A eth0 | netif_rx@HOST va |"
      .. " netif_receive_skb@HOST va | net_dev_queue@HOST vb | net_dev_start_xmit@HOST vb |"
      .. " netif_rx@B eth0 | netif_receive_skb@B eth0 | = unknown"
    for text, times in pairs(count) do
      text = text:gsub("= %l+$", "= unknown")
      assert.are.equal(2 * n, times)
      if text ~= there then
        assert.are.equal(there, (text:gsub("[AB] ", { ["A "] = "B ", ["B "] = "A " })
          :gsub("v[ab]", { va = "vb", vb = "va" })))
      end
    end
  end)

  it("tells a clone from its original", function()
    local world = watch.world("neigh fw=none")
    if not world then return end
    local w <close> = watch.attach(world, { paths = true, points = { "device", "packet", "sock_read", "end" } })
    local _, _, tap = world:tap("dev=va", { "HOST" }, { "udp from=A at=B to=10.1.0.3 port=80 sport=4000" })
    local paths = w:take(4)
    local read = select_paths(paths, function(ev) return ev.pid == tap.tap_pid end)
    assert.are.same({ 2, 4 }, { #read, #paths })
    for i, ev in ipairs(read) do
      local clones, original = {}, nil
      for _, hop in ipairs(ev.hops) do
        if hop.identity == "clone" then clones[#clones + 1] = hop.point end
      end
      for _, other in ipairs(paths) do
        if other.trace == ev.trace and other ~= ev then original = other end
      end
      assert.are.equal("delivered", ev.ended)
      -- where skb_clone() can't be hooked it is known only when it is read, with all that its original
      -- has passed till then; what is sent is cloned before packet_rcv(), what comes in within it
      assert.are.same({ i == 2 and w.seen.skb_clone and "packet_rcv" or "sock_read" }, clones)
      local tapped = ev.hops[#ev.hops - 2]
      assert.are.equal(w.seen.skb_clone and "HOST" or w.names[original.netns], w.names[tapped.netns])
      assert.are.equal(i == 1 and "B" or "A", w.names[original.netns])
      for _, hop in ipairs(original.hops) do
        assert.are.equal(hop == original.hops[1] and "first" or "same", hop.identity)
      end
    end
  end)

  it("follows big frames and options of IPv6", function()
    local world = watch.world("neigh fw=none mtu=9000")
    if not world then return end
    local w <close> = watch.attach(world, { paths = true, points = { "device" } })
    w:run { "udp from=A at=B to=10.1.0.3 port=80 sport=4000 len=8900",
      "udp from=A at=B to=fd01::3 port=80 sport=4001 len=5 dstopts=16" }
    local paths = w:take(4)
    assert.are.equal(4, #paths)
    for i, ev in ipairs(paths) do
      assert.are.equal(8, #ev.hops)
      assert.are.equal(i <= 2 and 8928 or i == 3 and 40 + 16 + 8 + 5 or 40 + 8 + 5, ev.ip_len)
      assert.are.equal("udp", ev.proto)
    end
  end)

  it("follows fragments, each as a packet of its own", function()
    local world = watch.world("neigh fw=none mtu=9000")
    if not world then return end
    local w <close> = watch.attach(world, { paths = true, points = { "device" } })
    w:run { "udp from=A at=B to=10.1.0.3 port=80 sport=4000 len=20000" }
    local seen = {}
    for _, ev in ipairs(w:take(6)) do
      if ev.first_saddr == "10.1.0.2" then seen[ev.frag_off] = place(w, ev.hops[#ev.hops]) end
    end
    -- the first has ports; 1 is added where more follow
    assert.are.same({ [1] = "netif_receive_skb@B eth0", [8977] = "netif_receive_skb@B eth0",
      [17952] = "netif_receive_skb@B eth0" }, seen)
  end)

  it("follows packets through a VLAN", function()
    local world = watch.world("neigh vlan")
    if not world then return end
    local w <close> = watch.attach(world, { paths = true, points = { "device" } })
    w:run { "udp from=A at=B to=10.5.0.3 port=80 sport=4000" }
    -- on a slow machine the groups of the new addresses are being reported still
    local paths = select_paths(w:take(2), function(ev) return ev.first_saddr == "10.5.0.2" end)
    local places = {}
    for _, ev in ipairs(paths) do
      for _, hop in ipairs(ev.hops) do places[#places + 1] = place(w, hop) end
    end
    assert.are.equal("net_dev_queue@A eth0.5 | net_dev_start_xmit@A eth0.5 | net_dev_queue@A eth0 |"
      .. " net_dev_start_xmit@A eth0 | netif_rx@HOST va | netif_receive_skb@HOST va |"
      .. " net_dev_queue@HOST vb | net_dev_start_xmit@HOST vb | netif_rx@B eth0 |"
      .. " netif_receive_skb@B eth0", table.concat(places, " | "))
    -- what a bridge that filters VLANs hands on is a new packet: that much is lost, and no more
    assert.is_true(#paths <= 2)
    if paths[2] then assert.are.equal("net_dev_queue@HOST vb", place(w, paths[2].hops[1])) end
  end)

  it("follows packets into a tunnel and out of it", function()
    local world = watch.world("neigh fw=none vxlan mtu=9000")
    if not world then return end
    local w <close> = watch.attach(world, { paths = true, points = { "device" } })
    w:run { "udp from=A at=PEER to=10.3.0.2 port=80 sport=4000 len=5" }
    local paths = w:take(2)
    assert.are.equal(2, #paths)
    for i, ev in ipairs(paths) do
      local changes = {}
      for _, hop in ipairs(ev.hops) do
        if hop.identity:find("capsulated") then
          changes[#changes + 1] = hop.identity .. "@" .. w.names[hop.netns] .. " " .. hop.ifname
        end
      end
      assert.are.same(i == 1 and { "encapsulated@HOST vp", "decapsulated@PEER vx0" }
        or { "encapsulated@PEER eth0", "decapsulated@HOST vx0" }, changes)
      assert.are.same({ "A eth0", "PEER vx0" }, i == 1
        and { place(w, ev.hops[1]):match("@(.*)"), place(w, ev.hops[#ev.hops]):match("@(.*)") }
        or { place(w, ev.hops[#ev.hops]):match("@(.*)"), place(w, ev.hops[1]):match("@(.*)") })
      assert.are.same({ ev.first_saddr, ev.first_daddr }, { ev.saddr, ev.daddr })
    end
  end)

  it("accounts for each packet of a flood", function()
    local world = watch.world("neigh fw=none")
    if not world then return end
    local n = watch.guest and 1000 or 20000
    local w <close> = watch.attach(world, { paths = true, points = { "device" }, buffer = 65536,
      pcap = "udp port 80" })
    local facts = w:run { ("flood from=A at=B to=10.1.0.3 port=80 n=%d len=100"):format(n) }[1]
    local function accounted()
      local stats = w.probe:stats()
      return stats.events + stats.dropped + stats.untracked
    end
    helper.wait(30, function()
      bpf.run(0.1)
      return accounted() >= n
    end)
    local paths, stats = w:take(0), w.probe:stats()
    assert.are.same({ n, n }, { facts.sent, accounted() })
    assert.are.equal(stats.events, #paths)
    assert.is_true(#paths > 0 and stats.dropped > 0)
    watch.check(paths)
    for text in pairs(shapes(w, paths)) do
      assert.are.equal("net_dev_queue@A eth0 | net_dev_start_xmit@A eth0 | netif_rx@HOST va |"
        .. " netif_receive_skb@HOST va | net_dev_queue@HOST vb | net_dev_start_xmit@HOST vb |"
        .. " netif_rx@B eth0 | netif_receive_skb@B eth0", (text:gsub(" | = %l+$", "")))
    end
  end)
end)
