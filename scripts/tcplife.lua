-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- tcplife - a line for each TCP connection that ends: whose it was, how much it carried, how it ended.
--
-- usage: bpfnet run tcplife [options]
--
--   --side connect|accept  only ends of connections made by (accepted by) processes of this host; of
--                          a connection within the host both ends are shown without it
--   --end WHAT,...         only those that ended so: fin, rst_sent, rst_received, timeout, aborted,
--                          error
--   --pid --uid --comm --port --sport --dport --addr --netns --cgroup --family
--                          only these; values with commas between: --dport 80,443. sport is this
--                          host's port, dport the peer's, port either; --addr 10.0.0.0/8; netns and
--                          cgroup are numbers or paths, --cgroup /sys/fs/cgroup/system.slice
--   --duration SECONDS     stop by itself
--   --json, --csv          for programs: exact numbers, units in the names
--
-- example:
--   # bpfnet run tcplife --port 8080
--   TIME     PID     COMM
--
-- columns:
--   TIME      when it ended, local time
--   PID COMM  process that connected or accepted, also if another one closed it. "1234~": it held the
--             socket when tracing began; "-": never accepted
--   LOCAL REMOTE  this host's end and the peer's; -> connected, <- accepted, -- not known
--   RX TX     payload received and sent, retransmissions not counted
--   DURATION  from the SYN to the end; "-" if it began before tracing did
--   SRTT      smoothed round-trip time at the end
--   RETR      segments retransmitted
--   END       how it ended and by whose FIN or RST: local, remote; kernel: it timed out. Then "old"
--             if it began before tracing did, and who closed this end if that was another process
--
-- At the end (Ctrl-C, --duration) the table is followed by totals.

local args = require("bpfnet.args")
local clock = require("bpfnet.clock")
local hist = require("bpfnet.hist")
local out = require("bpfnet.out")
local script = require("bpfnet.script")

local opt = args.parse(arg, {
  side = { type = "word", words = { "connect", "accept" } },
  ["end"] = {
    type = "word",
    list = true,
    words = { "fin", "rst_sent", "rst_received", "timeout", "aborted", "error" },
  },
})

local ARROWS = { connect = "->", accept = "<-" }

local function owner(ev)
  if ev.owner == "unknown" then
    return nil
  end
  return ev.pid .. (ev.owner == "scan" and "~" or "")
end

local function how(ev)
  local text = ev["end"]
  if ev.closed_by ~= "unknown" then
    text = text .. " by " .. ev.closed_by
  end
  if ev.old then
    text = text .. ", old"
  end
  if ev.closer_pid ~= 0 and ev.closer_pid ~= ev.pid then
    text = ("%s, closed by %s (%d)"):format(text, ev.closer_comm, ev.closer_pid)
  end
  return text
end

local writer = out.new({
  format = opt.format,
  columns = {
    { title = "TIME", width = 8, value = function(ev) return clock.hms(ev.ts_ns) end },
    { title = "PID", width = 8, value = owner },
    { title = "COMM", width = 15, value = function(ev) return ev.comm ~= "" and ev.comm or nil end },
    { title = "LOCAL", width = 21, value = function(ev) return out.endpoint(ev.saddr, ev.sport) end },
    { title = "", width = 2, value = function(ev) return ARROWS[ev.side] or "--" end },
    { title = "REMOTE", width = 21, value = function(ev) return out.endpoint(ev.daddr, ev.dport) end },
    { title = "RX", width = 5, right = true, value = function(ev) return out.bytes(ev.rx_bytes) end },
    { title = "TX", width = 5, right = true, value = function(ev) return out.bytes(ev.tx_bytes) end },
    { title = "DURATION", width = 8, right = true, value = function(ev) return out.duration(ev.duration_ns) end },
    { title = "SRTT", width = 6, right = true, value = function(ev) return out.duration(ev.srtt_us * 1000) end },
    { title = "RETR", width = 4, right = true, value = "retrans" },
    { title = "END", width = 20, value = how },
  },
  fields = {
    "ts_ns", "time", "pid", "comm", "uid", "owner", "side", "saddr", "sport", "daddr", "dport", "family",
    "rx_bytes", "tx_bytes", "duration_ns", "srtt_us", "retrans", "segs_in", "segs_out", "end", "closed_by",
    "closer_pid", "closer_comm", "old", "netns", "cgroup", "cookie", "tid", "cpu",
  },
})

local wanted_ends = {}
for _, name in ipairs(opt["end"] or {}) do
  wanted_ends[name] = true
end

local durations, ends = hist.new(), {}
local rx_bytes, tx_bytes, count = 0, 0, 0

local function on_close(ev)
  if opt.side and ev.side ~= opt.side or opt["end"] and not wanted_ends[ev["end"]] then
    return
  end
  count = count + 1
  rx_bytes, tx_bytes = rx_bytes + ev.rx_bytes, tx_bytes + ev.tx_bytes
  ends[ev["end"]] = (ends[ev["end"]] or 0) + 1
  if ev.duration_ns then
    durations:add(ev.duration_ns)
  end
  if opt.format ~= "table" then
    ev.time = clock.iso(ev.ts_ns)
  end
  writer:row(ev)
end

local function print_totals()
  print(("\n%d connection ends, %s received, %s sent"):format(count, out.bytes(rx_bytes), out.bytes(tx_bytes)))
  if count > 0 then
    print("ended by: " .. out.counts(ends))
  end
  if durations.count > 0 then
    print(("duration: median %s, 99%% up to %s, longest %s"):format(out.duration(durations:quantile(0.5)),
      out.duration(durations:quantile(0.99)), out.duration(durations.max)))
  end
end

local probe = script.attach("tcpclose", { filter = opt.filter }, on_close)
writer:header()
bpf.run(opt.duration)
probe:detach()
if opt.format == "table" then
  print_totals()
end
script.losses(probe)
