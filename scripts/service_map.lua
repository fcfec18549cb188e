-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- service_map - who asks whom for what: pods by name, requests, latency, failures.
--
-- usage: bpfnet run service_map [options]
--
--   --dot               one graph for Graphviz, of the whole time, at the end
--   --inside            containers by name, and what goes on inside pods (sidecar to service)
--   --interval SECONDS  time between two tables (default 5)
--   --rows N            lines of a table (default 30); JSON, CSV and the graph have all
--   --pod --namespace --container --sidecar --label
--                       only requests with an end in these: --pod 'shop/cart-*' (NAMESPACE/NAME or
--                       NAME, with * and ?), --label app=cart
--   --labels cri|kube   who is asked for labels and addresses of pods: the runtime, or the API
--                       server ($KUBECONFIG)
--   --pid --uid --comm --port --sport --dport --addr --netns --cgroup --family
--                       only these sockets; commas between several: --dport 80,443
--   --duration SECONDS  stop by itself
--   --json, --csv       for programs: a row per pair, port and interval ("span": "interval"); at the
--                       end for the whole time ("span": "total")
--
-- example:
--   # bpfnet run service_map --namespace shop
--   09:02:44  all 7.2 s
--   FROM                         TO                            PORT    REQS    RATE    P50    P99  BYTES ERRORS
--   shop/front-0                 shop/cart-0                     81       0     0.0      -      -     0B ECONNREFUSED 1
--   shop/front-0                 shop/cart-0                  15006    1000   138.6  7.6ms  411ms   1.0M -
--
--   # bpfnet run service_map --dot --duration 60 | dot -Tsvg > map.svg
--
-- columns:
--   FROM TO  pods; what is in none by its unit's or container's name, or "host"; what is elsewhere by
--            its pod's name where the address is known, else by its address
--   PORT     that is listened on. Behind a service's address it is the pod's, where that is here
--   P50 P99  of requests: first byte asked to last byte answered, by the asking end where that is on
--            this host. Quantiles are within 2.2%
--   BYTES    asked and answered
--   ERRORS   requests that were never answered, connections that failed by errno
--
-- A request with both ends on this host is counted once. Failures come first, then the busiest. Beyond
-- 4096 pairs the rest is counted together, as "(others)". On a terminal each table takes the place of
-- the one before; Ctrl-C shows the whole time.

local args = require("bpfnet.args")
local ends = require("bpfnet.pairs_ends")
local hist = require("bpfnet.hist")
local live = require("bpfnet.live")
local out = require("bpfnet.out")
local pairing = require("bpfnet.pairs")
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

-- Addresses of pods, from their own sockets: a connection that failed has no other end.
local seen, nr_seen = {}, 0

local function learn(ev)
  local addr = ev and ev.saddr
  if not ev or seen[addr] or not pairing.in_pod(ev.conn.who) or ends.is_loopback(addr) then
    return
  elseif nr_seen >= 4096 then
    seen, nr_seen = {}, 0
  end
  seen[addr], nr_seen = ev.conn.who, nr_seen + 1
end

local function name_of_addr(addr)
  local who = pod.of_addr(addr) or seen[addr]
  return who and (who.pod or pod.name(who)) or addr
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
  learn(r.client)
  learn(r.server)
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

-- Connections that failed wait until requests are settled: whose address it is may be learnt from those.
local waiting = top.new({ make = function() return { errors = {} } end })

local function on_failed(ev)
  local errors = waiting:get(name_of(pod.of_event(ev)), ev.daddr, ev.dport).errors
  errors[ev.error] = (errors[ev.error] or 0) + 1
end

local function count_failed()
  for _, entry in ipairs(waiting:list()) do
    local from, daddr, dport = table.unpack(entry.keys)
    local edge = from and now:get(from, name_of_addr(daddr), dport) or now:others()
    for name, n in pairs(entry.value.errors) do
      edge.failed = edge.failed + n
      edge.errors[name] = (edge.errors[name] or 0) + n
    end
  end
  waiting:clear()
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
    to = entry.keys[2] or "", port = entry.keys[3], rate = live.rate(edge.requests, span),
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

-- Between double quotes: those and backslashes would end or change the text, "&lt;" would be "<".
local function quoted(text)
  return '"' .. out.harmless(text):gsub("&", "&amp;"):gsub('[\\"]', "\\%0") .. '"'
end

local function dot_edge(row)
  local errors = out.counts(row.errors)
  local lines = {
    row.port and ":" .. row.port or "", ("%d requests"):format(row.requests),
    row.p50_ns and ("p50 %s, p99 %s"):format(out.duration(row.p50_ns), out.duration(row.p99_ns)) or "no answer",
    errors,
  }
  local to = row.to ~= "" and row.to or row.from
  print(("  %s -> %s [label=\"%s\"%s];"):format(quoted(row.from), quoted(to), table.concat(lines, "\\n"),
    errors and ", color=red" or ""))
end

local function print_dot(rows, span)
  print("digraph bpfnet {")
  print("  rankdir=LR;\n  node [shape=box];")
  if #rows == 0 then
    print(("  label=\"nothing in %.1f s\";"):format(span.seconds))
  end
  for _, row in ipairs(rows) do
    dot_edge(row)
  end
  print("}")
end

local requests

local function collect()
  requests:settle()
  count_failed()
end

local function show(span)
  collect()
  if opt.dot and span.name == "interval" then
    return
  end
  local rows = {}
  for i, entry in ipairs((span.name == "total" and total or now):list(busier)) do
    rows[i] = row_of(entry, span)
  end
  if opt.dot then
    return print_dot(rows, span)
  elseif opt.format == "table" then
    print(live.heading(span) .. (#rows == 0 and ": nothing" or ""))
  end
  writer:block(rows, opt.rows)
end

-- What came after show() belongs to the next interval; at the end there is none.
local function turn_over()
  if requests:is_over() then
    collect()
  end
  total:merge(now, merge)
  now:clear()
end

pod.start()
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
