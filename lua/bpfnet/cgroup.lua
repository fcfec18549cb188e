-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Names of cgroups: from the id in an event to the path. An id is the inode number of a directory,
-- so the names come from a walk over the cgroup v2 tree, made when an id is asked for that no walk
-- has shown yet. Whose pod a cgroup is, says bpfnet.pod.

local files = require("bpfnet.files")

local cgroup = {}

local paths = {} -- id -> path below the mount
local wanted = {} -- id -> true: asked for since the last walk
local gone = {} -- id -> true: a walk did not find it

local ROOT = 1 -- the inode number of the whole tree's root

-- The mount's path as mountinfo writes it: blanks and the like as \040.
local function unescape(text)
  return (text:gsub("\\(%d%d%d)", function(octal) return string.char(tonumber(octal, 8)) end))
end

---Whether a mount of cgroup v2 shows the whole tree; a container with a cgroup namespace has one that does not.
---@param mount string
---@return boolean
function cgroup.is_whole(mount)
  return files.inode(mount) == ROOT
end

---Returns where cgroup v2 is mounted: the whole tree, where a mount shows it (a container has one of its
---own part as well).
---@return string? path nil if it is not
function cgroup.mount()
  local first
  for line in io.lines("/proc/self/mountinfo") do
    local path, kind = line:match("^%d+ %d+ %S+ %S+ (%S+) .* %- (%S+) ")
    if kind == "cgroup2" then
      path = unescape(path)
      if cgroup.is_whole(path) then
        return path
      end
      first = first or path
    end
  end
  return first
end

---Reads the tree as it is now.
---@return table<integer, string>? paths by id, below the mount, "/" for itself; nil if cgroup v2 is not mounted
function cgroup.walk()
  local mount = cgroup.mount()
  return mount and files.tree(mount)
end

---Reads the tree, if something was asked for that is not known: some microseconds for each
---cgroup. To be called from time to time, not per event.
---@param all? boolean read it in any case, so that short-lived cgroups of now are known later
function cgroup.scan(all)
  if not (all or next(wanted)) then
    return
  end
  for id, path in pairs(cgroup.walk() or {}) do
    paths[id] = path
  end
  for id in pairs(wanted) do
    gone[id] = not paths[id] or nil
  end
  wanted = {}
end

---Returns the path of a cgroup below the mount, or "cgroup:<id>" while it is not known.
---@param id integer
---@return string
function cgroup.path(id)
  if not paths[id] and not gone[id] then
    wanted[id] = true
  end
  return paths[id] or ("cgroup:%d"):format(id)
end

---Returns a path for the eye: its end, "pod1f6b2c3d/0a1b2c3d4e5f" for a container of a pod.
---@param path string
---@return string
cgroup.short = require("bpfnet.pod_path").short

return cgroup
