-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- service_map - HEADER

local args = require("bpfnet.args")
local hist = require("bpfnet.hist")
local live = require("bpfnet.live")
local out = require("bpfnet.out")
local pod = require("bpfnet.pod")
local requests_of = require("bpfnet.pairs_probe")
local script = require("bpfnet.script")
local top = require("bpfnet.top")

local opt = args.parse(arg, {
  interval = { type = "number", min = 0.1, max = 86400, default = 5 },
  rows = { type = "integer", min = 1, default = 30 },
  inside = { type = "flag" },
  dot = { type = "flag" },
})

if opt.dot and opt.format ~= "table" then
  script.fail(("--dot and --%s exclude each other"):format(opt.format), 2)
end

local function new_edge()
  return {
    requests = 0, answered = 0, unanswered = 0, failed = 0, request_bytes = 0, response_bytes = 0, errors = {},
    latency = hist.new({ unit = "ns" }),
  }
end

local COUNTS = { "requests", "answered", "unanswered", "failed", "request_bytes", "response_bytes" }

local function merge(into, from)
  for _, name in ipairs(COUNTS) do
    into[name] = into[name] + from[name]
  end
  for name, n in pairs(from.errors) do
    into.errors[name] = (into.errors[name] or 0) + n
  end
  into.latency:merge(from.latency)
end

local now, total = top.new({ make = new_edge }), top.new({ make = new_edge })

local function name_of(who)
  return not opt.inside and who.pod or pod.name(who)
end

-- What an address that is not on this host is called.
local function name_of_addr(addr)
  local who = pod.of_addr(addr)
  return who and name_of(who) or addr
end

-- From whom to whom, and the port there. A request with both ends here is told once by each of its ends: the asking
-- one's is taken.
local function ends_of(r)
  local client, server = r.client, r.server
  if r.direction == "inside" and not opt.inside or r.direction == "in" and client then
    return nil
  elseif r.direction == "unknown" then
    return name_of(r.who), name_of_addr(r.event.daddr), r.event.dport
  end
  return client and name_of(client.conn.who) or name_of_addr(server.daddr),
    server and name_of(server.conn.who) or name_of_addr(client.daddr),
    server and server.sport or client.dport
end

local function on_request(r)
  local from, to, port = ends_of(r)
  if not from then
    return
  end
  local edge, ev = now:get(from, to, port), r.client or r.server or r.event
  edge.request_bytes = edge.request_bytes + ev.request_bytes
  edge.response_bytes = edge.response_bytes + ev.response_bytes
  if r.left_out == "continued" then
    return
  end
  edge.requests = edge.requests + 1
  if r.answered then
    edge.answered = edge.answered + 1
    if not r.left_out then
      edge.latency:add(ev.total_ns)
    end
  else
    edge.unanswered = edge.unanswered + 1
    edge.errors.unanswered = (edge.errors.unanswered or 0) + 1
  end
end

local function on_failed(ev)
  local from, to = name_of(pod.of_event(ev)), name_of_addr(ev.daddr)
  local edge = now:get(from, to, ev.dport)
  edge.failed = edge.failed + 1
  edge.errors[ev.error] = (edge.errors[ev.error] or 0) + 1
end

local function both_ways(row)
  return row.request_bytes + row.response_bytes
end

local writer = out.new({
  format = opt.format,
  columns = {
    { title = "FROM", width = 28, value = "from" },
    { title = "TO", width = 28, value = "to" },
    { title = "PORT", width = 5, right = true, value = "port" },
    { title = "REQS", width = 7, right = true, value = "requests" },
    { title = "RATE", width = 7, right = true, value = "rate", show = function(n) return ("%.1f"):format(n) end },
    { title = "P50", width = 6, right = true, value = "p50_ns", show = out.duration },
    { title = "P99", width = 6, right = true, value = "p99_ns", show = out.duration },
    { title = "BYTES", width = 6, right = true, value = both_ways, show = out.bytes },
    { title = "ERRORS", width = 20, value = "errors", show = out.counts },
  },
  fields = {
    "span", "time", "seconds", "from", "to", "port", "requests", "rate", "answered", "unanswered", "failed", "errors",
    "request_bytes", "response_bytes", "p50_ns", "p90_ns", "p99_ns", "max_ns",
  },
})

local function row_of(entry, span)
  local edge = entry.value
  local times = edge.latency
  local row = {
    span = span.name, time = span.time, seconds = span.seconds, from = entry.keys[1] or "(others)",
    to = entry.keys[2] or "", port = entry.keys[3], rate = edge.requests / math.max(span.seconds, 0.001),
    errors = edge.errors, p50_ns = times:whole_quantile(0.5), p90_ns = times:whole_quantile(0.9),
    p99_ns = times:whole_quantile(0.99), max_ns = times.max,
  }
  for _, name in ipairs(COUNTS) do
    row[name] = edge[name]
  end
  return row
end

local function busier(a, b)
  a, b = a.value, b.value
  local x, y = a.unanswered + a.failed, b.unanswered + b.failed
  if x ~= y then
    return x > y
  end
  return a.requests > b.requests
end

-- Between double quotes: those and backslashes would end or change the text.
local function quoted(text)
  return '"' .. text:gsub("[%c]", "?"):gsub('[\\"]', "\\%0") .. '"'
end

local function dot_edge(row)
  local errors = out.counts(row.errors)
  local lines = {
    row.port and ":" .. row.port or "", ("%d requests"):format(row.requests),
    row.p50_ns and ("p50 %s, p99 %s"):format(out.duration(row.p50_ns), out.duration(row.p99_ns)) or "no answer",
    errors,
  }
  print(("  %s -> %s [label=\"%s\"%s];"):format(quoted(row.from), quoted(row.to), table.concat(lines, "\\n"),
    errors and ", color=red" or ""))
end

local function print_dot(rows)
  print("digraph bpfnet {")
  print("  rankdir=LR;\n  node [shape=box];")
  for _, row in ipairs(rows) do
    dot_edge(row)
  end
  print("}")
end

local requests

local function show(span)
  requests:settle()
  if opt.dot and span.name == "interval" then
    return
  end
  local rows = {}
  for i, entry in ipairs((span.name == "total" and total or now):list(busier)) do
    rows[i] = row_of(entry, span)
  end
  if opt.dot then
    return print_dot(rows)
  elseif opt.format == "table" then
    print(live.heading(span) .. (#rows == 0 and ": nothing" or ""))
  end
  writer:block(rows, opt.rows)
end

local function turn_over()
  requests:settle()
  total:merge(now, merge)
  now:clear()
end

pod.start()
requests_of.check_pods(opt.filter)
requests = requests_of.new({ filter = opt.filter, plain = true }, on_request)
local connects = script.attach("tcpconnect", { filter = opt.filter, where = "error != nil" }, on_failed)
requests:start()
live.run({
  format = opt.dot and "dot" or opt.format,
  interval = opt.interval,
  duration = opt.duration,
  probes = { requests.probe, connects },
  show = show,
  turn_over = turn_over,
})
requests:losses()
