-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What a cgroup's path says about what runs in it: whose container, which pod, which unit of systemd.
-- All that Kubernetes, its runtimes, Docker, podman and LXC make of it is known here, and nothing else.
--
--   local parse = require("bpfnet.pod_path").parse
--   parse("/kubepods/burstable/pod1f6b…/0a1b…").container_id

local path = {}

---@class bpfnet.pod.Path what parse() gives
---@field kind "container"|"pod"|"unit"|"host"
---@field owner string the part of the path that ends with what `kind` says; what is below belongs to it
---@field container_id? string 64 digits, or "lxc:NAME"
---@field pod_uid? string as the kubelet has it, with "-"; 32 digits for a pod from a file; podman: its pod's id
---@field runtime? string what the path says, nil where it does not
---@field unit? string of systemd, for the kind "unit"

local ID_LENGTH = 64 -- digits
local SHORTEST_UID = 32 -- without "-"

-- What stands before the id of a container, in "PREFIX-ID.scope" and "PREFIX:ID".
local RUNTIMES = {
  ["cri-containerd"] = "containerd",
  ["nerdctl"] = "containerd",
  ["crio"] = "crio",
  ["docker"] = "docker",
  ["libpod"] = "podman",
  ["libpod-payload"] = "podman",
}

-- What the directory is called that a container with a bare id is in.
local PARENTS = { docker = "docker", ecs = "docker" }

-- The uid of a pod in "pod<uid>", "kubepods-burstable-pod<uid>.slice"; in a slice "-" is "_".
local function pod_uid(component)
  if not component:find("pod", 1, true) then
    return nil
  end
  local uid = component:match("^pod(%x[%x-]+)$") or component:match("kubepods[%w-]*%-pod(%x[%x_]+)%.slice$")
  if uid and #uid >= SHORTEST_UID then
    return (uid:gsub("_", "-"))
  end
end

-- podman's pods: "machine-libpod_pod_<id>.slice", and "<id>" in "libpod_parent".
local function podman_pod(component, parent)
  if parent == "libpod_parent" and #component == ID_LENGTH then
    return component:match("^%x+$")
  end
  local id = component:match("libpod_pod_(%x+)%.slice$")
  return id and #id == ID_LENGTH and id
end

-- The id of a container and what its name says of the runtime; what only watches it is none.
local function container(component, parent)
  local name = component:sub(-6) == ".scope" and component:sub(1, -7) or component
  local id = name:sub(-ID_LENGTH)
  if #id == ID_LENGTH and not id:find("%X") then
    if #name == ID_LENGTH then
      return id, PARENTS[parent]
    end
    local prefix, separator = name:sub(1, -ID_LENGTH - 2):match("[^:]*$"), name:sub(-ID_LENGTH - 1, -ID_LENGTH - 1)
    if (separator == "-" or separator == ":") and not prefix:find("conmon", 1, true) then
      return id, RUNTIMES[prefix]
    end
  elseif component:sub(1, 12) == "lxc.payload." then
    return "lxc:" .. component:sub(13), "lxc"
  end
end

local UNITS = { service = true, scope = true, slice = true, socket = true, mount = true, swap = true }

local function is_unit(component)
  return UNITS[component:match("%.(%l+)$")] ~= nil
end

-- One component: what it makes of what is known from those above it.
local function step(found, component, parent, owner)
  local podman = podman_pod(component, parent)
  if podman then
    found.kind, found.owner, found.pod_uid, found.container_id = "pod", owner, podman, nil
    found.runtime = "podman"
    return
  end
  local id, runtime = container(component, parent)
  -- before an id there may be the pod's slice: "kubepods-pod<uid>.slice:cri-containerd:<id>"
  local uid = pod_uid(component:match("^[^:]*"))
  if uid then
    found.kind, found.owner, found.pod_uid, found.container_id = "pod", owner, uid, nil
    found.runtime = nil
  elseif id and found.kind == "container" then
    found.pod_uid = nil -- a container in a container, and the pod is the outer one's
  end
  if id then
    found.kind, found.owner, found.container_id, found.runtime = "container", owner, id, runtime
  elseif is_unit(component) and found.kind ~= "container" and found.kind ~= "pod" then
    found.kind, found.owner, found.unit = "unit", owner, component
  end
end

---Reads a path below the root of the cgroup tree. The deepest container counts: one that runs a
---kubelet (kind) has others in it.
---@param text string "/system.slice/nginx.service"
---@return bpfnet.pod.Path
function path.parse(text)
  local found, parent = { kind = "host", owner = "/" }, nil
  for component, stop in text:gmatch("([^/]+)()") do
    step(found, component, parent, text:sub(1, stop - 1))
    parent = component
  end
  found.unit = found.kind == "unit" and found.unit or nil
  return found
end

---A path for the eye: its end, "pod1f6b2c3d/0a1b2c3d4e5f" for a container of a pod.
---@param text string
---@return string
function path.short(text)
  local parts = {}
  for component in text:gmatch("[^/]+") do
    local id, uid = container(component), pod_uid(component)
    local is_id = id and not id:find(":", 1, true)
    parts[#parts + 1] = is_id and id:sub(1, 12) or uid and "pod" .. uid:sub(1, 8) or component
    parts.last_is_long = parts.is_long
    parts.is_long = is_id or uid
  end
  local n = #parts
  if n < 2 then
    return text
  end
  local long = parts.is_long or parts.last_is_long
  return long and parts[n - 1] .. "/" .. parts[n] or parts[n]
end

return path
