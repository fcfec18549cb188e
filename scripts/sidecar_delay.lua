-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- sidecar_delay - a line for each request through a sidecar: how long it kept it, each way.
--
-- usage: bpfnet run sidecar_delay [options]
--
--   --slower-than MS    only those that the sidecar itself took longer for, both ways together
--   --direction in|out|inside
--                       only requests that arrive at the pod, that it makes, or that one of its
--                       sidecars has sent to another
--   --proxy COMM,...    processes of these names pass requests on, like a sidecar
--   --pod --namespace --container --sidecar --label
--                       only these containers: --pod 'shop/cart-*' (NAMESPACE/NAME or NAME, with *
--                       and ?), --label app=cart. Both halves of a pod are needed: --container and
--                       --sidecar leave one out
--   --labels cri|kube   who is asked for labels and addresses of pods: the runtime, or the API
--                       server ($KUBECONFIG)
--   --pid --uid --comm --port --sport --dport --addr --netns --cgroup --family
--                       only these sockets; commas between several. They take apart what belongs
--                       to one request, as a rule
--   --duration SECONDS  stop by itself
--   --json, --csv       for programs: exact ns of each part, both sockets' addresses
--
-- example:
--   # bpfnet run sidecar_delay --namespace shop | cut -c -112
--   TIME         IN    SVC    OUT  TOTAL ASKED   GOT KNOWN BY   CLIENT -> SIDECAR -> SERVICE
--   08:27:35  358us  5.1ms  225us  6.1ms  100B  1.0K order      shop/front-0/web -> shop/cart-0/istio-proxy -> shop/
--   08:27:35  345us  5.2ms  232us  6.1ms  100B  1.0K order      shop/front-0/web -> shop/cart-0/istio-proxy -> shop/
--   ^C
--   6 requests through sidecars, 6 shown
--   known by: order 6
--   sidecar in: p50 338us, p99 358us, max 358us
--   sidecar out: p50 229us, p99 302us, max 302us
--
-- columns:
--   TIME       when the sidecar read the request, local time
--   IN OUT     request read to request sent on; response read to response sent
--   SVC        the service's: request read to response begun; if it is elsewhere, all that the
--              sidecar waited but for one round trip
--   TOTAL      as in pod_latency, also for what the parts are and what pairs them (KNOWN BY)
--   ASKED GOT  bytes of the request and of the response
--   CLIENT ... -> of a request that arrives, => of one that the pod makes. "(itself)": nothing was
--              sent on, or it was not seen
--
-- A line comes some 1.5 s after the response: by then all that belongs to it is there.

local args = require("bpfnet.args")
local clock = require("bpfnet.clock")
local hist = require("bpfnet.hist")
local out = require("bpfnet.out")
local parts = require("bpfnet.pairs_parts")
local pod = require("bpfnet.pod")
local requests_of = require("bpfnet.pairs_probe")
local script = require("bpfnet.script")

local opt = args.parse(arg, {
  slower_than = { type = "number", min = 0 },
  direction = { type = "word", words = { "in", "out", "inside" } },
  proxy = { type = "string", list = true },
})

local function name_of(ev, addr, port)
  if ev then
    return pod.name(ev.conn.who)
  end
  local who = addr and pod.of_addr(addr)
  return who and pod.name(who) or addr and out.endpoint(addr, port) or nil
end

-- The sockets that a request passed: the client's, the sidecar's two, the service's.
local function row_of(r, times, total)
  local server, upstream = r.server, r.upstream
  return {
    ts_ns = server.ts_ns, start_ns = server.start_ns, time = clock.iso(server.start_ns), pod = r.who.pod,
    namespace = r.who.namespace, direction = r.direction,
    client = name_of(r.client, server.daddr, server.dport), sidecar = pod.name(r.who),
    service = upstream and name_of(upstream.peer, upstream.daddr, upstream.dport) or nil,
    saddr = server.saddr, sport = server.sport, daddr = server.daddr, dport = server.dport,
    upstream_saddr = upstream and upstream.saddr, upstream_sport = upstream and upstream.sport,
    upstream_daddr = upstream and upstream.daddr, upstream_dport = upstream and upstream.dport,
    nth = server.nth, tries = r.tries, how = r.how, left_out = r.left_out, outcome = server.outcome,
    sidecar_unread_ns = times.sidecar_unread, sidecar_in_ns = times.sidecar_in, unread_ns = times.unread,
    service_ns = times.service, network_ns = times.network, sidecar_out_ns = times.sidecar_out,
    unsplit_ns = times.unsplit, transfer_ns = times.transfer, total_ns = total,
    request_bytes = server.request_bytes, response_bytes = server.response_bytes,
    pid = server.pid, comm = server.comm,
  }
end

local ARROW = { ["in"] = " -> ", out = " => " }

local function way(row)
  local arrow = ARROW[row.direction] or " -> "
  return table.concat({ row.client or "?", row.sidecar, row.service or "(itself)" }, arrow)
end

local function known(row)
  return row.left_out or row.how and (row.tries > 1 and ("%s, %d tries"):format(row.how, row.tries) or row.how)
    or row.outcome
end

local writer = out.new({
  format = opt.format,
  columns = {
    { title = "TIME", width = 8, value = "start_ns", show = clock.hms },
    { title = "IN", width = 6, right = true, value = "sidecar_in_ns", show = out.duration },
    { title = "SVC", width = 6, right = true, value = "service_ns", show = out.duration },
    { title = "OUT", width = 6, right = true, value = "sidecar_out_ns", show = out.duration },
    { title = "TOTAL", width = 6, right = true, value = "total_ns", show = out.duration },
    { title = "ASKED", width = 5, right = true, value = "request_bytes", show = out.bytes },
    { title = "GOT", width = 5, right = true, value = "response_bytes", show = out.bytes },
    { title = "KNOWN BY", width = 10, value = known },
    { title = "CLIENT -> SIDECAR -> SERVICE", width = 60, value = way },
  },
  fields = {
    "ts_ns", "time", "pod", "namespace", "direction", "client", "sidecar", "service", "sidecar_unread_ns",
    "sidecar_in_ns", "unread_ns", "service_ns", "network_ns", "sidecar_out_ns", "unsplit_ns", "transfer_ns",
    "total_ns", "request_bytes", "response_bytes", "how", "tries", "outcome", "left_out", "pid", "comm", "saddr",
    "sport", "daddr", "dport", "nth", "upstream_saddr", "upstream_sport", "upstream_daddr", "upstream_dport",
    "start_ns",
  },
})

local function new_hist()
  return hist.new({ unit = "ns" })
end

local totals = { count = 0, shown = 0, ["in"] = new_hist(), out = new_hist(), how = {} }

local function add_to_totals(row)
  totals.how[row.how or row.left_out or "not sent on"] = (totals.how[row.how or row.left_out or "not sent on"] or 0) + 1
  if row.sidecar_in_ns then
    totals["in"]:add(row.sidecar_in_ns)
    totals.out:add(row.sidecar_out_ns)
  end
end

local slower_ns = opt.slower_than and opt.slower_than * 1e6

-- What the sidecar itself took, its reading included.
local function delay(row)
  return (row.sidecar_in_ns or row.unsplit_ns or 0) + (row.sidecar_out_ns or 0) + (row.sidecar_unread_ns or 0)
end

local function on_request(r)
  if not r.proxied or r.left_out == "continued" or opt.direction and r.direction ~= opt.direction then
    return
  end
  local times, total = {}, nil
  if r.answered and not r.left_out then
    times, total = parts.of(r)
  end
  local row = row_of(r, times, total)
  totals.count = totals.count + 1
  add_to_totals(row)
  if not slower_ns or delay(row) > slower_ns then
    totals.shown = totals.shown + 1
    writer:row(row)
  end
end

local function print_totals()
  print(("\n%d requests through sidecars, %d shown"):format(totals.count, totals.shown))
  if totals.count > 0 then
    print("known by: " .. out.counts(totals.how))
  end
  for _, which in ipairs({ "in", "out" }) do
    local h = totals[which]
    if h.count > 0 then
      print(("sidecar %s: p50 %s, p99 %s, max %s"):format(which, out.duration(h:quantile(0.5)),
        out.duration(h:quantile(0.99)), out.duration(h.max)))
    end
  end
end

pod.start()
local requests = requests_of.new({ filter = opt.filter, proxy = opt.proxy }, on_request)
writer:header()
requests:start()
bpf.run(opt.duration)
requests.probe:detach()
requests:settle()
if opt.format == "table" then
  print_totals()
end
requests:losses()
script.losses(requests.probe)
