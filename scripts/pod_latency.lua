-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- pod_latency - how long each container's connections wait to be established and accepted.
--
-- A server that is too slow lets connections wait in the accept queue, where no log of its own
-- shows them. A client whose way to its servers is slow shows before its requests begin.
--
-- usage: bpfnet run pod_latency [options]
--
--   --interval SECONDS  time between two pairs of tables (default 5)
--   --rows N            lines of a table (default 20); JSON and CSV have all
--   --pid --uid --comm --port --sport --dport --addr --netns --cgroup --family
--                       only these; commas between several: --sport 80,443. sport is the port
--                       of this end, dport the peer's; netns and cgroup are numbers or paths,
--                       as /sys/fs/cgroup/system.slice (just that one, not what is below it)
--   --duration SECONDS  stop by itself
--   --json, --csv       for programs: a row per container, side ("accept", "connect"), port
--                       and interval ("span": "interval"); at the end for the whole time
--                       ("span": "total")
--
-- example:
--   # bpfnet run pod_latency
--   19:53:09  last 5.0 s
--   SERVER                          PORT  ACCEPTS    P50    P99    MAX REDIR       QUEUE
--   pod7d3e9a52/9c1f4be2a7d3        8080       40   14ms   53ms   53ms     -         2/5
--   pode4b0c6f1/51d8e07b3ac2        8081       20  2.8ms   16ms   16ms     -         0/9
--
--   CLIENT                          PORT    TRIED    P50    P99    MAX REDIR  FAILED ERRORS
--   pode4b0c6f1/51d8e07b3ac2        8090        2      -      -      -     -       2 ECONNREFUSED 2
--   pode4b0c6f1/51d8e07b3ac2        8080       40   83us  312us  312us     -       0 -
--   pode4b0c6f1/51d8e07b3ac2        8081       20   54us  202us  202us     -       0 -
--
-- columns:
--   SERVER CLIENT  the cgroup that the socket belongs to, by the end of its path; for
--                  Kubernetes podUID/CONTAINER, both shortened. JSON has the whole path.
--                  "cgroup:ID": it was gone before its name could be read
--   PORT           that is listened on; for clients the peer's
--   ACCEPTS        connections accepted
--   P50 P99 MAX    servers: time in the accept queue, from established to accepted; clients:
--                  from the SYN to established. Quantiles are within 2.2%
--   REDIR          what bpfnet redirect carried past TCP, both ways together, on connections that
--                  ended in this interval; only on those that began under our eyes
--   QUEUE          the most connections that an accept() left waiting, of how many may wait.
--                  When the first nears the second, the kernel begins to drop new ones
--   TRIED FAILED   attempts to connect whose outcome is known
--   ERRORS         why they failed
--
-- Failures come first, then the slowest (P99). On a terminal each pair of tables takes the
-- place of the one before. Ctrl-C shows the whole time. Beyond 4096 rows the rest is counted
-- together, as "(others)".

local args = require("bpfnet.args")
local cgroups = require("bpfnet.cgroup")
local hist = require("bpfnet.hist")
local live = require("bpfnet.live")
local out = require("bpfnet.out")
local script = require("bpfnet.script")
local top = require("bpfnet.top")

local opt = args.parse(arg, {
  interval = { type = "number", min = 0.1, max = 86400, default = 5 },
  rows = { type = "integer", min = 1, default = 20 },
})

local function new_record()
  -- and backlog, backlog_max, where they are known
  return { count = 0, failed = 0, rx = 0, tx = 0, latency = hist.new(), errors = {} }
end

local function merge(into, from)
  into.count = into.count + from.count
  into.failed = into.failed + from.failed
  into.rx, into.tx = into.rx + from.rx, into.tx + from.tx
  into.latency:merge(from.latency)
  for name, n in pairs(from.errors) do
    into.errors[name] = (into.errors[name] or 0) + n
  end
  if from.backlog and from.backlog >= (into.backlog or 0) then
    into.backlog, into.backlog_max = from.backlog, from.backlog_max
  end
end

local function new_spans()
  return { interval = top.new({ make = new_record }), total = top.new({ make = new_record }) }
end

local servers, clients = new_spans(), new_spans()

local function on_accept(cgroup, sport, queue_ns, backlog, backlog_max)
  local record = servers.interval:get(cgroup, sport)
  record.count = record.count + 1
  if queue_ns then
    record.latency:add(queue_ns)
  end
  if backlog and backlog >= (record.backlog or 0) then
    record.backlog, record.backlog_max = backlog, backlog_max
  end
end

local function on_connect(cgroup, dport, latency_ns, error)
  local record = clients.interval:get(cgroup, dport)
  record.count = record.count + 1
  if error then
    record.failed = record.failed + 1
    record.errors[error] = (record.errors[error] or 0) + 1
  elseif latency_ns then
    record.latency:add(latency_ns)
  end
end

local function on_redirected(cgroup, sport, dport, side, rx_redirected_bytes, tx_redirected_bytes)
  local accepted = side == "accept"
  local spans = accepted and servers or clients
  local record = spans.interval:get(cgroup, accepted and sport or dport)
  record.rx, record.tx = record.rx + rx_redirected_bytes, record.tx + tx_redirected_bytes
end

local function both_ways(row)
  local bytes = row.rx_redirected_bytes + row.tx_redirected_bytes
  return bytes > 0 and bytes or nil
end

local function queue(row)
  return row.backlog and ("%d/%d"):format(row.backlog, row.backlog_max)
end

local function name(row)
  return cgroups.short(row.cgroup_path)
end

local function columns(who, how_many, ...)
  return {
    { title = who, width = 30, value = name },
    { title = "PORT", width = 5, right = true, value = "port" },
    { title = how_many, width = 8, right = true, value = "count" },
    { title = "P50", width = 6, right = true, value = "p50_ns", show = out.duration },
    { title = "P99", width = 6, right = true, value = "p99_ns", show = out.duration },
    { title = "MAX", width = 6, right = true, value = "max_ns", show = out.duration },
    { title = "REDIR", width = 5, right = true, value = both_ways, show = out.bytes },
    ...,
  }
end

local FIELDS = {
  "span", "time", "seconds", "side", "cgroup_path", "cgroup", "port", "count", "failed", "errors",
  "p50_ns", "p99_ns", "max_ns", "backlog", "backlog_max", "rx_redirected_bytes", "tx_redirected_bytes",
}

local server_writer = out.new({
  format = opt.format,
  columns = columns("SERVER", "ACCEPTS",
    { title = "QUEUE", width = 11, right = true, value = queue }),
  fields = FIELDS,
})

-- Rows of both kinds make one stream for programs, two tables for the eye.
local client_writer = opt.format ~= "table" and server_writer or out.new({
  format = opt.format,
  columns = columns("CLIENT", "TRIED",
    { title = "FAILED", width = 7, right = true, value = "failed" },
    { title = "ERRORS", width = 20, value = "errors", show = out.counts }),
  fields = FIELDS,
})

local function row_of(entry, side, span)
  local id, record = entry.keys[1], entry.value
  return {
    span = span.name,
    time = span.time,
    seconds = span.seconds,
    side = side,
    cgroup_path = id and cgroups.path(id) or "(others)",
    cgroup = id,
    port = entry.keys[2],
    count = record.count,
    failed = side == "connect" and record.failed or nil,
    errors = side == "connect" and record.errors or nil,
    p50_ns = record.latency:whole_quantile(0.5),
    p99_ns = record.latency:whole_quantile(0.99),
    max_ns = record.latency.max,
    backlog = record.backlog,
    backlog_max = record.backlog_max,
    rx_redirected_bytes = record.rx,
    tx_redirected_bytes = record.tx,
  }
end

local function worse(a, b)
  a, b = a.value, b.value
  if a.failed ~= b.failed then
    return a.failed > b.failed
  elseif a.p99 ~= b.p99 then
    return a.p99 > b.p99
  end
  return a.count > b.count
end

-- The entries in order; their cgroups are asked for, so that one scan() can find them all.
local function ranked(records)
  for _, entry in ipairs(records:list()) do
    entry.value.p99 = entry.value.latency:quantile(0.99) or -1
    if entry.keys[1] then
      cgroups.path(entry.keys[1])
    end
  end
  return records:list(worse)
end

local function rows_of(entries, side, span)
  local rows = {}
  for i, entry in ipairs(entries) do
    rows[i] = row_of(entry, side, span)
  end
  return rows
end

local function show(span)
  local accepted, connected = ranked(servers[span.name]), ranked(clients[span.name])
  cgroups.scan()
  accepted = rows_of(accepted, "accept", span)
  connected = rows_of(connected, "connect", span)
  if opt.format == "table" then
    print(live.heading(span) .. (#accepted + #connected == 0 and ": nothing" or ""))
  end
  server_writer:block(accepted, opt.rows)
  if opt.format == "table" and #accepted > 0 and #connected > 0 then
    print()
  end
  client_writer:block(connected, opt.rows)
end

local function turn_over()
  for _, records in ipairs({ servers, clients }) do
    records.total:merge(records.interval, merge)
    records.interval:clear()
  end
end

cgroups.scan(true)
live.run({
  format = opt.format,
  interval = opt.interval,
  duration = opt.duration,
  probes = {
    script.attach("tcpaccept", { filter = opt.filter }, on_accept),
    script.attach("tcpconnect", { filter = opt.filter }, on_connect),
    script.attach("tcpclose", { filter = opt.filter,
      where = "side != unknown and (rx_redirected_bytes > 0 or tx_redirected_bytes > 0)" }, on_redirected),
  },
  show = show,
  turn_over = turn_over,
})
