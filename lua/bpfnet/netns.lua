-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Names of network namespaces. Events have the inode number; what a namespace is called is known from
-- the file that it is mounted on, as `ip netns` and container runtimes do, or from a process in it. The
-- numbers are used again soon after a namespace is gone, so what was learnt is good for two seconds.
--
--   local netns = require("bpfnet.netns")
--   print(netns.name(ev.netns)) -- "host", "shop/cart-0", "blue", "nginx/1234", or the number

local disk = require("bpfnet.files")
local pod = require("bpfnet.pod")
local pod_netns = require("bpfnet.pod_netns")

local netns = {}

local KEPT_NS = 2000000000

local host -- the number of process 1's namespace, which stays
local files = { names = {} } -- from number to the last part of the file's name
local processes = { names = {} } -- from number to "COMM/PID"

-- Generated names say less than a process's: "cni-1f6b2c3d-...", Docker's twelve digits.
local function is_generated(name)
  return name:find("^cni%-%x+%-%x+%-") ~= nil or name:find("^" .. ("%x"):rep(12) .. "$") ~= nil
end

local function look_at_files()
  files = { names = {}, seen_ns = bpf.now() }
  for line in io.lines("/proc/self/mountinfo") do
    local number, path = line:match("^%d+ %d+ %S+ net:%[(%d+)%] (%S+)")
    if number then
      files.names[math.tointeger(tonumber(number))] = path:match("[^/]+$")
    end
  end
end

local function comm_of(pid)
  local file = io.open(("/proc/%d/comm"):format(pid))
  local comm = file and file:read("l")
  if file then
    file:close()
  end
  return comm
end

-- The oldest process, as a rule the one with the lowest number; a pod's first one only holds it open.
local function process_name(pids)
  table.sort(pids)
  for _, pid in ipairs(pids) do
    local comm = comm_of(pid)
    if comm and comm ~= "pause" then
      return ("%s/%d"):format(comm, pid)
    end
  end
end

local function look_at_processes()
  local pids = {}
  for _, pid in ipairs(disk.list("/proc") or {}) do
    local number = pid:find("^%d") and disk.inode("/proc/" .. pid .. "/ns/net")
    if number then
      pids[number] = pids[number] or {}
      table.insert(pids[number], math.tointeger(tonumber(pid)))
    end
  end
  processes = { names = {}, seen_ns = bpf.now() }
  for number, list in pairs(pids) do
    processes.names[number] = process_name(list)
  end
end

local function is_old(list)
  return not list.seen_ns or bpf.now() - list.seen_ns > KEPT_NS
end

---Finds out which namespace is the host's, as name() does by itself, and which are pods'; for before the
---first event, when time does not matter.
function netns.look()
  pod.start()
  host = disk.inode("/proc/1/ns/net") or disk.inode("/proc/self/ns/net") or 0
end

---Returns the name of a namespace: "host" for that of process 1 (or our own, where we may not look at that), a
---pod's or container's, the last part of the file's name, else "COMM/PID" of a process in it, else the number as text.
---Looks at all processes, which takes some milliseconds, at most every two seconds, and only for a
---namespace that has no file, or one with a number for a name.
---@param inode integer as in events
---@return string
function netns.name(inode)
  if not host then
    netns.look()
  end
  if inode == host then
    return "host"
  end
  local identity = pod_netns.of(inode)
  if identity and (identity.pod or identity.container) then
    return identity.pod or identity.container
  end
  if is_old(files) then
    look_at_files()
  end
  local file = files.names[inode]
  if file and not is_generated(file) then
    return file
  end
  if is_old(processes) then
    look_at_processes()
  end
  return processes.names[inode] or file and file:sub(1, 12) or tostring(inode)
end

---Returns what the filter `netns` takes for what a user writes: names of `ip netns` become paths.
---@param word string|integer name, path or inode number
---@return string|integer
function netns.id(word)
  if type(word) == "string" and not word:find("/", 1, true) then
    return "/run/netns/" .. word
  end
  return word
end

---Returns the inode number of what id() gives.
---@param id string|integer
---@return integer? inode nil if there is no such file
function netns.inode(id)
  if math.type(id) == "integer" then
    return id
  end
  return (disk.inode(id))
end

return netns
