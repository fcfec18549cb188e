-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the short forms print of each event: the columns of each probe's line.

local clock = require("bpfnet.clock")
local out = require("bpfnet.out")

local columns = {}

-- Called as they are needed: they look at namespaces and containers.
local function packet(name)
  return function(ev) return require("bpfnet.packet")[name](ev) end
end

local function netns(ev)
  return ev.netns ~= 0 and require("bpfnet.netns").name(ev.netns) or nil
end

local function known(ev)
  return ev.owner ~= "unknown"
end

local function laddr(ev)
  return out.endpoint(ev.saddr, ev.sport)
end

local function raddr(ev)
  return out.endpoint(ev.daddr, ev.dport)
end

local ARROWS = { connect = "->", accept = "<-", unknown = "--" }

local TIME = { title = "TIME", width = 8, value = "ts_ns", show = clock.hms }
local PID = { title = "PID", width = 7, value = function(ev) return known(ev) and ev.pid or nil end }
local COMM = { title = "COMM", width = 15, value = function(ev) return known(ev) and ev.comm or nil end }
local LOCAL = { title = "LOCAL", width = 21, value = laddr }
local SIDE = { title = "", width = 2, value = "side", show = function(side) return ARROWS[side] end }
local REMOTE = { title = "REMOTE", width = 21, value = raddr }
local DEVICE = { title = "DEVICE", width = 8, value = "ifname" }
local NETNS = { title = "NETNS", width = 12, value = netns }
local PROCESS = { title = "PROCESS", width = 16, value = packet("process") }
local PACKET = { title = "PACKET", width = 20, value = packet("what") }

local function number(title, width, value, show)
  return { title = title, width = width, right = true, value = value, show = show }
end

local function bytes(title, field)
  return number(title, 5, field, out.bytes)
end

local function duration(title, width, field)
  return number(title, width, field, out.duration)
end

local function srtt(ev)
  return out.duration(ev.srtt_us * 1000)
end

local function waiting(ev)
  return ev.backlog and ("%d/%d"):format(ev.backlog, ev.backlog_max or 0) or nil
end

local function ending(ev)
  local text = ev.closed_by == "unknown" and ev.ended or ev.ended .. " " .. ev.closed_by
  return ev.old and text .. ", old" or text
end

local MARKS = { "old", "pipelined", "duplex", "continued" }

local function outcome(ev)
  local words = { ev.outcome }
  for _, mark in ipairs(MARKS) do
    words[#words + 1] = ev[mark] and mark or nil
  end
  return table.concat(words, ", ")
end

local function point(ev)
  return ev.reason and ("%s (%s)"):format(ev.point, ev.reason) or ev.point
end

local LINES = {
  tcpconnect = {
    TIME, PID, COMM, { title = "TO", width = 21, value = raddr }, duration("LATENCY", 7, "latency_ns"),
    { title = "ERROR", width = 12, value = "error" },
  },
  tcpaccept = {
    TIME, PID, COMM, LOCAL, { title = "FROM", width = 21, value = raddr }, duration("QUEUE", 6, "queue_ns"),
    number("WAITING", 9, waiting),
  },
  tcpclose = {
    TIME, PID, COMM, LOCAL, SIDE, REMOTE, bytes("RX", "rx_bytes"), bytes("TX", "tx_bytes"),
    duration("LASTED", 6, "duration_ns"), number("SRTT", 5, srtt), number("RETR", 4, "retrans"),
    { title = "END", width = 12, value = ending },
  },
  tcprequest = {
    TIME, PID, COMM, LOCAL, SIDE, REMOTE, bytes("ASKED", "request_bytes"), bytes("GOT", "response_bytes"),
    duration("TTFB", 6, "ttfb_ns"), duration("TOTAL", 6, "total_ns"),
    { title = "OUTCOME", width = 12, value = outcome },
  },
  podnet = {
    TIME, { title = "POINT", width = 24, value = point }, DEVICE, NETNS, PROCESS,
    duration("DELTA", 6, "delta_ns"), PACKET,
  },
  drops = {
    TIME, { title = "REASON", width = 16, value = "reason" },
    { title = "LOCATION", width = 24, value = "location" }, DEVICE, NETNS, PROCESS, PACKET,
  },
  paths = {
    TIME, duration("LASTED", 6, "duration_ns"), number("POINTS", 6, "nr_hops"),
    { title = "ENDED", width = 20, value = packet("ending") }, PROCESS, PACKET,
  },
  spans = {
    TIME, duration("SPAN", 6, "span_ns"), { title = "FROM", width = 18, value = "from" },
    { title = "TO", width = 18, value = "to" }, DEVICE, PROCESS, PACKET,
  },
  cgroups = { TIME, { title = "OP", width = 7, value = "op" }, { title = "PATH", width = 40, value = "path" } },
}

---Returns the columns of a probe's events; a probe that is not known here has its events' own text.
---@param kind string name of a probe, or "drops", "paths", "spans" of podnet
---@return bpfnet.out.Column[]
function columns.of(kind)
  local list = LINES[kind]
  if not list then
    return { TIME, { title = "EVENT", width = 1, value = tostring } }
  end
  list = table.move(list, 1, #list, 1, {})
  if list[3] == COMM then
    require("bpfnet.pod_column").insert(list, 4)
  end
  return list
end

return columns
