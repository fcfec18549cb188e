-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Names of cgroups: from the id in an event to the path. An id is the inode number of a directory,
-- so the names come from a walk over the cgroup v2 tree, made when an id is asked for that no walk
-- has shown yet.

local cgroup = {}

local paths = {} -- id -> path below the mount
local wanted = {} -- id -> true: asked for since the last walk
local gone = {} -- id -> true: a walk did not find it

-- The mount's path as mountinfo writes it: blanks and the like as \040.
local function unescape(text)
  return (text:gsub("\\(%d%d%d)", function(octal) return string.char(tonumber(octal, 8)) end))
end

---Returns where cgroup v2 is mounted.
---@return string? path nil if it is not
function cgroup.mount()
  for line in io.lines("/proc/self/mountinfo") do
    local path, kind = line:match("^%d+ %d+ %S+ %S+ (%S+) .* %- (%S+) ")
    if kind == "cgroup2" then
      return unescape(path)
    end
  end
end

---Reads the tree, if something was asked for that is not known: a few milliseconds per hundred
---cgroups. To be called from time to time, not per event.
---@param all? boolean read it in any case, so that short-lived cgroups of now are known later
function cgroup.scan(all)
  local mount = cgroup.mount()
  if not mount or not (all or next(wanted)) then
    return
  end
  -- not find's -printf, which busybox lacks
  local command = "find '%s' -type d -exec stat -c '%%i %%n' {} + 2>/dev/null"
  local find <close> = assert(io.popen(command:format(mount:gsub("'", "'\\''"))))
  for line in find:lines() do
    local id, path = line:match("^(%d+) (.*)$")
    if id then
      path = path:sub(#mount + 1)
      paths[math.tointeger(tonumber(id))] = path == "" and "/" or path
    end
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

-- What a component says to an engineer: container ids by 12 digits, as their tools print them.
local function component(text)
  local container = text:match("%x+%f[%X]", (text:find(("%x"):rep(64))))
  if container and #container == 64 then
    return container:sub(1, 12)
  end
  local pod = text:match("pod(%x[%x_-]+)%.slice$") or text:match("^pod(%x[%x-]+)$")
  if pod and #pod >= 32 then
    return "pod" .. pod:sub(1, 8)
  end
  return text
end

---Returns a path for the eye: its end, "pod1f6b2c3d/0a1b2c3d4e5f" for a container of a pod.
---@param path string
---@return string
function cgroup.short(path)
  local parent, last = path:match("([^/]+)/([^/]+)$")
  if not parent then
    return path
  end
  local a, b = component(parent), component(last)
  return (b ~= last or a ~= parent) and a .. "/" .. b or last
end

return cgroup
