-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- pod_events.lua OBJECT PID FORM ROOT: what it costs to know an event's pod. Prints `events N pods N filtered N`
-- when it is interrupted.

local object, pid, form, root = table.unpack(arg)
local pod = require("bpfnet.pod")
local seen, pods = 0, 0

local function count(name)
  seen = seen + 1
  if name == "bench/pod-1" then
    pods = pods + 1
  end
end

local forms = {
  args = { nil, function(comm, daddr, dport) count(nil) end }, -- luacheck: ignore
  pod_arg = { nil, function(pod, daddr, dport) count(pod) end }, -- luacheck: ignore
  table = { nil, function(ev) count(ev.comm) end },
  ask = { nil, function(ev) count(ev.pod) end },
  pods = { { pods = true }, function(ev) count(ev.pod) end },
  wanted = { { filter = { pod = "bench/pod-1" }, pods = false }, function(comm, daddr, dport) count(nil) end }, -- luacheck: ignore
  unwanted = { { filter = { pod = "bench/pod-2" }, pods = false }, function(comm, daddr, dport) count(nil) end }, -- luacheck: ignore
  other_cgroup = { { filter = { cgroup = 1 } }, function(comm, daddr, dport) count(nil) end }, -- luacheck: ignore
}

pod.start({ root = root })
local probe = bpf.load(object, forms[form][1], forms[form][2])
probe.maps.writer[0] = tonumber(pid)
probe:attach()
bpf.run()
print(("events %d pods %d filtered %d"):format(seen, pods, probe:stats().filtered))
