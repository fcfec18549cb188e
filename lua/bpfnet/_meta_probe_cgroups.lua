-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet_cgroups
-- luacheck: ignore
-- The probe cgroups. Made by `make meta`.

---One event per cgroup v2 directory made or removed.
---@class bpf.CgroupsEvent: bpf.Event
---@field ts_ns integer time of the event, CLOCK_MONOTONIC
---@field cgroup integer cgroup v2 id of the directory
---@field parent integer cgroup v2 id of the directory that it is in
---@field level integer how many directories it is below the root
---@field pid integer process that made or removed it
---@field cpu integer where the event happened
---@field op "made"|"removed" made or removed
---@field path string its path from the root of the tree; the end is missing above 511 bytes

---@class bpf.CgroupsFilter

---@class bpf.CgroupsOpts: bpf.Opts
---@field filter? bpf.CgroupsFilter

---@class bpf.CgroupsProbe: bpf.Probe
---@field on_event fun(self: bpf.CgroupsProbe, on_event?: fun(ev: bpf.CgroupsEvent, ...: any)): bpf.CgroupsProbe
---@field filter fun(self: bpf.CgroupsProbe, filter?: bpf.CgroupsFilter): bpf.CgroupsFilter?
---@field events fun(self: bpf.CgroupsProbe, seconds?: number): fun(): bpf.CgroupsEvent
