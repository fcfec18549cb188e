-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Which points the packets of pods.lua pass, and what podnet says of them, as lines of the same form:
--
--   udp - 10.1.0.2 4000 10.2.0.2 80 > 10.2.0.1 4000 10.2.0.2 80
--    net_dev_queue@A eth0
--    ...
--    = delivered
--
-- One table serves all kernels: what the running one has no way to see is left out.

local pods = require "pods"

local ways = {}

-- The same points of IPv6.
local SIX = {
  ip_local_out = "ip6_local_out", ip_output = "ip6_output", ip_finish_output = "ip6_finish_output",
  ip_rcv = "ipv6_rcv", ip_rcv_finish = "ip6_rcv_finish", ip_local_deliver = "ip6_input",
  ip_forward = "ip6_forward", tcp_v4_rcv = "tcp_v6_rcv", udp_rcv = "udpv6_rcv",
  icmp_rcv = "icmpv6_rcv",
}

-- What is passed, in order. "@device": from here on there. Behind a colon netfilter's hook; "nat" and
-- "filter" are the tables, by whoever filters. Behind "?" is a condition, see conditions().
local OUT = "ip_local_out?sends nf_hook_slow:output?sends ip_output nf_hook_slow:postrouting"
  .. " ip_finish_output net_dev_queue net_dev_start_xmit"
local IN = "netif_rx netif_receive_skb"
local ROUTED = "ip_output nat:postrouting?new nf_hook_slow:postrouting ip_finish_output"
  .. " net_dev_queue net_dev_start_xmit"
local DELIVER = IN .. " ip_rcv ip_rcv_finish ip_local_deliver"
local INTO_BRIDGE = "@va " .. IN .. " br_handle_frame br_nf_pre_routing @br0 nat:prerouting?new"
  .. " nf_hook_slow:prerouting br_nf_pre_routing_finish @va nf_hook_slow:prerouting"
  .. " br_handle_frame_finish"
local BRIDGED = "@va br_forward __br_forward @vb br_nf_forward filter:forward nf_hook_slow:forward"
  .. " br_nf_forward_finish nf_hook_slow:forward br_forward_finish br_nf_post_routing"
  .. " nat:postrouting?new nf_hook_slow:postrouting?nested br_nf_dev_queue_xmit net_dev_queue"
  .. " net_dev_start_xmit"
local TO_HOST = "@va br_pass_frame_up @br0 nf_hook_slow:input?bridge_input netif_receive_skb ip_rcv"
  .. " ip_rcv_finish"
local OUT_OF_BRIDGE = "@br0 br_forward __br_forward @va br_forward_finish br_nf_post_routing"
  .. " nf_hook_slow:postrouting net_dev_queue net_dev_start_xmit"

-- The places of each way, with their points.
local STRETCHES = {
  ["A-B"] = {
    { "A", "@eth0 " .. OUT }, { "HOST", INTO_BRIDGE .. " " .. BRIDGED }, { "B", "@eth0 " .. DELIVER },
  },
  ["A-PEER"] = {
    { "A", "@eth0 " .. OUT },
    { "HOST", INTO_BRIDGE .. " " .. TO_HOST .. " ip_forward filter:forward nf_hook_slow:forward @vp "
      .. ROUTED },
    { "PEER", "@eth0 " .. DELIVER },
  },
  ["PEER-A"] = {
    { "PEER", "@eth0 " .. OUT },
    { "HOST", "@vp " .. IN .. " ip_rcv nat:prerouting?new nf_hook_slow:prerouting ip_rcv_finish"
      .. " ip_forward filter:forward nf_hook_slow:forward @br0 " .. ROUTED .. " " .. OUT_OF_BRIDGE },
    { "A", "@eth0 " .. DELIVER },
  },
}

-- What becomes of each packet of an exchange at its receiver, and how that ends. A list: it was cloned.
-- "*": that end is seen only where functions can be hooked.
local function ends_of(kind, is)
  if kind == "udp" then return { "udp_rcv sock_queue delivered*", "udp_rcv sock_queue delivered*" } end
  if kind == "ping" then
    -- the kernel drops what it has no ping socket for; the raw socket has got a clone
    return { is.old and is.six and "icmp_rcv dropped" or "icmp_rcv delivered",
      { "icmp_rcv dropped", "sock_queue sock_read delivered" } }
  end
  local data = "tcp_v4_rcv tcp_rcv_established sock_read delivered*"
  local ack = "tcp_v4_rcv tcp_rcv_established freed*"
  return {
    "tcp_v4_rcv freed", "tcp_v4_rcv freed*", "tcp_v4_rcv freed*", data, ack, data, ack, ack,
    "tcp_v4_rcv freed*", "tcp_v4_rcv dropped", "tcp_v4_rcv freed*",
  }
end

local function version()
  local major, minor = io.open("/proc/sys/kernel/osrelease"):read("l"):match("^(%d+)%.(%d+)")
  return major * 100 + minor
end

---What is different on this kernel.
---@return table {reasons=, rules=}
function ways.kernel()
  return {
    reasons = version() >= 517, -- of drops
    rules = { nft = "nft_do_chain", legacy = "ipt_do_table" }, -- the points of who filters
  }
end

-- Where kernels and packets differ.
local function conditions(seen, kind, six, fw, first)
  return {
    six = six, fw = fw,
    old = version() < 603, -- icmpv6_rcv() said of all it took that it was dropped
    new = first, -- its connection's first packet: nat is asked about no other
    sends = not (six and kind == "tcp"), -- ip6_xmit() goes on to ip6_output() by itself
    bridge_input = version() >= 601, -- the bridge has a hook there; 5.10 never got it
    nested = seen.nf_hook_slow ~= "kprobe", -- kretprobes tell no hook within a hook within a hook
  }
end

local function reversed(way)
  local a, b = way:match("(%u+)-(%u+)")
  return b .. "-" .. a
end

-- The stretches of B-A are those of A-B with both exchanged.
local function stretches(way)
  if STRETCHES[way] then return STRETCHES[way] end
  local swap = { va = "vb", vb = "va", A = "B", B = "A" }
  local list = {}
  for i, s in ipairs(STRETCHES[reversed(way)]) do
    list[i] = { swap[s[1]] or s[1], (s[2]:gsub("@(%l+)", function(d) return "@" .. (swap[d] or d) end)) }
  end
  return list
end

---Which points a probe sees here.
---@return table from name to the way it is seen
function ways.seen_points(probe)
  local seen = {}
  for _, point in ipairs(probe.points) do seen[point.name] = point.way end
  return seen
end

-- The point's text, or nil if it is not seen here.
local function point_text(seen, is, point, hook)
  if point == "nat" or point == "filter" then
    local table = point
    point = is.fw == "nft" and "nft_do_chain" or "ipt_do_table"
    hook = hook .. " " .. table .. (is.fw == "nft" and "/" .. hook:sub(2) or "")
  end
  point = is.six and SIX[point] or point
  return seen[point] and point .. hook
end

-- Adds those of the points in text that are seen; the last device stays for what comes next.
local function add_points(list, seen, is, name, text)
  for word in text:gmatch("%S+") do
    local point, hook, condition = word:match("^([%w_]+)(:?%l*)%??([%w_]*)$")
    if word:find("^@") then
      list.device = word:sub(2)
    elseif condition == "" or is[condition] then
      local what = point_text(seen, is, point, hook)
      if what then list[#list + 1] = (" %s@%s %s"):format(what, name, list.device) end
    end
  end
end

local function one_path(seen, is, way, last)
  local list, name = {}, nil
  for _, stretch in ipairs(stretches(way)) do
    name = stretch[1]
    add_points(list, seen, is, name, stretch[2])
  end
  local points, ended, star = last:match("^(.-) ?(%l+)(%*?)$")
  if star == "*" and not seen.__kfree_skb then ended = "unknown" end
  if points == "icmp_rcv" and ended == "delivered" and not seen.icmp_rcv then ended = "freed" end
  add_points(list, seen, is, name, points)
  if ended ~= "unknown" then add_points(list, seen, is, name, ended) end
  list[#list + 1] = " = " .. ended
  return table.concat(list, "\n")
end

---The paths of all packets of an exchange.
---@param seen table as seen_points() gives
---@param fw string who filters, not "none"
---@param kind string ping, udp or tcp
---@param way string as "A-B"
---@param run table as pods.exchange() gives
---@return table list of texts
function ways.expected(seen, fw, kind, way, run)
  local six = run.inner[1]:find(":") ~= nil
  local protocol = kind == "ping" and (six and "icmpv6" or "icmp") or kind
  local paths = {}
  for i, packet in ipairs(pods.exchanges[kind]) do
    local request, what = packet[1], packet[2]
    local here = request and way or reversed(way)
    local first, last = run.inner, run.outer
    if here:find("^PEER") then first, last = last, first end
    if not here:find("PEER") then last = first end
    local function ends(e)
      return table.concat(request and e or { e[3], e[4], e[1], e[2] }, " ")
    end
    local is = conditions(seen, kind, six, fw, i == 1)
    local ended = ends_of(kind, is)[i]
    for _, text in ipairs(type(ended) == "table" and ended or { ended }) do
      paths[#paths + 1] = ("%s %s %s > %s\n%s"):format(protocol, what, ends(first), ends(last),
        one_path(seen, is, here, text))
    end
  end
  return paths
end

local function what_of(ev)
  if ev.tcp_flags then return (ev.tcp_flags:gsub("(%u)%u+|?", "%1")) end
  local echo = ({ [8] = "request", [128] = "request", [0] = "reply", [129] = "reply" })[ev.icmp_type]
  return ev.proto:find("^icmp") and (echo and echo .. ev.icmp_seq or "type" .. ev.icmp_type) or "-"
end

-- Netfilter's part of a hop or path.
local function rules_text(nf)
  return ":" .. nf.hook .. (nf.table ~= "" and " " .. nf.table or "")
    .. (nf.chain ~= "" and "/" .. nf.chain or "")
end

-- Whether a TCP segment passes the function that is hooked is not the packet's doing: the fast path
-- queues by itself, and the last FIN comes to a socket in TIME_WAIT or, microseconds before, to its
-- predecessor.
local function by_chance(ev, point) return ev.proto == "tcp" and point == "sock_queue" end

---A path in words.
---@param names table from a network namespace's inode to its name
function ways.text(names, ev)
  local lines = { ("%s %s %s %d %s %d > %s %d %s %d"):format(ev.proto, what_of(ev), ev.first_saddr,
    ev.first_sport, ev.first_daddr, ev.first_dport, ev.saddr, ev.sport, ev.daddr, ev.dport) }
  for _, hop in ipairs(ev.hops) do
    if not by_chance(ev, hop.point) then
      lines[#lines + 1] = (" %s%s@%s %s"):format(hop.point,
        hop.verdict == "accept" and rules_text(hop) or "", names[hop.netns] or hop.netns, hop.ifname)
    end
  end
  local known = ev.ended ~= "unseen" and ev.ended ~= "timeout"
  lines[#lines + 1] = " = " .. (known and ev.ended or "unknown")
  return table.concat(lines, "\n")
end

---Names of a world's namespaces by their inodes, and the inodes as a list for a filter.
function ways.namespaces(world)
  local names, list = {}, {}
  for i, name in ipairs(pods.names) do
    list[i] = world.facts[name .. ".netns"]
    names[list[i]] = name
  end
  return names, list
end

---Sorts paths by their beginning; a clone behind its original.
function ways.sort(paths)
  table.sort(paths, function(a, b)
    if a.first_ns ~= b.first_ns then return a.first_ns < b.first_ns end
    return #a.hops < #b.hops
  end)
  return paths
end

return ways
