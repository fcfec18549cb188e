-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- connections - who connects to what, how often it fails and why, and how long it takes; live.
--
-- usage: bpfnet run connections [options]
--
--   --interval SECONDS  time between two tables (default 2)
--   --rows N            lines of a table (default 20); JSON and CSV have all
--   --failed            only destinations to which attempts failed
--   --pid --uid --comm --port --sport --dport --addr --netns --cgroup --family
--                       only these; commas between several: --dport 80,443. dport is the
--                       destination's; addr an address or network; netns and cgroup are
--                       numbers or paths, netns also a name of `ip netns`
--   --pod --namespace --container --sidecar --label
--                       only of these containers: --pod 'shop/cart-*' (NAMESPACE/NAME or
--                       NAME, with * and ?), --sidecar, --label app=cart
--   --labels cri|kube   who is asked for labels: the runtime, or the API server ($KUBECONFIG)
--   --duration SECONDS  stop by itself
--   --json, --csv       for programs: a row per destination and interval ("span": "interval"),
--                       at the end one per destination for the whole time ("span": "total")
--
-- example:
--   # bpfnet run connections
--   19:53:06  last 2.0 s: 61 attempts, 1 failed
--   COMM            DESTINATION             TRIED      OK  FAILED    P50    P99 REDIR ERRORS
--   curl            127.0.0.1:8090              1       0       1      -      -     - ECONNREFUSED 1
--   curl            127.0.0.1:8080             40      40       0   73us  326us     - -
--   curl            127.0.0.1:8081             20      20       0   54us  199us     - -
--
-- columns:
--   COMM         the process that called connect()
--   POD          NAMESPACE/POD/CONTAINER, "docker:web", "unknown:ID"; on a node that has containers
--   DESTINATION  address and port
--   TRIED OK FAILED  attempts whose outcome came in this interval; what still waits for an
--                answer counts when the outcome is known
--   P50 P99      time from the SYN to the established connection: half of them, 99% of them
--                took no longer (within 2.2%)
--   REDIR        what bpfnet redirect carried past TCP, both ways together, on connections that
--                ended in this interval; only on those that began under our eyes
--   ERRORS       why attempts failed, and how many. ECANCELED: the program closed the socket
--                before there was an outcome, as for a time limit of its own
--
-- Destinations with failures come first, then those with most attempts. On a terminal each
-- table takes the place of the one before. Ctrl-C shows the whole time. Beyond 4096
-- destinations the rest is counted together, as "(others)"; beyond 10,000 in an interval, without
-- telling failures apart.

local args = require("bpfnet.args")
local hist = require("bpfnet.hist")
local live = require("bpfnet.live")
local out = require("bpfnet.out")
local pod = require("bpfnet.pod")
local pod_column = require("bpfnet.pod_column")
local script = require("bpfnet.script")
local top = require("bpfnet.top")

local opt = args.parse(arg, {
  interval = { type = "number", min = 0.1, max = 86400, default = 2 },
  rows = { type = "integer", min = 1, default = 20 },
  failed = { type = "flag" },
})

local HOST = {}

local function new_record()
  return { attempts = 0, failed = 0, rx = 0, tx = 0, latency = hist.new({ unit = "ns" }), errors = {} }
end

local function merge(into, from)
  into.attempts = into.attempts + from.attempts
  into.failed = into.failed + from.failed
  into.rx, into.tx = into.rx + from.rx, into.tx + from.tx
  into.latency:merge(from.latency)
  for name, n in pairs(from.errors) do
    into.errors[name] = (into.errors[name] or 0) + n
  end
end

local now, total = top.new({ make = new_record }), top.new({ make = new_record })

-- Added up in the kernel: a node that connects a lot is the one that has no time for us.
local probe = script.load("tcpconnect", { filter = opt.filter })
local outcomes = probe:aggregate({
  by = { "cgroup", "comm", "daddr", "dport", "error" }, hist = "latency_ns", min = "latency_ns", max = "latency_ns",
})

local closes = script.load("tcpclose", { filter = opt.filter,
  where = "side == connect and (rx_redirected_bytes > 0 or tx_redirected_bytes > 0)" })
local redirected = closes:aggregate({
  by = { "cgroup", "comm", "daddr", "dport" }, sum = { "rx_redirected_bytes", "tx_redirected_bytes" },
})

-- The container that a cgroup belongs to; all that is no container's is one: the host.
local function who(cgroup)
  local identity = pod.of(cgroup)
  return identity.container_id and identity or HOST
end

local function add(record, row)
  record.attempts = record.attempts + row.count
  if row.error then
    record.failed = record.failed + row.count
    record.errors[row.error] = (record.errors[row.error] or 0) + row.count
  else
    record.latency:merge(row.hist)
  end
end

local function add_redirected(record, row)
  record.rx = record.rx + row.sum.rx_redirected_bytes
  record.tx = record.tx + row.sum.tx_redirected_bytes
end

local function collect()
  local rows = outcomes:take()
  for _, row in ipairs(rows) do
    add(now:get(who(row.cgroup), row.comm, row.daddr, row.dport), row)
  end
  if rows.other and rows.other.count > 0 then
    local others = now:others()
    others.attempts = others.attempts + rows.other.count
  end
  rows = redirected:take()
  for _, row in ipairs(rows) do
    add_redirected(now:get(who(row.cgroup), row.comm, row.daddr, row.dport), row)
  end
  if rows.other and rows.other.count > 0 then
    add_redirected(now:others(), rows.other)
  end
end

local identities = setmetatable({}, { __mode = "k" }) -- of rows

local function both_ways(row)
  local bytes = row.rx_redirected_bytes + row.tx_redirected_bytes
  return bytes > 0 and bytes or nil
end

local function destination(row)
  return row.daddr and out.endpoint(row.daddr, row.dport)
end

local writer = out.new({
  format = opt.format,
  columns = pod_column.insert({
    { title = "COMM", width = 15, value = "comm" },
    { title = "DESTINATION", width = 21, value = destination },
    { title = "TRIED", width = 7, right = true, value = "attempts" },
    { title = "OK", width = 7, right = true, value = "ok" },
    { title = "FAILED", width = 7, right = true, value = "failed" },
    { title = "P50", width = 6, right = true, value = "p50_ns", show = out.duration },
    { title = "P99", width = 6, right = true, value = "p99_ns", show = out.duration },
    { title = "REDIR", width = 5, right = true, value = both_ways, show = out.bytes },
    { title = "ERRORS", width = 20, value = "errors", show = out.counts },
  }, 2, function(row) return identities[row] end),
  fields = {
    "span", "time", "seconds", "comm", "daddr", "dport", "attempts", "ok", "failed", "errors",
    "p50_ns", "p99_ns", "max_ns", "rx_redirected_bytes", "tx_redirected_bytes",
    table.unpack(pod_column.FIELDS),
  },
})

local function row_of(entry, span)
  local record, identity = entry.value, entry.keys[1] or HOST
  local row = {
    pod = identity.pod,
    namespace = identity.namespace,
    container = identity.container,
    span = span.name,
    time = span.time,
    seconds = span.seconds,
    comm = entry.keys[2] or "(others)",
    daddr = entry.keys[3],
    dport = entry.keys[4],
    attempts = record.attempts,
    ok = record.attempts - record.failed,
    failed = record.failed,
    errors = record.errors,
    p50_ns = record.latency:whole_quantile(0.5),
    p99_ns = record.latency:whole_quantile(0.99),
    max_ns = record.latency.max,
    rx_redirected_bytes = record.rx,
    tx_redirected_bytes = record.tx,
  }
  identities[row] = identity ~= HOST and identity or nil
  return row
end

local function worse(a, b)
  if a.value.failed ~= b.value.failed then
    return a.value.failed > b.value.failed
  end
  return a.value.attempts > b.value.attempts
end

local function print_heading(entries, span)
  local attempts, failed = 0, 0
  for _, entry in ipairs(entries) do
    attempts, failed = attempts + entry.value.attempts, failed + entry.value.failed
  end
  print(("%s: %d attempts, %d failed"):format(live.heading(span), attempts, failed))
end

local function show(span)
  collect()
  local entries, rows = (span.name == "total" and total or now):list(worse), {}
  for _, entry in ipairs(entries) do
    if not opt.failed or entry.value.failed > 0 then
      rows[#rows + 1] = row_of(entry, span)
    end
  end
  if opt.format == "table" then
    print_heading(entries, span)
  end
  writer:block(rows, opt.rows)
end

local function turn_over()
  collect()
  total:merge(now, merge)
  now:clear()
end

script.start(probe)
script.start(closes)
live.run({
  format = opt.format,
  interval = opt.interval,
  duration = opt.duration,
  probes = { probe, closes },
  show = show,
  turn_over = turn_over,
})
