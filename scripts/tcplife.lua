-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- tcplife - a line for each TCP connection that ends: whose it was, what it carried, how it ended.
--
-- usage: bpfnet run tcplife [options]
--
--   --side connect|accept  only this side of connections. One within this host has two
--                          ends here, both of which are shown without it
--   --end WHAT,...         only those that ended so: fin, rst_sent, rst_received, timeout,
--                          aborted, error
--   --pid --uid --comm --port --sport --dport --addr --netns --cgroup --family
--                          only these; commas between several: --dport 80,443. sport is
--                          this host's port, dport the peer's, port either, addr an address
--                          or network of either; netns and cgroup are numbers or paths,
--                          netns also a name of `ip netns`
--   --pod --namespace --container --sidecar --label
--                          only of these containers: --pod 'shop/cart-*' (NAMESPACE/NAME or
--                          NAME, with * and ?), --sidecar, --label app=cart
--   --labels cri|kube      who is asked for labels: the runtime, or the API server ($KUBECONFIG)
--   --where EXPRESSION     only ends for which it is true: 'rx_bytes > 1MiB and duration_ns < 1s';
--                          bpfnet probes tcpclose lists the fields
--   --duration SECONDS     stop by itself
--   --json, --csv          for programs: exact numbers, units in the names
--
-- example:
-- # bpfnet run tcplife --port 8080
-- TIME     PID     COMM         LOCAL                    REMOTE                   RX    TX LASTED  SRTT RETR END
-- 20:05:23 16068   orders       127.0.0.1:8080        <- 127.0.0.1:49050         78B   22B   14ms  31us    0 fin local
-- 20:05:23 16085   curl         127.0.0.1:49050       -> 127.0.0.1:8080          22B   78B   14ms  25us    0 fin remote
-- 20:05:24 16068   orders       127.0.0.1:8080        <- 127.0.0.1:49056         78B   22B   29ms  23us    0 fin local
-- 20:05:24 16084   curl         127.0.0.1:49056       -> 127.0.0.1:8080          22B   78B   29ms  12us    0 fin remote
-- ...
-- ^C
-- 80 connection ends, 3.9K received, 3.9K sent
-- ended by: fin 80
-- duration: p50 36ms, p99 65ms, max 65ms
--
-- columns:
--   TIME          when it ended, local time
--   PID COMM      the process that connected or accepted, also if another one closed it.
--                 "1234~": it held the socket when tracing began; "-": nobody accepted
--   POD           NAMESPACE/POD/CONTAINER, "docker:web", "unknown:ID"; on a node that has containers
--   LOCAL REMOTE  this end and the peer's: -> connected, <- accepted, -- not known
--   RX TX         payload received and sent, retransmissions not counted, what a redirect carried
--                 past TCP is
--   LASTED        from the SYN to the end; "-" if it began before tracing did
--   SRTT          smoothed round-trip time at the end
--   RETR          segments retransmitted
--   END           how it ended, and whose FIN or RST came first: local, remote; kernel: it timed out.
--                 "old": it began before tracing did. "closed by": another process than the
--                 owner closed this end. "redirected 9.1K": so much of RX and TX together was
--                 carried past TCP by bpfnet redirect; SRTT and RETR are of the rest
--
-- Ctrl-C or the end of --duration adds totals to the table.

local args = require("bpfnet.args")
local clock = require("bpfnet.clock")
local hist = require("bpfnet.hist")
local out = require("bpfnet.out")
local pod_column = require("bpfnet.pod_column")
local script = require("bpfnet.script")

local ENDS = { "fin", "rst_sent", "rst_received", "timeout", "aborted", "error" }
local ARROWS = { connect = "->", accept = "<-", unknown = "--" }

local opt = args.parse(arg, {
  side = { type = "word", words = { "connect", "accept" } },
  ["end"] = { type = "word", list = true, words = ENDS },
  where = { type = "string" },
})

local function owner(ev)
  if ev.owner ~= "unknown" then
    return ev.pid .. (ev.owner == "scan" and "~" or "")
  end
end

local function comm(ev)
  return ev.owner ~= "unknown" and ev.comm or nil
end

local function ending(ev)
  local text = ev.ended
  if ev.closed_by ~= "unknown" then
    text = text .. " " .. ev.closed_by
  end
  if ev.old then
    text = text .. ", old"
  end
  if ev.closer_pid ~= 0 and ev.closer_pid ~= ev.pid then
    text = ("%s, closed by %s (%d)"):format(text, ev.closer_comm, ev.closer_pid)
  end
  local redirected = ev.rx_redirected_bytes + ev.tx_redirected_bytes
  if redirected > 0 then
    text = ("%s, redirected %s"):format(text, out.bytes(redirected))
  end
  return text
end

local function laddr(ev)
  return out.endpoint(ev.saddr, ev.sport)
end

local function raddr(ev)
  return out.endpoint(ev.daddr, ev.dport)
end

local function srtt(ev)
  return out.duration(ev.srtt_us * 1000)
end

local writer = out.new({
  format = opt.format,
  columns = pod_column.insert({
    { title = "TIME", width = 8, value = "ts_ns", show = clock.hms },
    { title = "PID", width = 7, value = owner },
    { title = "COMM", width = 12, value = comm },
    { title = "LOCAL", width = 21, value = laddr },
    { title = "", width = 2, value = "side", show = function(side) return ARROWS[side] end },
    { title = "REMOTE", width = 21, value = raddr },
    { title = "RX", width = 5, right = true, value = "rx_bytes", show = out.bytes },
    { title = "TX", width = 5, right = true, value = "tx_bytes", show = out.bytes },
    { title = "LASTED", width = 6, right = true, value = "duration_ns", show = out.duration },
    { title = "SRTT", width = 5, right = true, value = srtt },
    { title = "RETR", width = 4, right = true, value = "retrans" },
    { title = "END", width = 20, value = ending },
  }, 4),
  fields = {
    "ts_ns", "time", "pid", "comm", "uid", "owner", "side", "saddr", "sport", "daddr", "dport",
    "family", "rx_bytes", "tx_bytes", "duration_ns", "srtt_us", "retrans", "segs_in", "segs_out",
    "ended", "closed_by", "closer_pid", "closer_comm", "old", "netns", "cgroup", "cookie", "tid", "cpu",
    "rx_redirected_bytes", "tx_redirected_bytes", "rx_redirected_msgs", "tx_redirected_msgs",
    table.unpack(pod_column.FIELDS),
  },
})

local wanted = {}
for _, name in ipairs(opt["end"] or ENDS) do
  wanted[name] = true
end

local totals = { count = 0, rx_bytes = 0, tx_bytes = 0, redirected = 0, ends = {}, durations = hist.new() }

local function add_to_totals(ev)
  totals.count = totals.count + 1
  totals.rx_bytes = totals.rx_bytes + ev.rx_bytes
  totals.tx_bytes = totals.tx_bytes + ev.tx_bytes
  totals.redirected = totals.redirected + ev.rx_redirected_bytes + ev.tx_redirected_bytes
  totals.ends[ev.ended] = (totals.ends[ev.ended] or 0) + 1
  if ev.duration_ns then
    totals.durations:add(ev.duration_ns)
  end
end

local function print_totals()
  print(("\n%d connection ends, %s received, %s sent%s"):format(totals.count,
    out.bytes(totals.rx_bytes), out.bytes(totals.tx_bytes),
    totals.redirected > 0 and (", %s redirected"):format(out.bytes(totals.redirected)) or ""))
  if totals.count > 0 then
    print("ended by: " .. out.counts(totals.ends))
  end
  local d = totals.durations
  if d.count > 0 then
    print(("duration: p50 %s, p99 %s, max %s"):format(out.duration(d:quantile(0.5)),
      out.duration(d:quantile(0.99)), out.duration(d.max)))
  end
end

local function on_close(ev)
  if opt.side and ev.side ~= opt.side or not wanted[ev.ended] then
    return
  end
  if opt.format == "table" then
    add_to_totals(ev)
  else
    ev.time = clock.iso(ev.ts_ns)
  end
  writer:row(ev)
end

local probe = script.attach("tcpclose", { filter = opt.filter, where = opt.where, pods = true }, on_close)
writer:header()
bpf.run(opt.duration)
probe:detach()
if opt.format == "table" then
  print_totals()
end
script.losses(probe)
