-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- pod_latency - per container: how long its connections wait to be accepted, and to be established.
--
-- A server that is too slow lets connections wait in the accept queue, where no log of its own shows
-- them; a client that reaches its servers slowly shows here before the requests begin.
--
-- usage: bpfnet run pod_latency [options]
--
--   --interval SECONDS  time between two pairs of tables (default 5)
--   --rows N            lines of a table (default 20); JSON and CSV have all
--   --pid --uid --comm --port --sport --dport --addr --netns --cgroup --family
--                       only these; values with commas between: --sport 80,443. sport is the port of
--                       the container's own end; --cgroup takes a number or a path, as
--                       /sys/fs/cgroup/kubepods.slice/... (that cgroup itself, not those below it)
--   --duration SECONDS  stop by itself
--   --json, --csv       for programs: a row per container, side ("accept", "connect"), port and
--                       interval ("span": "interval"), at the end for the whole time ("total")
--
-- example:
--   # bpfnet run pod_latency
--
-- columns:
--   SERVER, CLIENT  cgroup that the socket belongs to, by the end of its path: podUID/CONTAINER for
--                   Kubernetes. JSON has the whole path. "cgroup:ID": it was gone before its name
--                   could be read
--   PORT            port listened on; of the peer for clients
--   ACCEPTS         connections accepted
--   P50 P99 MAX     servers: time in the accept queue, from established to accepted; clients: from the
--                   SYN to established. Quantiles within 2.2%
--   QUEUE           most connections that an accept() left waiting, and how many may wait. When the
--                   first comes near the second, the kernel drops new connections
--   TRIED FAILED    attempts to connect with a known outcome
--   ERRORS          why they failed
--
-- Slowest first (P99). On a terminal each pair of tables takes the place of the one before. Ctrl-C
-- shows the whole time. Beyond 4096 rows the rest is counted together, as "(others)".

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
  return { count = 0, failed = 0, latency = hist.new(), errors = {}, backlog = nil, backlog_max = nil }
end

local function merge(into, from)
  into.count = into.count + from.count
  into.failed = into.failed + from.failed
  into.latency:merge(from.latency)
  for name, n in pairs(from.errors) do
    into.errors[name] = (into.errors[name] or 0) + n
  end
  into.backlog = from.backlog and math.max(into.backlog or 0, from.backlog) or into.backlog
  into.backlog_max = from.backlog_max or into.backlog_max
end

local servers = { interval = top.new({ make = new_record }), total = top.new({ make = new_record }) }
local clients = { interval = top.new({ make = new_record }), total = top.new({ make = new_record }) }

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

local function queue(row)
  return row.backlog and ("%d/%d"):format(row.backlog, row.backlog_max)
end

local function name(row)
  return cgroups.short(row.cgroup_path)
end

local function latency_columns()
  return {
    { title = "P50", width = 6, right = true, value = function(r) return out.duration(r.p50_ns) end },
    { title = "P99", width = 6, right = true, value = function(r) return out.duration(r.p99_ns) end },
    { title = "MAX", width = 6, right = true, value = function(r) return out.duration(r.max_ns) end },
  }
end

local function columns(before, after)
  local all = table.move(latency_columns(), 1, 3, #before + 1, before)
  return table.move(after, 1, #after, #all + 1, all)
end

local FIELDS = {
  "span", "time", "seconds", "side", "cgroup_path", "cgroup", "port", "count", "failed", "errors", "p50_ns",
  "p99_ns", "max_ns", "backlog", "backlog_max",
}

local server_writer = out.new({
  format = opt.format,
  columns = columns({
    { title = "SERVER", width = 30, value = name },
    { title = "PORT", width = 5, right = true, value = "port" },
    { title = "ACCEPTS", width = 8, right = true, value = "count" },
  }, {
    { title = "QUEUE", width = 11, right = true, value = queue },
  }),
  fields = FIELDS,
})

-- Rows of both kinds make one stream for programs, two tables for the eye.
local client_writer = opt.format ~= "table" and server_writer or out.new({
  format = opt.format,
  columns = columns({
    { title = "CLIENT", width = 30, value = name },
    { title = "PORT", width = 5, right = true, value = "port" },
    { title = "TRIED", width = 8, right = true, value = "count" },
  }, {
    { title = "FAILED", width = 7, right = true, value = "failed" },
    { title = "ERRORS", width = 20, value = function(r) return out.counts(r.errors) end },
  }),
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
  }
end

local function slower(a, b)
  local x, y = a.value.latency:quantile(0.99) or -1, b.value.latency:quantile(0.99) or -1
  if x ~= y then
    return x > y
  end
  return a.value.count > b.value.count
end

local function rows_of(records, side, span)
  local rows = {}
  for i, entry in ipairs(records:list(slower)) do
    rows[i] = row_of(entry, side, span)
  end
  return rows
end

-- Names are looked up for all ids together, before the rows are made.
local function learn_names(span)
  for _, records in ipairs({ servers[span.name], clients[span.name] }) do
    for _, entry in ipairs(records:list(slower)) do
      if entry.keys[1] then
        cgroups.path(entry.keys[1])
      end
    end
  end
  cgroups.scan()
end

local function show(span)
  learn_names(span)
  local accepted = rows_of(servers[span.name], "accept", span)
  local connected = rows_of(clients[span.name], "connect", span)
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
  },
  show = show,
  turn_over = turn_over,
})
