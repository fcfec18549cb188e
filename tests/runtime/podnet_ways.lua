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

-- What is passed, in order; a point behind a colon is one of netfilter, with its hook. "@device": from
-- here on there.
local OUT = "ip_local_out nf_hook_slow:output ip_output nf_hook_slow:postrouting ip_finish_output"
  .. " net_dev_queue net_dev_start_xmit"
local ROUTED = "ip_output nf_hook_slow:postrouting ip_finish_output net_dev_queue net_dev_start_xmit"
local IN = "netif_rx netif_receive_skb"
local DELIVER = IN .. " ip_rcv ip_local_deliver"
local INTO_BRIDGE = IN .. " @br0 nf_hook_slow:prerouting @va nf_hook_slow:prerouting"
local BRIDGED = "nf_hook_slow:forward nf_hook_slow:forward nf_hook_slow:postrouting net_dev_queue"
  .. " net_dev_start_xmit"

-- The places of each way, with their points.
local STRETCHES = {
  ["A-B"] = {
    { "A", "@eth0 " .. OUT }, { "HOST", "@va " .. INTO_BRIDGE .. " @vb " .. BRIDGED },
    { "B", "@eth0 " .. DELIVER },
  },
  ["A-PEER"] = {
    { "A", "@eth0 " .. OUT },
    { "HOST", "@va " .. INTO_BRIDGE .. " @br0 nf_hook_slow:input netif_receive_skb ip_rcv ip_forward"
      .. " nf_hook_slow:forward @vp " .. ROUTED },
    { "PEER", "@eth0 " .. DELIVER },
  },
  ["PEER-A"] = {
    { "PEER", "@eth0 " .. OUT },
    { "HOST", "@vp " .. IN .. " ip_rcv nf_hook_slow:prerouting ip_forward nf_hook_slow:forward @br0 "
      .. ROUTED .. " @va nf_hook_slow:postrouting net_dev_queue net_dev_start_xmit" },
    { "A", "@eth0 " .. DELIVER },
  },
}

-- What becomes of each packet of an exchange at its receiver, and how that ends. A list: it was cloned.
-- "*": that end is seen only where functions can be hooked.
local ENDS = {
  ping = { "icmp_rcv freed", { "icmp_rcv dropped", "sock_queue sock_read delivered" } },
  udp = { "udp_rcv sock_queue freed*", "udp_rcv sock_queue freed*" },
  tcp = {
    "tcp_v4_rcv freed", "tcp_v4_rcv freed*", "tcp_v4_rcv sock_queue freed*",
    "tcp_v4_rcv tcp_rcv_established sock_queue sock_read delivered*",
    "tcp_v4_rcv tcp_rcv_established sock_queue freed*",
    "tcp_v4_rcv tcp_rcv_established sock_queue sock_read delivered*",
    "tcp_v4_rcv tcp_rcv_established sock_queue freed*",
    "tcp_v4_rcv tcp_rcv_established sock_queue freed*",
    "tcp_v4_rcv freed*", "tcp_v4_rcv dropped", "tcp_v4_rcv freed*",
  },
}

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
---@return table from name to true
function ways.seen_points(probe)
  local seen = {}
  for _, point in ipairs(probe.points) do seen[point.name] = point.way ~= nil or nil end
  return seen
end

-- Adds those of the points in text that are seen; the last device stays for what comes next.
local function add_points(list, seen, six, name, text)
  for word in text:gmatch("%S+") do
    local point, hook = word:match("^([%w_]+)(:?%l*)$")
    if word:find("^@") then
      list.device = word:sub(2)
    else
      point = six and SIX[point] or point
      if seen[point] then
        list[#list + 1] = (" %s%s@%s %s"):format(point, hook, name, list.device)
      end
    end
  end
end

local function one_path(seen, six, way, last)
  local list, name = {}, nil
  for _, stretch in ipairs(stretches(way)) do
    name = stretch[1]
    add_points(list, seen, six, name, stretch[2])
  end
  local points, ended, star = last:match("^(.-) ?(%l+)(%*?)$")
  if star == "*" and not seen.__kfree_skb then ended = "unknown" end
  if ended == "freed" and points:find("icmp_rcv") and seen.icmp_rcv then ended = "delivered" end
  add_points(list, seen, six, name, points)
  if ended ~= "unknown" then add_points(list, seen, six, name, ended) end
  list[#list + 1] = " = " .. ended
  return table.concat(list, "\n")
end

---The paths of all packets of an exchange.
---@param seen table as seen_points() gives
---@param kind string ping, udp or tcp
---@param way string as "A-B"
---@param run table as pods.exchange() gives
---@return table list of texts
function ways.expected(seen, kind, way, run)
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
    local ended = ENDS[kind][i]
    for _, text in ipairs(type(ended) == "table" and ended or { ended }) do
      paths[#paths + 1] = ("%s %s %s > %s\n%s"):format(protocol, what, ends(first), ends(last),
        one_path(seen, six, here, text))
    end
  end
  return paths
end

local function what_of(ev)
  if ev.tcp_flags then return (ev.tcp_flags:gsub("(%u)%u+|?", "%1")) end
  local echo = ({ [8] = "request", [128] = "request", [0] = "reply", [129] = "reply" })[ev.icmp_type]
  return ev.proto:find("^icmp") and (echo and echo .. ev.icmp_seq or "type" .. ev.icmp_type) or "-"
end

---A path in words.
---@param names table from a network namespace's inode to its name
function ways.text(names, ev)
  local lines = { ("%s %s %s %d %s %d > %s %d %s %d"):format(ev.proto, what_of(ev), ev.first_saddr,
    ev.first_sport, ev.first_daddr, ev.first_dport, ev.saddr, ev.sport, ev.daddr, ev.dport) }
  for _, hop in ipairs(ev.hops) do
    lines[#lines + 1] = (" %s%s@%s %s"):format(hop.point,
      hop.hook ~= "none" and hop.point == "nf_hook_slow" and ":" .. hop.hook or "",
      names[hop.netns] or hop.netns, hop.ifname)
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
