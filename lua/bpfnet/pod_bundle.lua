-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- From a container's id to its names, by the files of the runtimes themselves: no daemon is asked. What
-- is not there, or not whole, is not known: nothing is guessed.

local files = require("bpfnet.pod_files")
local oci = require("bpfnet.pod_oci")

local bundle = {}

local DOCKER = "/var/lib/docker"
local PODMAN_ID = 64 -- digits of the id of podman's pods; a uid of Kubernetes has fewer

-- Kubernetes' names where Docker is the runtime (cri-dockerd).
local DOCKER_LABELS = {
  container = "io.kubernetes.container.name",
  name = "io.kubernetes.pod.name",
  namespace = "io.kubernetes.pod.namespace",
  pod_uid = "io.kubernetes.pod.uid",
}

-- Where Docker keeps its containers, if its configuration says so.
local function docker_root()
  local config = files.json("/etc/docker/daemon.json")
  local root = files.texts(config, { root = "data-root" }).root
  return root and root:find("^/") and root or DOCKER
end

local function docker(id)
  local config, why = files.json(("%s/containers/%s/config.v2.json"):format(docker_root(), id))
  if not config then
    return nil, why
  end
  local of_image = type(config.Config) == "table" and config.Config or {}
  local facts = files.texts(of_image.Labels, DOCKER_LABELS)
  facts.runtime = "docker"
  facts.image = files.texts(of_image, { image = "Image" }).image
  facts.labels = files.labels(of_image.Labels)
  facts.sandbox = facts.labels and facts.labels["io.kubernetes.docker.type"] == "podsandbox" or nil
  if facts.sandbox then
    facts.container = nil -- "POD"
  elseif not facts.container then
    facts.container = (files.texts(config, { name = "Name" }).name or ""):match("^/?(.+)$")
  end
  return facts
end

-- "POD_NAMESPACE_CONTAINER-ID.log", where the kubelet keeps links to the logs, longer than the container is
-- there; no name has a "_" in it.
local function logs(id)
  for _, name in ipairs(files.list("/var/log/containers")) do
    if name:find(id, 1, true) then
      local pod, namespace, container = name:match("^([^_]+)_([^_]+)_([^_]+)%-%x+%.log$")
      if pod then
        return { name = pod, namespace = namespace, container = container ~= "POD" and container or nil }
      end
    end
  end
  return nil, "missing"
end

local READERS = { containerd = oci.containerd, crio = oci.storage, podman = oci.storage, docker = docker }
local ORDER = { oci.containerd, oci.storage, docker, logs }

-- A bundle that says nothing of names: another file may.
local function says_something(facts)
  return facts.container or facts.sandbox
end

local function in_order(runtime)
  local first = READERS[runtime] or ORDER[1]
  local list = { first }
  for _, reader in ipairs(ORDER) do
    list[#list + 1] = reader ~= first and reader or nil
  end
  return list
end

---Looks for a container in the files of the runtime that its cgroup's name speaks of, then in all others'.
---@param id string of the container, 64 digits
---@param path string of its cgroup
---@param runtime? string "containerd", "crio", "docker", "podman": what the path says
---@return bpfnet.pod.Facts? facts nil if nobody knows it
---@return string? why "missing", "denied", "truncated", "too large": what was wrong with the file that it has
function bundle.find(id, path, runtime)
  local why, partly = "missing", nil
  for _, reader in ipairs(in_order(runtime)) do
    local facts, reason = reader(id, path)
    if facts and says_something(facts) then
      return facts
    end
    partly = partly or facts
    why = why == "missing" and reason or why
  end
  return why == "missing" and partly or nil, why
end

---The name of a pod of which only the uid is known: from the directories of its logs, or podman's list.
---@param uid string
---@param path string of a cgroup of it
---@return bpfnet.pod.Facts? facts name, namespace
function bundle.pod(uid, path)
  if #uid == PODMAN_ID then
    return { name = oci.podman_pod(uid, path) }
  end
  for _, name in ipairs(files.list("/var/log/pods")) do
    local namespace, pod, of = name:match("^([^_]+)_([^_]+)_([^_]+)$")
    if of == uid then
      return { name = pod, namespace = namespace }
    end
  end
end

return bundle
