-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- path_latency - how long packets take from each point of this host to the next.
--
-- usage: bpfnet run path_latency [options]
--
--   --between FROM,TO      the time between these two points instead, whatever is between them; up
--                          to eight pairs: --between ip_rcv,sock_read,ip_output,net_dev_queue
--   --points LIST          only these points: names or groups of bpfnet probes podnet. Fewer cost less
--   --interval SECONDS     time between two tables (default 5)
--   --rows N               lines of a table (default 30); JSON and CSV have all
--   --pid --netns --ifname --mark --vlan --family --proto --port --sport --dport --addr
--   --saddr --daddr        only packets that have these where they are seen first; from there they
--                          are followed whatever becomes of them. Commas between several: --port
--                          80,443. netns is a name of `ip netns`, a path or a number; proto tcp,
--                          udp, icmp, icmpv6, ... or a number; addr an address or network
--   --pod --namespace --container --sidecar --label
--                          only in these pods' namespaces: --pod 'shop/cart-*' (NAMESPACE/NAME or
--                          NAME, with * and ?), --label app=cart
--   --labels cri|kube      who is asked for labels: the runtime, or the API server ($KUBECONFIG)
--   --pcap EXPRESSION      likewise, as for tcpdump
--   --where EXPRESSION     only events for which it is true: 'delta_ns > 10us', with --between
--                          'span_ns > 1ms'
--   --duration SECONDS     stop by itself
--   --json, --csv          for programs: a row per line of a table, all of them ("span":
--                          "interval"); at the end for the whole time ("span": "total")
--
-- example:
--   # bpfnet run path_latency --netns blue --points device --rows 6
--   02:37:47  last 5.0 s: 326 packets, 1426 hops
--   FROM                     TO                       DEVICE   NETNS        DIR           N   P50   P90   P99   MAX
--   net_dev_start_xmit       netif_rx                 eth0     peer         in           20  21us  26us 328us 328us
--   netif_rx                 netif_receive_skb        va       host         in          180 8.5us  42us 148us 148us
--   netif_receive_skb        netif_receive_skb        br0      host         in           20  12us  48us  99us  99us
--   net_dev_queue            net_dev_start_xmit       eth0     blue         from        180 5.5us  18us  88us 1.1ms
--   netif_rx                 netif_receive_skb        eth0     green        in          160 3.6us  26us  84us  85us
--   net_dev_start_xmit       netif_rx                 eth0     green        in          160 2.9us  26us  77us 687us
--   ... and 7 more
--
-- columns:
--   FROM TO      the two points; for netfilter the hook as well
--   DEVICE NETNS where TO is; with --between both devices
--   DIR          in: comes in through that device; out: leaves through it; through: between two.
--                With --netns what is in that namespace goes "to" it or comes "from" it, and with
--                --ifname what is at that device goes "to" what is behind it or comes "from" there.
--                A packet is followed from where it is seen first, so with --netns all that is
--                elsewhere has come from there
--   N            packets that went so; P50 P90 P99: half of them, 90%, 99% took no longer (within
--                2.2%); MAX is exact
--
-- Slowest first, by P99. All of it is added up in the kernel and no event is sent: what it costs is some
-- time for each point that a packet passes (tests/bench/podnet). On a terminal each table takes the place of the one
-- before. Ctrl-C shows the whole time.

local args = require("bpfnet.args")
local hist = require("bpfnet.hist")
local live = require("bpfnet.live")
local netns = require("bpfnet.netns")
local out = require("bpfnet.out")
local packet = require("bpfnet.packet")
local script = require("bpfnet.script")
local top = require("bpfnet.top")

local opt = args.parse(arg, {
  between = { type = "string", list = true },
  points = { type = "string", list = true },
  interval = { type = "number", min = 0.1, max = 86400, default = 5 },
  rows = { type = "integer", min = 1, default = 30 },
  pcap = { type = "string" },
  where = { type = "string" },
}, packet.FILTERS)

local function pairs_of(names)
  if not names then
    return nil
  elseif #names % 2 == 1 then
    script.fail(("option \"--between\": expected pairs of points with commas between, got \"%s\"")
      :format(table.concat(names, ",")), 2)
  end
  local list = {}
  for i = 1, #names, 2 do
    list[#list + 1] = { names[i], names[i + 1] }
  end
  return list
end

-- Hops are events of one probe, spans those of another, with other names for the same things.
local HOP = { to = "point", time = "delta_ns", by = { "from", "point", "hook", "ifname", "netns" } }
local SPAN = { to = "to", time = "span_ns", by = { "from", "to", "from_ifname", "ifname", "netns" } }
local kind = opt.between and SPAN or HOP

local probe = script.load("podnet", {
  between = pairs_of(opt.between),
  points = opt.points,
  filter = packet.filter(opt.filter),
  pcap = opt.pcap,
  where = opt.where,
})
local counted = probe:aggregate({ by = kind.by, hist = kind.time, max = kind.time })

local function new_record()
  return hist.new({ unit = "ns" })
end

local now, total = top.new({ make = new_record }), top.new({ make = new_record })
local packets = { interval = 0, total = 0 }

local function collect()
  local rows = counted:take()
  for _, row in ipairs(rows) do
    if row.from == "unknown" then
      packets.interval = packets.interval + row.count
    else
      row.hist.max = row.max
      now:get(row.from, row[kind.to], row.hook or "none", row.from_ifname or "", row.ifname, row.netns)
        :merge(row.hist)
    end
  end
end

local inside, devices = {}, {}
for _, id in ipairs(opt.filter and opt.filter.netns or {}) do
  inside[netns.inode(id) or 0] = true
end
for _, name in ipairs(opt.filter and opt.filter.ifname or {}) do
  devices[name] = true
end

-- Towards what was asked for, or away from it; else through which side of the device.
local function direction(row)
  local way = packet.way(row.to, row.hook) or packet.way(row.from)
  if not way or way == "through" then
    return way
  elseif devices[row.ifname] then
    return way == "out" and "to" or "from"
  elseif inside[row.netns] and not next(devices) then
    return way == "in" and "to" or "from"
  end
  return way
end

local function to_text(row)
  return row.hook and ("%s %s"):format(row.to, row.hook) or row.to
end

local function device_text(row)
  return row.from_ifname and ("%s > %s"):format(row.from_ifname, row.ifname) or row.ifname
end

local writer = out.new({
  format = opt.format,
  columns = {
    { title = "FROM", width = 24, value = "from" },
    { title = "TO", width = 24, value = to_text },
    { title = "DEVICE", width = opt.between and 15 or 8, value = device_text },
    { title = "NETNS", width = 12, value = "netns_name" },
    { title = "DIR", width = 7, value = "direction" },
    { title = "N", width = 7, right = true, value = "count" },
    { title = "P50", width = 5, right = true, value = "p50_ns", show = out.duration },
    { title = "P90", width = 5, right = true, value = "p90_ns", show = out.duration },
    { title = "P99", width = 5, right = true, value = "p99_ns", show = out.duration },
    { title = "MAX", width = 5, right = true, value = "max_ns", show = out.duration },
  },
  fields = {
    "span", "time", "seconds", "from", "to", "hook", "from_ifname", "ifname", "netns", "netns_name",
    "direction", "count", "p50_ns", "p90_ns", "p99_ns", "max_ns",
  },
})

local function known(text)
  return text ~= "" and text ~= "none" and text or nil
end

local function row_of(entry, span)
  local from, to, hook, from_ifname, ifname, ns = table.unpack(entry.keys)
  local times = entry.value
  local row = {
    span = span.name, time = span.time, seconds = span.seconds,
    from = from or "(others)", to = to or "", hook = hook and known(hook),
    from_ifname = from_ifname and known(from_ifname), ifname = ifname and known(ifname), netns = ns,
    netns_name = ns and ns ~= 0 and netns.name(ns) or nil, count = times.count,
    p50_ns = times:whole_quantile(0.5), p90_ns = times:whole_quantile(0.9),
    p99_ns = times:whole_quantile(0.99), max_ns = times.max,
  }
  row.direction = direction(row)
  return row
end

local function slower(a, b)
  if a.p99_ns ~= b.p99_ns then
    return a.p99_ns > b.p99_ns
  end
  return a.count > b.count
end

local function print_heading(span, rows)
  local n = 0
  for _, row in ipairs(rows) do
    n = n + row.count
  end
  if n == 0 and span.name == "total" then
    print(packet.none("packets", probe))
  elseif opt.between then
    print(("%s: %d times"):format(live.heading(span), n))
  else
    print(("%s: %d packets, %d hops"):format(live.heading(span), packets[span.name], n))
  end
end

local function show(span)
  collect()
  local rows = {}
  for i, entry in ipairs((span.name == "total" and total or now):list()) do
    rows[i] = row_of(entry, span)
  end
  table.sort(rows, slower)
  if opt.format == "table" then
    print_heading(span, rows)
  end
  writer:block(rows, opt.rows)
end

local function turn_over()
  collect()
  total:merge(now, function(into, from)
    into:merge(from)
  end)
  now:clear()
  packets.total, packets.interval = packets.total + packets.interval, 0
end

netns.look()
script.start(probe)
live.run({
  format = opt.format,
  interval = opt.interval,
  duration = opt.duration,
  probes = { probe },
  show = show,
  turn_over = turn_over,
})
