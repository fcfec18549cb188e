-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- packet_path - the way of each packet through this host, as a tree of points with the times between.
--
-- usage: bpfnet run packet_path [options]
--
--   --pid --netns --ifname --mark --vlan --family --proto --port --sport --dport --addr
--   --saddr --daddr        only packets that have these where they are seen first; from there they
--                          are followed whatever becomes of them. Commas between several: --port
--                          80,443. netns is a name of `ip netns`, a path or a number; proto
--                          tcp, udp, icmp, icmpv6, ... or a number; addr an address or network
--   --pod --namespace --container --sidecar --label
--                          only in these pods' namespaces: --pod 'shop/cart-*' (NAMESPACE/NAME or
--                          NAME, with * and ?), --label app=cart
--   --labels cri|kube      who is asked for labels: the runtime, or the API server ($KUBECONFIG)
--   --pcap EXPRESSION      likewise, as for tcpdump: 'tcp[tcpflags] & tcp-syn != 0 and host 10.1.0.2'
--   --points LIST          only these points: names or groups of bpfnet probes podnet
--   --where EXPRESSION     only paths for which it is true: 'nr_hops > 20 and dport == 53'
--   --slower-than MS       only packets that took longer than this
--   --dropped              only packets that were dropped; with --slower-than both kinds
--   --count N              stop after this many packets
--   --timeout SECONDS      a packet of which nothing is seen for so long has ended (default 0.5)
--   --duration SECONDS     stop by itself
--   --json                 for programs: a line for each path, as soon as it has ended, clones for
--                          themselves: `trace` says what belongs together; exact numbers
--
-- example:
--   # bpfnet run packet_path --netns blue --proto udp --count 1
--   02:37:40 udp 10.1.0.2:45516 > 10.1.0.3:7777, 84 bytes, packets[22194]: dropped (no_socket) after 325us
--          0          net_dev_queue          eth0  blue   task 1
--      91us    91us  net_dev_start_xmit     eth0  blue   task 1
--     101us    10us    netif_rx             va    host   task 1
--     111us   9.7us    netif_receive_skb    va    host   softirq 1
--     127us    16us    net_dev_queue        vb    host   softirq 1
--     130us   2.7us    net_dev_start_xmit   vb    host   softirq 1
--     132us   2.8us      netif_rx           eth0  green  softirq 1
--     135us   3.1us      netif_receive_skb  eth0  green  softirq 1
--     325us   190us      dropped            eth0  green  softirq 1  no_socket in __udp4_lib_rcv+0x4bc
--
-- The first line has what the packet was at its first point (and below that what it was at last, if
-- addresses were translated), bytes from the IP header on, the process that sent it or got it, how
-- it ended, and the time between its first point and its last. Then a line for each point:
--
--   time since the first point; time since the point before
--   name of the point, indented by namespace: what is in the same one stands in the same column
--   device; namespace: "host", the pod, the name of `ip netns`, a process in it, or a number
--   what the CPU was doing (task, softirq, hardirq), and its number
--   for netfilter: hook, table/chain, verdict, and the time spent there; for a drop: reason, function
--
-- Clones, copies and parts stand below the point where they were made, behind "|". A tree is shown
-- when nothing more has come for a moment longer than --timeout. "end not seen": the packet's memory
-- was freed where this kernel has nothing to hook, as TCP does with data that was read.
--
-- How many points there are depends on the kernel: bpfnet probes podnet. Every point of a packet that is
-- followed costs the host a microsecond or more, and a path is 5 KB whatever its length: some thousand
-- packets a second can be shown, more are counted as lost or left out. On a busy host filter.

local args = require("bpfnet.args")
local clock = require("bpfnet.clock")
local hist = require("bpfnet.hist")
local netns = require("bpfnet.netns")
local out = require("bpfnet.out")
local packet = require("bpfnet.packet")
local path = require("bpfnet.path")
local script = require("bpfnet.script")

local HELD = 2000 -- packets that wait for the end of their clones
local ROUND_NS = 100000000 -- how long they are written at a time

local opt = args.parse(arg, {
  pcap = { type = "string" },
  points = { type = "string", list = true },
  where = { type = "string" },
  slower_than = { type = "number", min = 0.001, max = 3600000 },
  dropped = { type = "flag" },
  count = { type = "integer", min = 1 },
  timeout = { type = "number", min = 0.01, max = 60, default = 0.5 },
}, packet.FILTERS)
if opt.format == "csv" then
  script.fail("option \"--csv\": a path is a list, which CSV can't hold\nhint: --json", 2)
end

-- The engine looks for packets that have ended without a sign four times in a second.
local HOLD_NS = math.floor((opt.timeout + 0.3) * 1e9)

local held, in_order = {}, {}
local totals = { packets = 0, left_out = 0, ends = {}, times = hist.new() }

local function add_to_totals(events)
  local longest = 0
  totals.packets = totals.packets + 1
  for _, ev in ipairs(events) do
    totals.ends[ev.ended] = (totals.ends[ev.ended] or 0) + 1
    longest = math.max(longest, ev.duration_ns)
  end
  totals.times:add(longest)
end

local function show(entry)
  add_to_totals(entry.events)
  io.write(clock.hms(entry.first_ns), " ", table.concat(path.lines(entry.events), "\n"), "\n")
  if totals.packets == opt.count then
    bpf.stop()
  end
end

-- Those that nothing has come for since then, in the order in which they were seen first.
local function due(since_ns)
  local list = {}
  for _, entry in ipairs(in_order) do
    list[#list + 1] = entry.last_ns <= since_ns and entry or nil
  end
  table.sort(list, function(a, b)
    return a.first_ns < b.first_ns
  end)
  return list
end

-- Shows what is due, until a point in time: the next round goes on.
local function flush(since_ns, until_ns)
  for _, entry in ipairs(due(since_ns)) do
    if bpf.now() > until_ns or totals.packets == opt.count then
      break
    end
    held[entry.trace] = nil
    show(entry)
  end
  local kept = {}
  for _, entry in ipairs(in_order) do
    kept[#kept + 1] = held[entry.trace] == entry and entry or nil
  end
  in_order = kept
end

local function hold(ev)
  local entry = held[ev.trace]
  if not entry and #in_order == HELD then
    totals.left_out = totals.left_out + 1
    return
  elseif not entry then
    entry = { trace = ev.trace, first_ns = ev.first_ns, events = {} }
    held[ev.trace] = entry
    in_order[#in_order + 1] = entry
  end
  entry.last_ns = bpf.now()
  table.insert(entry.events, ev)
end

local function write_json(ev)
  ev.time = clock.iso(ev.ts_ns)
  for _, hop in ipairs(ev.hops) do
    hop.netns_name = netns.name(hop.netns)
  end
  io.write(ev:json(), "\n")
  totals.packets = totals.packets + 1
  if totals.packets == opt.count then
    bpf.stop()
  end
end

local function print_totals(probe)
  if totals.packets == 0 then
    print(packet.none("packets", probe))
    return
  end
  print(("\n%d packet%s, paths ended: %s"):format(totals.packets, totals.packets == 1 and "" or "s",
    out.counts(totals.ends)))
  print(("from first point to last: p50 %s, p99 %s, max %s"):format(
    out.duration(totals.times:quantile(0.5)), out.duration(totals.times:quantile(0.99)),
    out.duration(totals.times.max)))
  if totals.left_out > 0 then
    print(("%d paths more were left out: they came faster than they can be shown; filter"):format(totals.left_out))
  end
end

netns.look()
local probe = script.attach("podnet", {
  paths = true,
  filter = packet.filter(opt.filter),
  pcap = opt.pcap,
  points = opt.points,
  where = opt.where,
  slower_than = opt.slower_than and opt.slower_than / 1000,
  dropped = opt.dropped,
  timeout = opt.timeout,
}, opt.format == "json" and write_json or hold)
if opt.format == "table" then
  bpf.every(0.1, function()
    flush(bpf.now() - HOLD_NS, bpf.now() + ROUND_NS)
  end)
end
bpf.run(opt.duration)
probe:detach()
if opt.format == "table" then
  flush(bpf.now(), math.maxinteger)
  print_totals(probe)
end
script.losses(probe)
