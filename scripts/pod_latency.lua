-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- pod_latency - where the time of each pod's requests goes: sidecar, service, network, accept queue.
--
-- A request is what one side of a TCP connection sends until the other side answers; no protocol is
-- decoded, long-lived connections are as good as new ones. Where a pod has a sidecar (by the rules
-- of bpfnet.pod, or --proxy), what it accepted is paired with what it sent on.
--
-- usage: bpfnet run pod_latency [options]
--
--   --pod --namespace --container --sidecar --label
--                       only these containers: --pod 'shop/cart-*' (NAMESPACE/NAME or NAME, with *
--                       and ?), --sidecar, --label app=cart. A pod's whole is needed to pair what
--                       its sidecar does: --container and --sidecar show one half of it
--   --labels cri|kube   who is asked for labels and addresses of pods: the runtime, or the API
--                       server ($KUBECONFIG)
--   --interval SECONDS  time between two looks (default 5)
--   --top N             blocks on a terminal (default 8); lines, JSON and CSV have all
--   --proxy COMM,...    processes of these names pass requests on, like a sidecar
--   --packets           how long packets take in the pods' namespaces, too; with --pod,
--                       --namespace or --label
--   --pid --uid --comm --port --sport --dport --addr --netns --cgroup --family
--                       only these sockets; commas between several: --sport 80,443. They, too,
--                       take apart what belongs to one request
--   --duration SECONDS  stop by itself
--   --json, --csv       for programs: a row per pod, direction and interval ("span": "interval");
--                       at the end for the whole time ("span": "total")
--
-- example:
--   # bpfnet run pod_latency --namespace shop
--   ...
--   09:02:21  all 4.0 s: 2 blocks
--   shop/front-0 out: 1000 requests, 251.1/s; 98K asked, 977K answered
--     PART                         N    P50    P90    P99    MAX SHARE KNOWN BY
--     network                   1000  7.1us   23us   42us   59us    0%
--     unread                    1000   68us  192us  128ms  217ms   13%
--     service                   1000  5.9ms   15ms   90ms  229ms   87%
--     transfer                  1000  3.1us  5.5us   10us  111us    0%
--     total                     1000  5.9ms   20ms  139ms  229ms  100%
--     connect :81 web              1      -      -      -      -       failed 1: ECONNREFUSED 1
--     connect :15006 web          10  6.3us  8.1us   99us   99us
--   shop/cart-0 in: 1000 requests, 251.1/s; 98K asked, 977K answered
--     PART                         N    P50    P90    P99    MAX SHARE KNOWN BY
--     network                   1000   42us  105us  1.0ms  217ms    2% also to the client for 1000
--     sidecar unread            1000   81us  229us   33ms  130ms   13%
--     sidecar in                1000  324us  1.2ms   12ms   72ms    6% sticky 83%, order 12%, exact 5%
--     unread                    1000   22us  219us   54ms  159ms   11%
--     service                   1000  5.2ms  8.0ms   64ms  225ms   63%
--     sidecar out               1000  249us  915us  8.0ms  9.7ms    5% sticky 83%, order 12%, exact 5%
--     total                     1000  5.9ms   20ms  139ms  229ms  100%
--     accept :15006 istio-proxy   10  129ms  129ms  130ms  130ms       queue 9/1024
--     connect :8080 istio-proxy   10  5.1us   18us   65us   65us
--     accept :8080 app            10  192us  249us  263us  263us       queue 7/1024
--
-- in: requests that arrive at the pod; out: those that it makes; inside: between its containers,
-- made by the sidecar by itself, or sent from one sidecar to another. What is in no pod stands under its
-- unit's name, or "host".
--
-- parts, which add up to the total of each request:
--   network         inside the pod, and from and to the other end where that is on this host too
--                   ("also to the client"). Else the way there is not in it: "to the client and
--                   back" is the smoothed round trip; for "out" it is taken off the service
--   sidecar unread  bytes lay in the sidecar's sockets and it did not read them
--   sidecar in      request read by the sidecar to request sent on; sidecar out: response likewise
--   unread          bytes lay in the service's, or the client's, socket unread
--   service         request read to response begun
--   not sent on     the sidecar answered by itself, or what it sent was not seen
--   transfer        first byte of the response to the last
--   total           in: from the request's arrival, or the client's first byte, to the last byte
--                   handed to the kernel, or read by the client. out: from first byte to last
-- accept: time in the accept queue, and the most that waited of how many may; connect: SYN to
-- established, failures by errno; both by port, with the bytes that a redirect carried past TCP.
-- They are of connections, so not in the total.
--
-- KNOWN BY tells how the sidecar's two requests were paired: exact (only one was open), via (the
-- thread had read that one last), sticky (that socket has always been used for it), thread, size
-- (what the sidecar adds to each), order (first in, first out: a guess, whose errors concern requests of
-- nearly the same moment). "without times": pipelined (another request came before the
-- response), duplex (both sides send at will), sideless (older, and nobody knows who connected).
--
-- Quantiles are within 2.2%; counts, MAX and sums are exact. Failures come first, then the slowest
-- (P99). A request is shown some 1.5 s after its end, when all that belongs to it is there. On a
-- terminal blocks take the place of those before; else there is a line for each pod, direction and
-- interval (TOT: total, SVC: service, NET: network, CON: connect, ACC: accept queue). Ctrl-C shows
-- the whole time. What comes too fast is counted, and said at the end.

local args = require("bpfnet.args")
local block = require("bpfnet.pairs_block")
local clock = require("bpfnet.clock")
local ends = require("bpfnet.pairs_ends")
local live = require("bpfnet.live")
local out = require("bpfnet.out")
local pairing = require("bpfnet.pairs")
local parts = require("bpfnet.pairs_parts")
local pod = require("bpfnet.pod")
local pod_packets = require("bpfnet.pairs_packets")
local ports = require("bpfnet.pairs_ports")
local requests_of = require("bpfnet.pairs_probe")
local script = require("bpfnet.script")
local stats = require("bpfnet.pairs_stats")
local top = require("bpfnet.top")

local opt = args.parse(arg, {
  interval = { type = "number", min = 0.1, max = 86400, default = 5 },
  top = { type = "integer", min = 1, default = 8 },
  proxy = { type = "string", list = true },
  packets = { type = "flag" },
})

local function new_numbers()
  return { requests = stats.new(), ports = ports.new(), packets = {} }
end

local function merge(into, from)
  into.who = into.who or from.who
  stats.merge(into.requests, from.requests)
  ports.merge(into.ports, from.ports)
  pod_packets.merge(into.packets, from.packets)
end

local now, total = top.new({ make = new_numbers }), top.new({ make = new_numbers })

-- The numbers of whose pod, or other program, that is.
local function numbers_of(who, direction)
  local numbers = now:get(pairing.unit(who), direction)
  numbers.who = numbers.who or who
  return numbers
end

local requests = requests_of.new({ filter = opt.filter, proxy = opt.proxy }, function(r)
  stats.add(numbers_of(r.who, r.direction).requests, r)
end)

-- Where a connection counts: what stays in the pod is a step of what comes in or goes out.
local function direction_of(who, ev, side)
  if pairing.in_pod(who) and ends.is_local(ev) then
    return (side == "connect") == (who.sidecar == true) and "in" or "out"
  end
  return side == "connect" and "out" or "in"
end

local function port_of(ev, side)
  local who = pod.of_event(ev)
  local all = numbers_of(who, direction_of(who, ev, side)).ports
  return ports.get(all, side, side == "accept" and ev.sport or ev.dport, who.container)
end

local function on_accept(ev)
  local port = port_of(ev, "accept")
  port.count = port.count + 1
  if ev.queue_ns then
    port.latency:add(ev.queue_ns)
  end
  ports.queue(port, ev.backlog, ev.backlog_max)
end

local function on_connect(ev)
  local port = port_of(ev, "connect")
  port.count = port.count + 1
  if ev.error then
    port.failed = port.failed + 1
    port.errors[ev.error] = (port.errors[ev.error] or 0) + 1
  elseif ev.latency_ns then
    port.latency:add(ev.latency_ns)
  end
end

local function on_redirected(ev)
  local port = port_of(ev, ev.side)
  port.rx, port.tx = port.rx + ev.rx_redirected_bytes, port.tx + ev.tx_redirected_bytes
end

-- Short for a line: the parts that people ask for first.
local SHOWN = { "sidecar_in", "service", "sidecar_out", "network" }
local TITLES = { sidecar_in = "IN", service = "SVC", sidecar_out = "OUT", network = "NET" }

local function columns()
  local list = {
    { title = "TIME", width = 8, value = "clock" },
    { title = "POD", width = 24, value = "name" },
    { title = "DIR", width = 7, value = "direction" },
    { title = "REQS", width = 6, right = true, value = "requests" },
    { title = "RATE", width = 6, right = true, value = "rate", show = function(n) return ("%.1f"):format(n) end },
    { title = "TOT50", width = 5, right = true, value = "p50_ns", show = out.duration },
    { title = "TOT99", width = 5, right = true, value = "p99_ns", show = out.duration },
  }
  for _, name in ipairs(SHOWN) do
    for _, q in ipairs({ "50", "99" }) do
      list[#list + 1] = { title = TITLES[name] .. q, width = 5, right = true, show = out.duration,
        value = function(row)
          local times = row.parts[name]
          return times and times["p" .. q .. "_ns"]
        end }
    end
  end
  for _, side in ipairs({ { "connect", "CON99" }, { "accept", "ACC99" } }) do
    list[#list + 1] = { title = side[2], width = 5, right = true, show = out.duration, value = side[1] .. "_p99_ns" }
  end
  list[#list + 1] = { title = "QUEUE", width = 7, right = true, value = "queue" }
  list[#list + 1] = { title = "REDIR", width = 5, right = true, value = "redirected_bytes", show = out.bytes }
  list[#list + 1] = { title = "KNOWN BY", width = 16, value = "how", show = block.shares }
  list[#list + 1] = { title = "ERRORS", width = 16, value = "errors", show = out.counts }
  return list
end

local FIELDS = {
  "span", "time", "seconds", "name", "pod", "namespace", "container", "pod_uid", "runtime", "direction", "requests",
  "rate", "answered", "unanswered", "errors", "left_out", "proxied", "sent_on", "several", "alone", "how",
  "both_ends", "request_bytes", "response_bytes", "timed", "p50_ns", "p90_ns", "p99_ns", "max_ns", "sum_ns",
  "parts", "services", "srtt", "ports", "packets",
}

-- CSV has no room for what is nested but as JSON; the parts that people compare get columns.
local CSV_FIELDS = table.move(FIELDS, 1, #FIELDS, 1, {})
for _, name in ipairs(parts.NAMES) do
  for _, q in ipairs({ "p50_ns", "p99_ns" }) do
    CSV_FIELDS[#CSV_FIELDS + 1] = name .. "_" .. q
  end
end

local writer = out.new({
  format = opt.format, columns = columns(), fields = opt.format == "csv" and CSV_FIELDS or FIELDS,
})

local function numbers_by_name(hists)
  local all = {}
  for name, times in pairs(hists) do
    all[name] = stats.numbers(times)
  end
  return all
end

local function add_csv(row)
  for name, times in pairs(row.parts) do
    row[name .. "_p50_ns"], row[name .. "_p99_ns"] = times.p50_ns, times.p99_ns
  end
end

-- What a line says of all ports together.
local function add_ports(row, all)
  local both = ports.sum(all)
  row.connect_p99_ns, row.accept_p99_ns = both.connect:whole_quantile(0.99), both.accept:whole_quantile(0.99)
  row.queue = both.backlog and ("%d/%d"):format(both.backlog, both.backlog_max)
  row.redirected_bytes = both.redirected > 0 and both.redirected or nil
end

local function row_of(entry, span)
  local numbers, direction = entry.value, entry.keys[2] or "all"
  local who, r = numbers.who or {}, numbers.requests
  local errors = ports.errors(numbers.ports)
  errors.unanswered = r.unanswered > 0 and r.unanswered or nil
  local row = {
    span = span.name, time = span.time, clock = clock.hms(bpf.now()), seconds = span.seconds,
    name = numbers.who and (who.pod or pod.name(who)) or "(others)", pod = who.pod, namespace = who.namespace,
    container = not who.pod and who.container or nil, pod_uid = who.pod_uid, runtime = who.runtime,
    direction = direction, rate = live.rate(r.requests, span), errors = errors,
    p50_ns = r.total:whole_quantile(0.5), p90_ns = r.total:whole_quantile(0.9),
    p99_ns = r.total:whole_quantile(0.99), max_ns = r.total.max, sum_ns = r.total.sum,
    parts = numbers_by_name(r.parts), services = numbers_by_name(r.services), srtt = stats.numbers(r.srtt),
    ports = ports.rows(numbers.ports), packets = opt.packets and pod_packets.rows(numbers.packets) or nil,
  }
  for _, name in ipairs(FIELDS) do
    if row[name] == nil then
      row[name] = r[name]
    end
  end
  if opt.format == "table" then
    add_ports(row, numbers.ports)
  end
  return row
end

-- Failures first, then the slowest.
local function worse(a, b)
  local x, y = a.value, b.value
  if x.failures ~= y.failures then
    return x.failures > y.failures
  elseif x.p99 ~= y.p99 then
    return x.p99 > y.p99
  end
  return x.requests.requests > y.requests.requests
end

local function ranked(list)
  for _, entry in ipairs(list:list()) do
    local numbers = entry.value
    local _, failed = ports.errors(numbers.ports)
    numbers.failures = failed + numbers.requests.unanswered
    numbers.p99 = numbers.requests.total:quantile(0.99) or -1
  end
  return list:list(worse)
end

local function show_blocks(entries, span)
  print(("%s: %s"):format(live.heading(span), #entries == 0 and "nothing" or #entries == 1 and "1 block"
    or ("%d blocks"):format(#entries)))
  for i = 1, math.min(#entries, opt.top) do
    local numbers = entries[i].value
    local name = numbers.who and (numbers.who.pod or pod.name(numbers.who)) or "(others)"
    block.print(name, entries[i].keys[2] or "all", numbers, span.seconds)
  end
  if #entries > opt.top then
    print(("... and %d more"):format(#entries - opt.top))
  end
end

local function show_rows(entries, span)
  for _, entry in ipairs(entries) do
    local row = row_of(entry, span)
    if opt.format == "csv" then
      add_csv(row)
    end
    if opt.format ~= "table" or row.requests + entry.value.failures > 0 then
      writer:row(row)
    end
  end
end

local packets -- the probe, if it was asked for

local function collect()
  requests:settle()
  if packets then
    packets:collect(function(who) return numbers_of(who, "packets").packets end)
  end
end

local on_terminal = opt.format == "table" and out.is_terminal()

local function show(span)
  collect()
  local entries = ranked(span.name == "total" and total or now)
  if on_terminal or opt.format == "table" and span.name == "total" then
    show_blocks(entries, span)
  else
    show_rows(entries, span)
  end
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
packets = opt.packets and pod_packets.new(opt.filter) or nil
local probes = {
  requests.probe,
  script.attach("tcpaccept", { filter = opt.filter }, on_accept),
  script.attach("tcpconnect", { filter = opt.filter }, on_connect),
  script.attach("tcpclose", { filter = opt.filter,
    where = "side != unknown and (rx_redirected_bytes > 0 or tx_redirected_bytes > 0)" }, on_redirected),
}
requests:start()
if packets then
  packets:start()
  probes[#probes + 1] = packets.probe
end
if not on_terminal then
  writer:header()
end
live.run({
  format = opt.format == "table" and not on_terminal and "lines" or opt.format,
  interval = opt.interval,
  duration = opt.duration,
  probes = probes,
  show = show,
  turn_over = turn_over,
})
requests:losses()
