-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A packet's facts, as the probe podnet tells them, for the eye; and the options that scripts about
-- packets share.
--
--   local packet = require("bpfnet.packet")
--   print(packet.what(ev)) -- "tcp 10.1.0.2:4000 > 10.1.0.3:80 SYN seq 12"

local args = require("bpfnet.args")
local netns = require("bpfnet.netns")
local out = require("bpfnet.out")

local packet = {}

local function ids(max)
  return { type = "integer", list = true, min = 0, max = max }
end

local function words()
  return { type = "string", list = true }
end

---The filters of podnet as options, for args.parse().
packet.FILTERS = args.both(args.POD_FILTERS, {
  pid = ids(0x7fffffff),
  netns = { type = "id", list = true },
  ifname = words(),
  mark = ids(0xffffffff),
  vlan = ids(4094),
  family = { type = "word", list = true, words = { "ipv4", "ipv6", "arp", "other" } },
  proto = { type = "id", list = true },
  port = ids(65535),
  sport = ids(65535),
  dport = ids(65535),
  addr = words(),
  saddr = words(),
  daddr = words(),
})

---Makes the filter for bpf.attach() of the options: `netns` may be a name of `ip netns`.
---@param filter? table as args.parse() gives it
---@return table? filter
function packet.filter(filter)
  for i, id in ipairs(filter and filter.netns or {}) do
    filter.netns[i] = netns.id(id)
  end
  return filter
end

---Returns the line for when there is nothing to show: what was looked for, and how often something
---else was seen.
---@param things string as "packets"
---@param probe bpf.Probe
---@return string
function packet.none(things, probe)
  local options = table.concat(arg, " ")
  local seen = probe:stats().filtered
  return ("no %s%s%s"):format(things, options ~= "" and " with " .. options or "",
    seen > 0 and (" (%d times a packet was seen that was not wanted)"):format(seen) or "")
end

local ICMP = {
  [0] = "echo reply", [3] = "unreachable", [5] = "redirect", [8] = "echo request",
  [11] = "time exceeded", [12] = "bad parameter",
}
local ICMPV6 = {
  [1] = "unreachable", [2] = "too big", [3] = "time exceeded", [4] = "bad parameter",
  [128] = "echo request", [129] = "echo reply", [133] = "router solicitation",
  [134] = "router advertisement", [135] = "neighbour solicitation",
  [136] = "neighbour advertisement", [143] = "group report",
}
local ARP = { "request", "reply" }

local function icmp(ev, names)
  local kind = names[ev.icmp_type] or ("type %d"):format(ev.icmp_type)
  if kind:find("^echo") then
    return ("%s id %d seq %d"):format(kind, ev.icmp_id, ev.icmp_seq)
  end
  return ev.icmp_code ~= 0 and ("%s code %d"):format(kind, ev.icmp_code) or kind
end

-- What the protocol's own header says, or nil.
local function header(ev)
  if ev.frag_off > 1 then
    return ("fragment at %d"):format(ev.frag_off & ~1)
  elseif ev.family == "arp" then
    return ARP[ev.icmp_type]
  elseif ev.proto == "tcp" then
    local ack = (ev.tcp_flags or ""):find("ACK", 1, true) and " ack " .. ev.ack_seq or ""
    return ("%s seq %d%s"):format(ev.tcp_flags or "no flags", ev.seq, ack)
  elseif ev.proto == "icmp" then
    return icmp(ev, ICMP)
  elseif ev.proto == "icmpv6" then
    return icmp(ev, ICMPV6)
  end
end

---Returns both ends of a packet: "10.1.0.2:4000 > 10.1.0.3:80", without ports where it has none.
---@param saddr string
---@param sport integer 0: none
---@param daddr string
---@param dport integer
---@return string
function packet.ends(saddr, sport, daddr, dport)
  if sport == 0 and dport == 0 then
    return ("%s > %s"):format(saddr, daddr)
  end
  return ("%s > %s"):format(out.endpoint(saddr, sport), out.endpoint(daddr, dport))
end

-- Where it is from and where it goes, at a path's beginning if the event is a path.
local function first_ends(ev)
  if ev.first_saddr then
    return packet.ends(ev.first_saddr, ev.first_sport, ev.first_daddr, ev.first_dport)
  end
  return packet.ends(ev.saddr, ev.sport, ev.daddr, ev.dport)
end

---Returns the ends that a path's packet has at last, if they are not the first ones.
---@param ev table
---@return string? text nil if they are the same
function packet.changed(ev)
  local last = packet.ends(ev.saddr, ev.sport, ev.daddr, ev.dport)
  return ev.family ~= "other" and last ~= first_ends(ev) and last or nil
end

---Returns protocol, both ends and what the header says: "icmp 10.1.0.2 > 10.1.0.3 echo request id 7
---seq 1". The ends are those at a path's beginning, before they are translated.
---@param ev table event of podnet, with or without a path
---@return string
function packet.what(ev)
  if ev.family == "other" then
    return ("ether 0x%04x %s > %s"):format(ev.ether_type, ev.smac or "?", ev.dmac or "?")
  end
  local more = header(ev)
  local proto = ev.family == "arp" and "arp" or tostring(ev.proto)
  return ("%s %s%s"):format(proto, first_ends(ev), more and " " .. more or "")
end

---Returns the bytes of a packet: of its IP header on, where it has one.
---@param ev table
---@return integer
function packet.length(ev)
  return ev.ip_len ~= 0 and ev.ip_len or ev.len
end

---Returns the process: "curl[1234]".
---@param ev table
---@return string? text nil if it is not known
function packet.process(ev)
  return ev.pid ~= 0 and ("%s[%d]"):format(ev.comm, ev.pid) or nil
end

-- iptables has a table in a hook, nftables also a chain.
local function rules(at)
  local text = at.chain ~= "" and ("%s/%s"):format(at.table, at.chain) or at.table
  return text ~= "" and text or nil
end

---Returns where netfilter is and what it said: "forward filter/deny drop 1.2us".
---@param at table an event or a hop of a path: hook, table, chain, verdict, spent_ns
---@return string? text nil at other points
function packet.netfilter(at)
  local parts = {
    at.hook ~= "none" and at.hook or false, rules(at) or false,
    at.verdict ~= "none" and at.verdict or false, out.duration(at.spent_ns) or false,
  }
  local texts = {}
  for _, part in ipairs(parts) do
    texts[#texts + 1] = part or nil
  end
  return #texts > 0 and table.concat(texts, " ") or nil
end

---Returns how a path ended: "dropped (no_socket)", "delivered", "end not seen".
---@param ev table
---@return string
function packet.ending(ev)
  if ev.ended == "timeout" or ev.ended == "unseen" then
    return "end not seen"
  end
  return ev.reason and ("%s (%s)"):format(ev.ended, ev.reason) or ev.ended
end

-- Which way a packet goes where it passes a point. Those that are not here are passed both ways.
local WAYS = {
  ["in"] = "netif_rx napi_gro_receive netif_receive_skb br_handle_frame br_nf_pre_routing "
    .. "br_nf_pre_routing_finish br_handle_frame_finish br_pass_frame_up br_netif_receive_skb ip_rcv "
    .. "ip_rcv_finish ip_local_deliver ipv6_rcv ip6_rcv_finish ip6_input tcp_v4_rcv tcp_v6_rcv "
    .. "tcp_rcv_established udp_rcv udpv6_rcv icmp_rcv icmpv6_rcv sock_queue sock_read delivered "
    .. "prerouting input ingress",
  out = "ip_local_out ip_output ip_finish_output ip6_local_out ip6_output ip6_finish_output "
    .. "net_dev_queue qdisc_enqueue qdisc_dequeue net_dev_start_xmit br_forward_finish "
    .. "br_nf_post_routing br_nf_dev_queue_xmit output postrouting",
  through = "br_forward deliver_clone __br_forward br_nf_forward br_nf_forward_finish ip_forward "
    .. "ip6_forward forward",
}

local way_of = {}
for way, names in pairs(WAYS) do
  for name in names:gmatch("%S+") do
    way_of[name] = way
  end
end

---Returns which way a packet goes at a point: into the host through a device, out of it, or through.
---@param point string
---@param hook? string netfilter's, "none" if it is elsewhere
---@return "in"|"out"|"through"|nil way nil where it may be any
function packet.way(point, hook)
  return hook and way_of[hook] or way_of[point]
end

return packet
