-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- podnet: the whole way of known packets between pods, point by point, on whatever this kernel can
-- hook; nothing of another packet in it.

local helper = require "helper"
local pods = require "pods"
local watch = require "podnet_watch"
local ways = require "podnet_ways"

-- One world and one probe for each who filters: attaching to everything takes its time in a guest.
local watches = {}

local function with(fw)
  local world = watch.world("neigh fw=" .. fw)
  if world and not watches[fw] then watches[fw] = watch.attach(world, { paths = true }) end
  return watches[fw]
end

-- Last word of a location: the function, without what comes behind it.
local function in_function(location) return location and location:match("^[%w_]+") end

describe("podnet", function()
  teardown(function()
    for _, w in pairs(watches) do w:close() end
    watch.down()
  end)

  it("sees the points of a module that is loaded later", function()
    if not watch.guest then return pending("modules are loaded in virtual machines only") end
    if helper.read("/proc/modules"):find("bridge ") then
      return pending("the module bridge is loaded already")
    end
    local events = {}
    local p <close> = bpf.attach("podnet", { points = { "br_handle_frame" }, pcap = "icmp" },
      function(ev) events[#events + 1] = ev end)
    local world = watch.world("neigh fw=nft")
    if not world then return end
    helper.wait(20, function()
      bpf.run(0.2)
      return ways.seen_points(p).br_handle_frame
    end)
    world:packets("ping from=A to=10.1.0.3")
    helper.wait(20, function() bpf.run(0.2) return #events >= 2 end)
    assert.are.same({ "va", "vb" }, { events[1].ifname, events[2].ifname })
    assert.are.same({ "request", "reply" }, { events[1].icmp_type == 8 and "request",
      events[2].icmp_type == 0 and "reply" })
  end)

  for _, fw in ipairs { "nft", "legacy" } do
    it("tells the points of each packet, fw=" .. fw, function()
      local w = with(fw)
      if not w then return end
      local runs, expected, sport = {}, {}, 4000
      for _, way in ipairs { "A-B", "A-PEER", "PEER-A" } do
        for _, kind in ipairs { "ping", "udp", "tcp" } do
          for _, six in ipairs { false, true } do
            sport = sport + 1
            local run = pods.exchange(kind, way, six, fw, sport)
            runs[#runs + 1] = run.args
            local texts = ways.expected(w.seen, fw, kind, way, run)
            table.move(texts, 1, #texts, #expected + 1, expected)
          end
        end
      end
      w:run(runs)
      local paths = w:take(#expected)
      local traces, count = {}, 0
      for _, ev in ipairs(paths) do
        count = count + (traces[ev.trace] and 0 or 1)
        traces[ev.trace] = true
        assert.are.equal("first", ev.hops[1].identity)
      end
      helper.same_list(expected, w:texts(paths))
      assert.are.equal(6 * (2 + 2 + 11), count)
      watch.check(paths)
      w:check_losses()
    end)

    it("tells who dropped a packet, fw=" .. fw, function()
      local w = with(fw)
      if not w then return end
      local is = ways.kernel()
      for port, drop in pairs {
        [9999] = { "B", "10.1.0.3", "forward", "vb" }, [9998] = { "B", "fd01::3", "forward", "vb" },
        [9997] = { "HOST", "10.1.0.1", "input", "br0" },
      } do
        local at, to, hook, ifname = table.unpack(drop)
        w:run { ("udp from=A at=%s to=%s port=%d wait=50"):format(at, to, port) }
        local paths = w:take(1)
        local ev, rules = paths[1], w.seen[is.rules[fw]]
        local last = ev.hops[#ev.hops]
        watch.check(paths)
        assert.are.equal(1, #paths)
        assert.are.same({ "dropped", "dropped", ifname, is.reasons and "netfilter_drop" or nil },
          { ev.ended, last.point, last.ifname, ev.reason })
        -- since 6.8, and in stable kernels before, nftables frees by itself what a rule drops
        local freed_by = in_function(ev.location)
        if fw ~= "nft" or freed_by ~= "nft_do_chain" then assert.are.equal("nf_hook_slow", freed_by) end
        assert.are.same(w.seen.nf_hook_slow and { hook, to:find(":") and "ipv6" or "ipv4",
            rules and "filter" or "", rules and fw == "nft" and hook or "", "drop" }
            or { "none", "none", "", "", "none" },
          { ev.hook, ev.pf, ev.table, ev.chain, ev.verdict })
      end
    end)
  end

  it("tells that nobody listens, and the answer to it", function()
    local w = with("nft")
    if not w then return end
    w:run { "udp from=A to=10.1.0.3 port=81 sport=4000 wait=50",
      "udp from=A to=fd01::3 port=81 sport=4000 wait=50" }
    local paths = w:take(4)
    assert.are.equal(4, #paths)
    for i, family in ipairs { "ipv4", "ipv6" } do
      local ev, error = paths[2 * i - 1], paths[2 * i]
      assert.are.same({ family, "udp", 81, "dropped", ways.kernel().reasons and "no_socket" or nil, "none" },
        { ev.family, ev.proto, ev.dport, ev.ended, ev.reason, ev.hook })
      assert.are.equal(family == "ipv4" and "icmp 3 3" or "icmpv6 1 4",
        ("%s %d %d"):format(error.proto, error.icmp_type, error.icmp_code))
      assert.are.equal(ev.saddr, error.daddr)
      assert.are_not.equal(ev.trace, error.trace)
    end
  end)
end)
