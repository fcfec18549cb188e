-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What a container's first process says: its program, its user, its network namespace, and through its
-- parent, where an unknown containerd keeps bundles.

local files = require("bpfnet.files")
local oci = require("bpfnet.pod_oci")
local pod_files = require("bpfnet.pod_files")

local proc = {}

local MAX_BYTES = 1 << 20 -- of a file in /proc

-- A container that is being made: the runtime itself, which has not become the container's program yet. runc
-- calls its own stages "runc:[0:PARENT]" to "runc:[2:INIT]", and may be a copy of itself in memory.
local RUNTIMES = { runc = true, crun = true, youki = true, conmon = true }

-- Nil also for "/", a file that is in no directory here.
local function program(pid)
  local exe = files.link(("/proc/%d/exe"):format(pid))
  if exe and exe:find("memfd:runc", 1, true) then
    return "runc"
  end
  return exe and exe:gsub(" %(deleted%)$", ""):match("[^/]+$")
end

local function is_starting(found)
  return RUNTIMES[found.exe] or RUNTIMES[found.comm] or found.comm:find("^runc:%[") ~= nil
end

---@class bpfnet.pod.Proc
---@field pid integer
---@field ppid integer
---@field comm string
---@field uid integer effective
---@field exe? string name of the program's file, nil if we may not look at it

local function status(pid)
  local text = files.read(("/proc/%d/status"):format(pid), MAX_BYTES)
  local comm, ppid, uid = (text or ""):match("^Name:\t([^\n]*)\n.-\nPPid:\t(%d+)\n.-\nUid:\t%d+\t(%d+)")
  if comm then
    return { pid = pid, comm = comm, ppid = math.tointeger(tonumber(ppid)), uid = math.tointeger(tonumber(uid)) }
  end
end

---A process in a container.
---@param pid integer
---@param id? string of the container: only if a cgroup of the process, of whatever version, is named by it. The
---  number that a runtime has written down may be somebody else's by now
---@return bpfnet.pod.Proc? proc nil if it is gone, or is the runtime still
function proc.of(pid, id)
  local cgroups = id and (files.read(("/proc/%d/cgroup"):format(pid), MAX_BYTES) or "")
  local found = (not id or cgroups:find(id, 1, true)) and status(pid)
  if found then
    found.exe = program(pid)
    return not is_starting(found) and found or nil
  end
end

---@param directories string[] of cgroups, the container's own first
---@return bpfnet.pod.Proc? proc nil while it has none, or is being made
function proc.first(directories)
  for _, directory in ipairs(directories) do
    local list = files.read(directory .. "/cgroup.procs", MAX_BYTES)
    local pid = list and math.tointeger(tonumber(list:match("^%d+")))
    if pid and pid > 0 then
      return proc.of(pid)
    end
  end
end

---Holds the network namespace of a process, so that its number is not used again meanwhile.
---@param pid integer
---@return bpfnet.files.Held? held
---@return integer? inode
function proc.netns(pid)
  local held, inode = files.hold(("/proc/%d/ns/net"):format(pid))
  return held, held and inode
end

-- Who made the container, and looks after it where the runtime itself runs.
local function keeper(found)
  for _ = 1, 8 do
    found = status(found.ppid)
    if not found or found.comm:find("^containerd%-shim") or found.comm == "conmon" then
      return found
    end
  end
end

---Whether a container has no network namespace of its own pod: it is in that of the runtime, which on a
---node that is itself a container is not the host's.
---@param found bpfnet.pod.Proc
---@param inode integer of the network namespace that it is in
---@return boolean
function proc.shares_network(found, inode)
  local by = keeper(found)
  return by ~= nil and files.inode(("/proc/%d/ns/net"):format(by.pid)) == inode
end

---The network namespace that is nobody's pod: the host's, or our own where we may not look at that.
---@return integer?
function proc.host_netns()
  return files.inode("/proc/1/ns/net") or files.inode("/proc/self/ns/net")
end

---The facts about a container by way of the shim: the parent of the first process in it, whose working
---directory is the bundle of the pod's first container. Good for any place, in any mount namespace.
---@param found bpfnet.pod.Proc
---@param id string of the container
---@return bpfnet.pod.Facts?
function proc.by_shim(found, id)
  local shim = status(found.ppid)
  if not (shim and shim.comm:find("^containerd%-shim")) then
    return nil
  end
  local cwd = ("/proc/%d/cwd"):format(shim.pid)
  local text = files.read(("%s/../%s/config.json"):format(cwd, id), pod_files.MAX_BYTES)
  local annotations = pod_files.annotations_in(text)
  local directory = (files.link(cwd) or ""):match("^(/.+)/[^/]+$")
  if not annotations or not directory then
    return nil
  end
  -- the same place from here: the next one is found as soon as it is made
  if files.inode(directory) == files.inode(cwd .. "/..") then
    oci.learn(directory)
  end
  return oci.containerd_facts(annotations, directory:match("[^/]+$"))
end

return proc
