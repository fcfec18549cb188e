-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- stage.lua OBJECT PID FORM [EXPRESSION]: what the kernel itself does with the events of
-- events.bpf.c. Prints `seen N` when it is interrupted.

local object, pid, form, expression = table.unpack(arg)
-- as many rows as bpftrace has by comm, pid and cpu, of values that are spread as nsecs are
local by = { "comm", "pid", "sport" }

local forms = {
  none = function() end,
  where = function(probe) probe:where(expression) end,
  count = function(probe) return probe:aggregate({ by = by }) end,
  all = function(probe)
    return probe:aggregate({ by = by, sum = "rx_bytes", hist = "rx_bytes" })
  end,
}

-- a handler that is never called: what passes where would be sent
local probe = bpf.load(object, nil, form ~= "count" and form ~= "all" and function() end or nil)
probe.maps.writer[0] = tonumber(pid)
local agg = forms[form](probe)
probe:attach()
bpf.run()
local seen = 0
for _, row in ipairs(agg and agg:rows() or {}) do
  seen = seen + row.count
end
local stats = probe:stats()
print(("seen %d"):format(agg and seen or stats.filtered))
