-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What containerd, CRI-O and podman leave in a container's bundle: config.json of the OCI's runtime
-- specification, whose annotations have the names. It is there before the container's cgroup is.

local files = require("bpfnet.pod_files")

local oci = {}

---@class bpfnet.pod.Facts what a runtime's files say of a container; nil what they don't
---@field runtime string
---@field container? string
---@field name? string of the pod
---@field namespace? string
---@field pod_uid? string
---@field image? string
---@field sandbox? boolean it only holds the pod's namespaces
---@field labels? table<string, string>

-- containerd 1.1 and newer; the same in 1.6 and 2.1
local CONTAINERD = {
  container = "io.kubernetes.cri.container-name",
  name = "io.kubernetes.cri.sandbox-name",
  namespace = "io.kubernetes.cri.sandbox-namespace",
  pod_uid = "io.kubernetes.cri.sandbox-uid",
  image = "io.kubernetes.cri.image-name",
}
local CRIO = {
  container = "io.kubernetes.container.name",
  name = "io.kubernetes.pod.name",
  namespace = "io.kubernetes.pod.namespace",
  pod_uid = "io.kubernetes.pod.uid",
  image = "io.kubernetes.cri-o.ImageName",
}

-- Where containerd keeps what runs: itself, in k3s and RKE2, k0s, MicroK8s.
local STATES = {
  "/run/containerd",
  "/run/k3s/containerd",
  "/run/k0s/containerd",
  "/var/snap/microk8s/common/run/containerd",
}
local TASKS = "io.containerd.runtime.v2.task"

-- CRI-O and podman: the storage driver's name is in the directory's. A user's podman has it in his home.
local STORAGES = { "/run/containers/storage", "/var/lib/containers/storage" }
local OF_USER = ".local/share/containers/storage"
local DRIVERS = { "overlay", "vfs", "btrfs", "zfs" }

local ID_LENGTH = 64

local learnt = {} -- directories of bundles, "…/k8s.io", that a shim has shown

---Forgets what was learnt, for another world.
function oci.reset()
  learnt = {}
end

---A directory that has bundles by id, which is none of those that are known.
---@param directory string
function oci.learn(directory)
  for _, known in ipairs(learnt) do
    if known == directory then
      return
    end
  end
  learnt[#learnt + 1] = directory
end

-- Tries paths in turn; a file that is there decides.
local function first_json(paths, read)
  local why = "missing"
  for _, path in ipairs(paths) do
    local value, reason = read(path)
    if value or reason ~= "missing" then
      return value, reason, path
    end
  end
  return nil, why
end

---The facts in a bundle of containerd.
---@param annotations table of its config.json
---@param namespace? string containerd's, the directory that the bundle is in
---@return bpfnet.pod.Facts
function oci.containerd_facts(annotations, namespace)
  local facts = files.texts(annotations, CONTAINERD)
  facts.runtime = namespace == "moby" and "docker" or "containerd"
  facts.sandbox = annotations["io.kubernetes.cri.container-type"] == "sandbox" or nil
  facts.container = facts.container or files.texts(annotations, { name = "nerdctl/name" }).name
  return facts
end

---@param id string of the container
---@return bpfnet.pod.Facts?
---@return string? why
function oci.containerd(id)
  local paths, here = {}, {}
  for _, state in ipairs(STATES) do
    local tasks = state .. "/" .. TASKS
    for _, namespace in ipairs(files.list(tasks)) do
      paths[#paths + 1] = ("%s/%s/%s/config.json"):format(tasks, namespace, id)
    end
  end
  for i, directory in ipairs(learnt) do
    here[i] = ("%s/%s/config.json"):format(directory, id)
  end
  local annotations, why, path = first_json(paths, files.annotations)
  if why == "missing" then
    annotations, why, path = first_json(here, files.annotations_here)
  end
  if not annotations then
    return nil, why
  end
  return oci.containerd_facts(annotations, path:match("([^/]+)/%x+/config%.json$"))
end

local function pid_in(path)
  local text = files.read(path)
  return text and math.tointeger(tonumber(text:match("^%s*(%d+)%s*$")))
end

-- Each directory of `directory` that is called as a container is, with the process that its file names.
local function add_pids(found, directory, file)
  for _, id in ipairs(files.list(directory)) do
    if #id == ID_LENGTH and not found[id] then
      found[id] = pid_in(("%s/%s/%s"):format(directory, id, file))
    end
  end
end

---Containers that have a bundle, by id, with their first process as the runtime has written it down.
---@return table<string, integer> pids
function oci.running()
  local found = {}
  for _, state in ipairs(STATES) do
    local tasks = state .. "/" .. TASKS
    for _, namespace in ipairs(files.list(tasks)) do
      add_pids(found, tasks .. "/" .. namespace, "init.pid")
    end
  end
  for _, driver in ipairs(DRIVERS) do
    add_pids(found, ("%s/%s-containers"):format(STORAGES[1], driver), "userdata/pidfile")
  end
  return found
end

local function home_of(uid)
  for line in (files.read("/etc/passwd") or ""):gmatch("[^\n]+") do
    local of, home = line:match("^[^:]*:[^:]*:(%d+):[^:]*:[^:]*:([^:]*)")
    if of == uid then
      return home
    end
  end
end

-- Where podman and CRI-O may have it, by the path of a cgroup: that has the number of the user.
local function storages(path)
  local list, uid = { table.unpack(STORAGES) }, path:match("/user%-(%d+)%.slice/")
  local home = uid and uid ~= "0" and home_of(uid)
  if home then
    list[#list + 1] = home .. "/" .. OF_USER
  end
  return list
end

local function in_storage(path, file)
  local paths = {}
  for _, storage in ipairs(storages(path)) do
    for _, driver in ipairs(DRIVERS) do
      paths[#paths + 1] = ("%s/%s-containers/%s"):format(storage, driver, file)
    end
  end
  return paths
end

-- CRI-O writes labels as JSON in an annotation.
local function crio_facts(annotations)
  local facts = files.texts(annotations, CRIO)
  local labels = annotations["io.kubernetes.cri-o.Labels"]
  facts.runtime = "crio"
  facts.labels = files.labels(type(labels) == "string" and files.decode(labels))
  facts.sandbox = annotations["io.kubernetes.cri-o.ContainerType"] == "sandbox" or nil
  if facts.sandbox then
    facts.container = nil -- "POD"
  end
  return facts
end

-- The entry of a container in podman's list, by what `is` says of it.
local function podman_entry(path, is)
  for _, list in ipairs(in_storage(path, "containers.json")) do
    for _, entry in ipairs(files.json(list) or {}) do
      if type(entry) == "table" and type(entry.id) == "string" and is(entry) then
        return entry
      end
    end
  end
end

---The name of a pod of podman: the container that holds its namespaces is named by the pod's id, and has
---the pod's name as its host name.
---@param id string of the pod
---@param path string of a cgroup of it
---@return string?
function oci.podman_pod(id, path)
  local infra = podman_entry(path, function(entry)
    return type(entry.names) == "table" and entry.names[1] == id:sub(1, 12) .. "-infra"
  end)
  local config = infra and first_json(in_storage(path, infra.id .. "/userdata/config.json"), files.json)
  return config and files.texts(config, { name = "hostname" }).name
end

local function podman_facts(id, path, annotations)
  local entry = podman_entry(path, function(e) return e.id == id end)
  local metadata = entry and type(entry.metadata) == "string" and files.decode(entry.metadata)
  local facts = files.texts(metadata, { image = "image-name", container = "name" })
  facts.runtime = "podman"
  facts.sandbox = annotations["io.kubernetes.cri-o.ContainerType"] == "sandbox" or nil
  if facts.sandbox then
    facts.container = nil
  elseif not facts.container then
    return nil, "missing" -- the list is written after the bundle
  end
  return facts
end

---CRI-O and podman, which keep their containers the same way.
---@param id string
---@param path string of the container's cgroup
---@return bpfnet.pod.Facts?
---@return string? why
function oci.storage(id, path)
  local annotations, why = first_json(in_storage(path, id .. "/userdata/config.json"), files.annotations)
  if not annotations then
    return nil, why
  end
  if annotations["io.container.manager"] == "libpod" then
    return podman_facts(id, path, annotations)
  end
  return crio_facts(annotations)
end

return oci
