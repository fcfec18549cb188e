-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- drops - which packets this host drops, why, and where in the kernel.
--
-- usage: bpfnet run drops [options]
--
--   --events               a line for each drop, as it happens, instead of a table
--   --stack                with the kernel's stack
--   --follow               follow packets to their drop: who sent them, and which of netfilter's
--                          hooks, tables and chains dropped them. Costs a microsecond or two for
--                          every packet, not just those that are dropped
--   --reason LIST          only these reasons: --reason no_socket,netfilter_drop
--   --all                  also what the kernel calls a drop but is no loss: see below
--   --interval SECONDS     time between two tables (default 5)
--   --rows N               lines of a table (default 20); JSON and CSV have all
--   --pid --netns --ifname --mark --vlan --family --proto --port --sport --dport --addr
--   --saddr --daddr        only packets that have these where they are dropped, with --follow where
--                          they are seen first. Commas between several: --port 80,443. netns is a
--                          name of `ip netns`, a path or a number; proto tcp, udp, icmp, icmpv6, ...
--                          or a number; addr an address or network
--   --pod --namespace --container --sidecar --label
--                          only in these pods' namespaces: --pod 'shop/cart-*' (NAMESPACE/NAME or
--                          NAME, with * and ?), --label app=cart
--   --labels cri|kube      who is asked for labels: the runtime, or the API server ($KUBECONFIG)
--   --pcap EXPRESSION      likewise, as for tcpdump
--   --where EXPRESSION     only drops for which it is true: 'ttl < 2 or len > 1500'
--   --duration SECONDS     stop by itself
--   --json, --csv          for programs: a row per line of a table ("kind": "drop", with --follow
--                          also "rule"; "span": "interval", at the end "total"), or per drop
--
-- example:
--   # bpfnet run drops --follow
--   02:32:38  all 6.3 s: 4 drops, 4 that are no loss left out (--all)
--     COUNT REASON             LOCATION                   DEVICE   NETNS        PROTO  DPORT PROCESS
--         2 no_socket          __udp4_lib_rcv+0x545       eth0     green        udp      777 packets
--         2 netfilter_drop     nft_do_chain+0x40f [nf_tables] br0  host         udp     9999 packets
--
--     COUNT HOOK        FAMILY TABLE        CHAIN          DEVICE   NETNS        PROTO  DPORT
--         2 forward     ipv4   -            -              br0      host         udp     9999
--
-- columns:
--   COUNT     packets
--   REASON    the kernel's name for it; "-" before 5.17, which had none
--   LOCATION  the function that dropped them
--   DEVICE NETNS  where they were; NETNS is "host", a pod, a name of `ip netns`, a process in it, or a number
--   PROTO DPORT   of the packets; "*": ports from net.ipv4.ip_local_port_range, counted together;
--             0: they have no ports
--   PROCESS   whose socket it was; "-": there is none, or it is not known. More with --follow
--   HOOK FAMILY TABLE CHAIN  netfilter's, with --follow, as far as it is known where the packet is dropped:
--             LOCATION says which function it was
--
-- No loss, and only counted: the reasons consumed, otherhost (for another host), queue_purge (left in
-- a socket that was closed) and unhandled_proto (nobody here speaks it); no_socket for ICMP (echo
-- replies that a raw socket got); not_specified in tcp_v4_rcv and tcp_v6_rcv (TIME_WAIT has answered
-- it); and what is of vsock, netlink or unix sockets. --reason shows those, too.
--
-- Most first. Drops are counted in the kernel; one that is not followed costs nothing until a packet
-- is dropped. On a terminal each table takes the place of the one before. Ctrl-C shows the whole time.

local args = require("bpfnet.args")
local clock = require("bpfnet.clock")
local live = require("bpfnet.live")
local netns = require("bpfnet.netns")
local out = require("bpfnet.out")
local packet = require("bpfnet.packet")
local script = require("bpfnet.script")
local top = require("bpfnet.top")

-- What the kernel calls a drop, but nobody misses.
local NO_LOSS = { consumed = true, otherhost = true, queue_purge = true, unhandled_proto = true }

local opt = args.parse(arg, {
  events = { type = "flag" },
  stack = { type = "flag" },
  follow = { type = "flag" },
  reason = { type = "string", list = true },
  all = { type = "flag" },
  interval = { type = "number", min = 0.1, max = 86400, default = 5 },
  rows = { type = "integer", min = 1, default = 20 },
  pcap = { type = "string" },
  where = { type = "string" },
}, packet.FILTERS)

local function is_loss(drop)
  if opt.all or opt.reason then
    return true
  elseif drop.reason == "no_socket" then
    return drop.proto ~= "icmp" and drop.proto ~= "icmpv6"
  elseif drop.reason == "not_specified" and (drop.location or ""):find("^tcp_v[46]_rcv%+") then
    return false
  end
  return not NO_LOSS[drop.reason] and not (drop.family == "other" and drop.ifname == "")
end

-- The ports that the host chooses for itself are all the same to the reader.
local function port_range()
  local file = io.open("/proc/sys/net/ipv4/ip_local_port_range")
  local first, last = (file and file:read("a") or ""):match("(%d+)%s+(%d+)")
  if file then
    file:close()
  end
  return tonumber(first) or 32768, tonumber(last) or 60999
end

local FIRST, LAST = port_range()

local function with_service_port(row)
  row.dport = (row.dport < FIRST or row.dport > LAST) and row.dport or "*"
  return row
end

-- All conditions in one expression.
local function where()
  local conditions = { 'point == "dropped"' }
  if opt.reason then
    local names = {}
    for i, name in ipairs(opt.reason) do
      names[i] = ("%q"):format(name)
    end
    conditions[#conditions + 1] = ("reason in {%s}"):format(table.concat(names, ", "))
  end
  if opt.where then
    conditions[#conditions + 1] = ("(%s)"):format(opt.where)
  end
  return table.concat(conditions, " and ")
end

local probe = script.load("podnet", {
  points = not opt.follow and { "dropped" } or nil,
  filter = packet.filter(opt.filter),
  pcap = opt.pcap,
  stack = opt.stack,
  where = where(),
})

local function netns_name(row)
  return row.netns and row.netns ~= 0 and netns.name(row.netns) or nil
end

local function print_stack(row)
  for frame in (row.stack or ""):gmatch("[^;]+") do
    io.write("    ", frame, "\n")
  end
end

-- One line per drop.
local function run_events()
  local seen, hidden = 0, 0
  local writer = out.new({
    format = opt.format,
    columns = {
      { title = "TIME", width = 8, value = "ts_ns", show = clock.hms },
      { title = "REASON", width = 16, value = "reason" },
      { title = "LOCATION", width = 24, value = "location" },
      { title = "DEVICE", width = 8, value = "ifname" },
      { title = "NETNS", width = 12, value = netns_name },
      { title = "PROCESS", width = 12, value = packet.process },
      { title = "RULES", width = 16, value = packet.netfilter },
      { title = "PACKET", width = 20, value = packet.what },
    },
    fields = table.move(probe.fields, 1, #probe.fields, 3, { "time", "netns_name" }),
  })
  probe:on_event(function(ev)
    if not is_loss(ev) then
      hidden = hidden + 1
      return
    end
    seen = seen + 1
    ev.time, ev.netns_name = clock.iso(ev.ts_ns), netns_name(ev)
    writer:row(ev)
    if opt.format == "table" then
      print_stack(ev)
    end
  end)
  script.start(probe)
  writer:header()
  bpf.run(opt.duration)
  probe:detach()
  if opt.format == "table" then
    print(seen > 0 and ("\n%d drops, %d that are no loss left out"):format(seen, hidden)
      or packet.none("drops", probe))
  end
  script.losses(probe)
end

local KEYS = { "reason", "location", "ifname", "netns", "family", "proto", "dport", "comm" }
local RULE_KEYS = { "hook", "pf", "table", "chain", "ifname", "netns", "proto", "dport" }

local function new_counts()
  local function make()
    return { count = 0 }
  end
  return { drops = top.new({ make = make }), rules = top.new({ make = make }), hidden = 0 }
end

local function merge(into, from)
  into.count = into.count + from.count
end

local function values(row, keys)
  local list = {}
  for i, name in ipairs(keys) do
    list[i] = row[name] or ""
  end
  return list
end

local function add(counts, rows, keys)
  for _, row in ipairs(rows) do
    merge(counts:get(table.unpack(values(row, keys))), row)
  end
  if rows.other then
    merge(counts:others(), rows.other)
  end
end

local function row_of(entry, keys, kind, span)
  local row = { kind = kind, span = span.name, time = span.time, seconds = span.seconds,
    count = entry.value.count }
  for i, name in ipairs(keys) do
    local value = entry.keys[i]
    row[name] = value ~= "" and value or nil
  end
  row.netns_name = netns_name(row)
  return row
end

local function rows_of(counts, keys, kind, span)
  local rows = {}
  for i, entry in ipairs(counts:list(function(a, b)
    return a.value.count > b.value.count
  end)) do
    rows[i] = row_of(entry, keys, kind, span)
  end
  return rows
end

local COUNT = { title = "COUNT", width = 7, right = true, value = "count" }
local PLACE = {
  { title = "DEVICE", width = 8, value = "ifname" },
  { title = "NETNS", width = 12, value = "netns_name" },
  { title = "PROTO", width = 6, value = "proto" },
  { title = "DPORT", width = 5, right = true, value = "dport" },
}
local FIELDS = {
  "kind", "span", "time", "seconds", "count", "reason", "location", "hook", "pf", "table",
  "chain", "ifname", "netns", "netns_name", "family", "proto", "dport", "comm",
  "stack",
}

local drop_writer = out.new({
  format = opt.format,
  columns = {
    COUNT,
    { title = "REASON", width = 18, value = "reason" },
    { title = "LOCATION", width = 26, value = "location" },
    PLACE[1], PLACE[2], PLACE[3], PLACE[4],
    { title = "PROCESS", width = 12, value = "comm" },
  },
  fields = FIELDS,
})

-- Rows of both kinds make one stream for programs, two tables for the eye.
local rule_writer = opt.format ~= "table" and drop_writer or out.new({
  format = opt.format,
  columns = {
    COUNT,
    { title = "HOOK", width = 11, value = "hook" },
    { title = "FAMILY", width = 6, value = "pf" },
    { title = "TABLE", width = 12, value = "table" },
    { title = "CHAIN", width = 14, value = "chain" },
    table.unpack(PLACE),
  },
  fields = FIELDS,
})

local function write_drops(rows)
  if not opt.stack or opt.format ~= "table" then
    drop_writer:block(rows, opt.rows)
    return
  end
  for _, row in ipairs(rows) do
    drop_writer:row(row)
    print_stack(row)
  end
end

local function heading(span, counts, rows)
  local n = 0
  for _, row in ipairs(rows) do
    n = n + row.count
  end
  if n == 0 and counts.hidden == 0 and span.name == "total" then
    print(packet.none("drops", probe))
    return
  end
  local hidden = counts.hidden > 0 and (", %d that are no loss left out (--all)"):format(counts.hidden)
  print(("%s: %d drops%s"):format(live.heading(span), n, hidden or ""))
end

local function run_tables()
  local keys = table.move(KEYS, 1, #KEYS, 1, {})
  keys[#keys + 1] = opt.stack and "stack" or nil
  local drops = probe:aggregate({ by = keys })
  local rules = opt.follow and probe:aggregate({ by = RULE_KEYS })
  local now, total = new_counts(), new_counts()

  local function collect()
    local rows, kept = drops:take(), {}
    for _, row in ipairs(rows) do
      if is_loss(row) then
        kept[#kept + 1] = with_service_port(row)
      else
        now.hidden = now.hidden + row.count
      end
    end
    kept.other = rows.other
    add(now.drops, kept, keys)
    kept = {}
    for _, row in ipairs(rules and rules:take() or {}) do
      kept[#kept + 1] = row.hook ~= "none" and with_service_port(row) or nil
    end
    add(now.rules, kept, RULE_KEYS)
  end

  local function show(span)
    collect()
    local counts = span.name == "total" and total or now
    local drop_rows = rows_of(counts.drops, keys, "drop", span)
    local rule_rows = rows_of(counts.rules, RULE_KEYS, "rule", span)
    if opt.format == "table" then
      heading(span, counts, drop_rows)
    end
    write_drops(drop_rows)
    if opt.format == "table" and #rule_rows > 0 then
      print()
    end
    rule_writer:block(rule_rows, opt.rows)
  end

  local function turn_over()
    collect()
    total.drops:merge(now.drops, merge)
    total.rules:merge(now.rules, merge)
    total.hidden = total.hidden + now.hidden
    now = new_counts()
  end

  script.start(probe)
  live.run({
    format = opt.format,
    interval = opt.interval,
    duration = opt.duration,
    probes = { probe },
    show = show,
    turn_over = turn_over,
  })
end

netns.look()
if opt.events then
  run_events()
else
  run_tables()
end
