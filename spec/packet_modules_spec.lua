-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The modules that make the texts of scripts about packets, with made-up packets.

local helper = require("helper")

local function hop(ts_ns, point, netns, more)
  local h = { ts_ns = ts_ns, delta_ns = 0, point = point, netns = netns, ifname = "eth0", cpu = 1,
    context = "softirq", identity = "same", hook = "none", verdict = "none", table = "", chain = "" }
  for key, value in pairs(more or {}) do
    h[key] = value
  end
  return h
end

local function event(hops, more)
  local ev = { trace = 1, first_ns = 1000, ts_ns = hops[#hops].ts_ns, hops = hops, hops_lost = 0,
    family = "ipv4", proto = "udp", saddr = "10.0.0.1", daddr = "10.0.0.2", sport = 1, dport = 2,
    first_saddr = "10.0.0.1", first_daddr = "10.0.0.2", first_sport = 1, first_dport = 2, ip_len = 30,
    len = 44, frag_off = 0, pid = 0, comm = "", ended = "freed", hook = "none", verdict = "none",
    table = "", chain = "" }
  for key, value in pairs(more or {}) do
    ev[key] = value
  end
  return ev
end

describe("bpfnet.path", function()
  local path = require("bpfnet.path")
  local NS = 1 -- no namespace has this number

  it("puts what is the same once, and each branch where it left", function()
    local a, b, c = hop(1000, "netif_rx", NS), hop(2000, "ip_rcv", NS), hop(2500, "ip_forward", NS)
    local first = event({ a, b, c, hop(9000, "freed", NS) })
    local clone = event({ a, b, hop(4000, "net_dev_queue", 2, { identity = "clone", delta_ns = 2000 }),
      hop(5000, "dropped", 2) }, { ended = "dropped", reason = "no_socket", location = "f+0x1" })
    local second = event({ a, b, c, hop(6000, "net_dev_queue", NS, { identity = "clone" }) }, { ended = "timeout" })
    local expected = {
      "udp 10.0.0.1:1 > 10.0.0.2:2, 30 bytes: freed after 8.0us, 3 branches",
      "       0          netif_rx           eth0  1  softirq 1",
      "   1.0us          ip_rcv             eth0  1  softirq 1",
      "   3.0us   2.0us  +-  net_dev_queue  eth0  2  softirq 1  clone",
      "   4.0us          |   dropped        eth0  2  softirq 1  no_socket in f+0x1",
      "   1.5us          ip_forward         eth0  1  softirq 1",
      "   5.0us          +-net_dev_queue    eth0  1  softirq 1  clone",
      "                  | (end not seen)",
      "   8.0us          freed              eth0  1  softirq 1",
    }
    assert.are.same(expected, path.lines({ first, clone, second }))
    assert.are.same(expected, path.lines({ second, clone, first }))
  end)

  it("says what netfilter did, who dropped, and what was left out", function()
    local lines = path.lines({ event({
      hop(1000, "nf_hook_slow", NS, { hook = "prerouting", verdict = "accept", spent_ns = 1200 }),
      hop(2000, "nft_do_chain", NS, { hook = "forward", verdict = "drop", spent_ns = 900, table = "filter",
        chain = "deny" }),
      hop(3000, "dropped", NS, { context = "unknown", identity = "moved" }),
    }, { hops_lost = 3, ended = "dropped", reason = "netfilter_drop", location = "nft_do_chain+0x5", hook = "forward",
      verdict = "drop", table = "filter", chain = "deny", pid = 7, comm = "curl", daddr = "10.0.0.9",
      dport = 80 }) })
    assert.are.same({
      "udp 10.0.0.1:1 > 10.0.0.2:2, 30 bytes, curl[7]: dropped (netfilter_drop) after 2.0us",
      "  at the end 10.0.0.1:1 > 10.0.0.9:80",
      "       0          nf_hook_slow         eth0  1  softirq 1  prerouting accept 1.2us",
      "   1.0us          nft_do_chain         eth0  1  softirq 1  forward filter/deny drop 900ns",
      "   2.0us          dropped              eth0  1  cpu 1      moved, netfilter_drop in nft_do_chain+0x5 "
        .. "forward filter/deny drop",
      "                  (and 3 points more)",
    }, lines)
  end)

  it("stands paths that are the same, and paths that are another's beginning", function()
    local a, b = hop(1000, "netif_rx", NS), hop(2000, "ip_rcv", NS)
    local node = path.tree({ event({ a }), event({ a, b }), event({ a, b }) })
    assert.are.equal(1, #node.hops)
    assert.are.equal(2, #node.branches)
    assert.are.equal(0, #node.branches[1].hops)
    assert.are.equal(2, #node.branches[2].branches)
  end)
end)

describe("bpfnet.packet", function()
  local packet = require("bpfnet.packet")

  it("says what a packet is", function()
    local function what(more)
      return packet.what(event({ hop(1, "ip_rcv", 1) }, more))
    end
    assert.are.equal("tcp 10.0.0.1:1 > 10.0.0.2:2 SYN seq 5", what({ proto = "tcp", tcp_flags = "SYN", seq = 5 }))
    assert.are.equal("tcp 10.0.0.1:1 > 10.0.0.2:2 SYN|ACK seq 5 ack 9",
      what({ proto = "tcp", tcp_flags = "SYN|ACK", seq = 5, ack_seq = 9 }))
    assert.are.equal("udp [fd00::1]:1 > [fd00::2]:2",
      what({ first_saddr = "fd00::1", first_daddr = "fd00::2" }))
    local none = { first_sport = 0, first_dport = 0 }
    local function without_ports(more)
      for key, value in pairs(none) do
        more[key] = value
      end
      return what(more)
    end
    assert.are.equal("icmp 10.0.0.1 > 10.0.0.2 echo reply id 3 seq 4",
      without_ports({ proto = "icmp", icmp_type = 0, icmp_code = 0, icmp_id = 3, icmp_seq = 4 }))
    assert.are.equal("icmpv6 10.0.0.1 > 10.0.0.2 neighbour solicitation",
      without_ports({ proto = "icmpv6", icmp_type = 135, icmp_code = 0 }))
    assert.are.equal("icmp 10.0.0.1 > 10.0.0.2 type 44 code 2",
      without_ports({ proto = "icmp", icmp_type = 44, icmp_code = 2 }))
    assert.are.equal("arp 10.0.0.1 > 10.0.0.2 request", without_ports({ family = "arp", icmp_type = 1 }))
    assert.are.equal("99 10.0.0.1 > 10.0.0.2", without_ports({ proto = 99 }))
    assert.are.equal("udp 10.0.0.1 > 10.0.0.2 fragment at 1480", without_ports({ frag_off = 1481 }))
    assert.are.equal("ether 0x88cc 02:00:00:00:00:01 > ?",
      what({ family = "other", ether_type = 0x88cc, smac = "02:00:00:00:00:01" }))
  end)

  it("knows which way a packet goes at a point", function()
    assert.are.equal("in", packet.way("netif_rx"))
    assert.are.equal("out", packet.way("net_dev_queue", "none"))
    assert.are.equal("through", packet.way("nf_hook_slow", "forward"))
    assert.is_nil(packet.way("dropped"))
  end)
end)

describe("bpfnet.netns", function()
  local netns = require("bpfnet.netns")

  it("knows names of ip netns, processes, and numbers of what is unknown", function()
    local name = ("spec%d"):format(bpf.now())
    assert.are.equal("", (helper.sh("ip netns add %s", name)))
    local inode = netns.inode(netns.id(name))
    assert.are.equal(inode, math.tointeger(tonumber((helper.sh("stat -Lc %%i /run/netns/%s", name)))))
    local found
    local function is_known()
      found = netns.name(inode)
      return found ~= tostring(inode)
    end
    helper.wait(5, is_known) -- it looks every two seconds
    assert.are.equal(name, found)
    assert.are.equal("7", netns.name(7))
    assert.is_nil(netns.inode(netns.id("nowhere")))
    assert.are.equal(12, netns.id(12))
    assert.are.equal("/proc/1/ns/net", netns.id("/proc/1/ns/net"))
    local child = helper.start("unshare -n sh -c 'trap exit TERM; sleep 9 & wait'")
    local own = netns.inode("/proc/self/ns/net")
    inode = helper.wait(5, function()
      local there = netns.inode(("/proc/%d/ns/net"):format(child.pid))
      return there ~= own and there
    end)
    helper.wait(5, is_known)
    assert.are.equal("sh/" .. child.pid, found)
    child.kill("TERM")
    child.wait()
    helper.sh("ip netns del %s", name)
  end)
end)
