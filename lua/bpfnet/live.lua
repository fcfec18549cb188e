-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The frame of scripts that show what happened in each interval, and at the end in the whole time.

local clock = require("bpfnet.clock")
local out = require("bpfnet.out")
local script = require("bpfnet.script")

local live = {}

local CLEAR = "\27[H\27[2J"

---@class bpfnet.live.Span the time that numbers are about
---@field name "interval"|"total"
---@field time string its end, for machines
---@field seconds number its length

---@class bpfnet.live.Opts
---@field format "table"|"json"|"csv"
---@field interval number seconds
---@field duration? number seconds; without it until Ctrl-C
---@field probes bpf.Probe[] attached; they are detached before the last tables
---@field show fun(span: bpfnet.live.Span) writes the interval's numbers, or the whole time's
---@field turn_over fun() adds the interval's numbers to the whole time's, and begins anew

local function span(name, since_ns, end_ns)
  return { name = name, time = clock.iso(end_ns), seconds = (end_ns - since_ns) // 1000000 / 1000 }
end

---Returns "19:13:05  last 2.0 s" for the line above an interval's table.
---@param of bpfnet.live.Span
---@return string
function live.heading(of)
  local which = of.name == "total" and "all" or "last"
  return ("%s  %s %.1f s"):format(clock.hms(bpf.now()), which, of.seconds)
end

---How many a second.
---@param count integer
---@param of bpfnet.live.Span
---@return number? rate nil for a last interval that is too short to say
function live.rate(count, of)
  return of.seconds >= 0.1 and count / of.seconds or nil
end

---Runs until Ctrl-C or for the duration. On a terminal each interval's table takes the place of
---the one before. Tables end with that of the whole time; JSON and CSV with the last, shorter
---interval and the whole time. Then losses are told on stderr.
---@param opts bpfnet.live.Opts
function live.run(opts)
  local is_table = opts.format == "table"
  local clear = is_table and out.is_terminal()
  local started_ns = bpf.now()
  local since_ns = started_ns
  bpf.every(opts.interval, function()
    if clear then
      io.write(CLEAR)
    end
    opts.show(span("interval", since_ns, bpf.now()))
    if is_table then
      print()
    end
    opts.turn_over()
    since_ns = bpf.now()
  end)
  bpf.run(opts.duration)
  local end_ns = bpf.now()
  for _, probe in ipairs(opts.probes) do
    probe:detach() -- delivers what was still on its way
  end
  if not is_table then
    opts.show(span("interval", since_ns, end_ns))
  end
  opts.turn_over()
  if clear then
    print() -- the cursor stands behind the terminal's ^C
  end
  opts.show(span("total", started_ns, end_ns))
  script.losses(table.unpack(opts.probes))
end

return live
