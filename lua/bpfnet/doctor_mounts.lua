-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Of `bpfnet doctor`: the file systems that bpfnet needs, from this process's mount table.

local cgroup = require("bpfnet.cgroup")
local files = require("bpfnet.files")

local mounts = {}

---What to do where tracefs is missing.
mounts.TRACEFS_FIX = "mount -t tracefs none /sys/kernel/tracing; in a container: "
  .. "-v /sys/kernel/tracing:/sys/kernel/tracing:ro"

-- Mount points by type of file system, in the table's order.
local function read()
  local by_type = {}
  for line in (files.read("/proc/self/mountinfo", 1 << 24) or ""):gmatch("[^\n]+") do
    local path, kind = line:match("^%d+ %d+ %S+ %S+ (%S+) .* %- (%S+) ")
    if kind then
      by_type[kind] = by_type[kind] or {}
      table.insert(by_type[kind], path)
    end
  end
  return by_type
end

---What to do where cgroup v2 is missing. Over /sys/fs/cgroup it would hide what is mounted there of v1.
---@return string
function mounts.cgroup_fix()
  return "mount -t cgroup2 none /sys/fs/cgroup" .. (read().cgroup and "/unified (make that directory first)" or "")
    .. "; in a container: -v /sys/fs/cgroup:/sys/fs/cgroup:ro"
end

local function add_cgroup(add, context, by_type)
  local v1, path = by_type.cgroup ~= nil, cgroup.mount()
  local check = { name = "cgroup v2", ok = true, need = "names of containers and pods, filters by cgroup, redirect" }
  if not path then
    check.ok, check.found = "partly", v1 and "only v1 is mounted" or "not mounted"
    check.why = "events have numbers of cgroups that nothing gives a name to"
    check.fix = mounts.cgroup_fix()
  else
    check.found = ("%s at %s"):format(v1 and "hybrid (v1 as well)" or "pure", path)
    if not cgroup.is_whole(path) then
      check.ok, check.found = "partly", check.found .. ", a part of the tree"
      check.why = "containers outside of it have no name"
      check.fix = "mount the host's: --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:ro"
    elseif v1 then
      check.why = "containers that are in v1 alone are told apart by their network namespaces"
    end
  end
  add(check)
end

local function add_bpffs(add, by_type)
  local path = by_type.bpf and by_type.bpf[1]
  add({ name = "bpffs", ok = path and true or "partly", found = path or "not mounted",
    need = "redirect --detach, redirect status", why = not path and "nothing can be pinned" or nil,
    fix = not path and "mount -t bpf bpf /sys/fs/bpf" or nil })
end

-- How the trace events are reached: through a mount, or one that is nobody else's (see caps.c).
local function add_tracefs(add, context, by_type)
  local path = by_type.tracefs and by_type.tracefs[1]
  if not path and by_type.debugfs then
    path = files.inode(by_type.debugfs[1] .. "/tracing/events") and by_type.debugfs[1] .. "/tracing" or nil
  end
  local way = context.way("tracepoint") or {}
  local check = { name = "tracefs", ok = true, found = path or "not mounted", need = "tracepoints" }
  if not path and not way.error then
    check.found = "not mounted; a mount of our own, which nobody else sees, does"
  elseif not path then
    check.ok, check.why = "partly", "it is not mounted, and mounting it needs CAP_SYS_ADMIN"
    check.fix = mounts.TRACEFS_FIX
  elseif way.error and not files.list(path .. "/events") then
    check.ok, check.why, check.fix = "partly", "it can't be read by this user", context.rights.fix
  end
  add(check)
end

---@param add fun(check: table)
---@param context table
function mounts.add(add, context)
  local by_type = read()
  add_cgroup(add, context, by_type)
  add_bpffs(add, by_type)
  add_tracefs(add, context, by_type)
end

return mounts
