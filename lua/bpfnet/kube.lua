-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the Kubernetes API server knows of this node's pods: labels, annotations, addresses, owners, native
-- sidecars. Listed once, then watched.
--
--   local kube, pod = require("bpfnet.kube"), require("bpfnet.pod")
--   pod.add_source(kube.source())                                  -- in a pod: its service account
--   pod.add_source(kube.source({ kubeconfig = "/root/.kube/config", node = "n1" }))
--
-- The account needs the verbs get, list and watch for pods (with peers = "cluster" for services too). Nobody
-- waits for it. A server that is not there, hangs or says no is said once and tried again.

local cjson = require("cjson")
local kube_config = require("bpfnet.kube_config")
local kube_watch = require("bpfnet.kube_watch")
local nearest = require("bpfnet.nearest")
local retry = require("bpfnet.retry")

local kube = {}

---@class bpfnet.KubeSource
local Source = {}
Source.__index = Source

local function there(value)
  return value ~= cjson.null and value or nil
end

local function texts(object)
  local out = {}
  for name, value in pairs(there(object) or {}) do
    out[name] = value
  end
  return out
end

-- The one that manages it, as kubectl shows it.
local function owner_of(metadata)
  for _, reference in ipairs(there(metadata.ownerReferences) or {}) do
    if reference.controller == true then
      return reference.kind .. "/" .. reference.name
    end
  end
end

local function addresses_of(status)
  local ips = {}
  for _, entry in ipairs(there(status.podIPs) or {}) do
    ips[#ips + 1] = there(entry.ip)
  end
  if not ips[1] then
    ips[1] = there(status.podIP)
  end
  return ips
end

-- Of the spec what rules ask for, not the rest, which is large.
local function containers_of(list)
  local out = {}
  for _, container in ipairs(there(list) or {}) do
    out[#out + 1] = { name = container.name, image = there(container.image),
      restartPolicy = there(container.restartPolicy) }
  end
  return out
end

local function spec_of(spec)
  return { nodeName = there(spec.nodeName), hostNetwork = there(spec.hostNetwork),
    serviceAccountName = there(spec.serviceAccountName), initContainers = containers_of(spec.initContainers),
    containers = containers_of(spec.containers) }
end

-- A pod as a record for the sink. One on the host's network has the node's address, which isn't its own.
local function record_of(object)
  local metadata, spec = object.metadata, there(object.spec) or {}
  local ips = spec.hostNetwork == true and {} or addresses_of(there(object.status) or {})
  return { pod_uid = metadata.uid, namespace = there(metadata.namespace), name = there(metadata.name),
    labels = texts(metadata.labels), annotations = texts(metadata.annotations), ip = ips[1], ips = ips,
    owner = owner_of(metadata), spec = spec_of(spec) }
end

-- "containerd://0a1b..." of each container that has been started, to its name.
local function each_container(object, f)
  local status = there(object.status) or {}
  for _, list in ipairs({ "initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses" }) do
    for _, container in ipairs(there(status[list]) or {}) do
      local id = type(container.containerID) == "string" and container.containerID:match("://(%x+)$")
      if id then
        f(id, container.name, there(container.image))
      end
    end
  end
end

local function tell_containers(self, record, object, ids)
  each_container(object, function(id, name, image)
    ids[#ids + 1], ids[id] = id, true
    self.sink({ container_id = id, container = name, image = image, pod_uid = record.pod_uid,
      namespace = record.namespace, name = record.name, labels = record.labels,
      annotations = record.annotations, ip = record.ip, ips = record.ips, owner = record.owner })
  end)
end

local function is_here(self, record)
  return record.spec.nodeName == nil or record.spec.nodeName == self.node
end

-- By address, for peers on other nodes.
local function remember(self, uid, entry)
  self.by_uid[uid] = entry
  for _, ip in ipairs(entry.ips) do
    self.by_ip[ip] = entry
  end
end

local function forget(self, uid)
  local entry = self.by_uid[uid]
  self.by_uid[uid] = nil
  for _, ip in ipairs(entry and entry.ips or {}) do
    if self.by_ip[ip] == entry then -- else another has it by now
      self.by_ip[ip] = nil
    end
  end
end

-- Those that were of a pod, and are not among the ids of now.
local function tell_gone(self, entry, ids)
  for _, id in ipairs(entry and entry.containers or {}) do
    if not ids[id] then
      self.sink({ container_id = id, gone = true })
    end
  end
end

local ENDED = { Succeeded = true, Failed = true } -- phases: its address may be another's

local function on_pod(self, object)
  local ok, record = pcall(record_of, object)
  if not ok then -- of another shape than a pod: the server's fault, and not worth an end
    self.odd = self.odd + 1
    bpf.log("debug", "%s: %s", self.opts.prefix, record)
    return
  end
  local status, before = there(object.status) or {}, self.by_uid[record.pod_uid]
  local ids = {}
  forget(self, record.pod_uid)
  remember(self, record.pod_uid, { kind = "pod", containers = ids, namespace = record.namespace, name = record.name,
    labels = record.labels, owner = record.owner, node = record.spec.nodeName,
    ips = ENDED[status.phase] and {} or record.ips })
  if is_here(self, record) then
    self.sink(record)
    tell_containers(self, record, object, ids)
  end
  tell_gone(self, before, ids)
end

local function on_pod_gone(self, object)
  tell_gone(self, self.by_uid[object.metadata.uid], {})
  forget(self, object.metadata.uid)
  self.sink({ pod_uid = object.metadata.uid, gone = true })
end

local function on_service(self, object)
  local metadata, spec, ips = object.metadata, there(object.spec) or {}, {}
  for _, ip in ipairs(there(spec.clusterIPs) or { there(spec.clusterIP) }) do
    if ip ~= "None" and ip ~= "" then
      ips[#ips + 1] = ip
    end
  end
  forget(self, metadata.uid)
  remember(self, metadata.uid, { kind = "service", namespace = there(metadata.namespace),
    name = there(metadata.name), labels = texts(metadata.labels), ips = ips })
end

---Whose address it is: of this node's pods, with peers = "cluster" of all pods and services.
---@param addr string
---@return table? peer { kind = "pod"|"service", namespace=, name=, labels=, owner=, node=, ips= }
function Source:of_addr(addr)
  return self.by_ip[addr]
end

local WITHOUT = "labels, addresses and owners of pods are missing meanwhile"

local function add_watch(self, config, path, selector, on_object, on_gone)
  self.watches[#self.watches + 1] = kube_watch.new({
    config = config, path = self.opts.prefix .. path, selector = selector, without = WITHOUT,
    on_object = function(object) on_object(self, object) end,
    on_gone = function(object) on_gone(self, object) end,
  })
  self.watches[#self.watches]:start()
end

local function begin(self)
  local config, message, hint = kube_config.find(self.opts)
  if not config then
    return self.again:failed(message, hint)
  end
  self.again:worked()
  if self.opts.peers == "cluster" then
    add_watch(self, config, "/pods", nil, on_pod, on_pod_gone)
    add_watch(self, config, "/services", nil, on_service, function(_, object)
      forget(self, object.metadata.uid)
    end)
  else
    add_watch(self, config, "/pods", "spec.nodeName=" .. self.node, on_pod, on_pod_gone)
  end
end

---Starts asking. `sink` gets records of pods (`pod_uid` alone) and of their containers (`container_id` too):
---`namespace`, `name`, `labels`, `annotations`, `ip`, `ips`, `owner` ("ReplicaSet/cart-5d8"), `container`,
---`image`, and of pods `spec`: the part of it that rules need. At its end `gone = true`.
---@param sink fun(record: table)
function Source:start(sink)
  self:stop()
  self.sink, self.watches, self.by_ip, self.by_uid = sink, {}, {}, {}
  self.odd = 0
  self.node = self.opts.node or kube_config.node()
  self.again = retry.new({ what = "Kubernetes API", without = WITHOUT, action = function() begin(self) end })
  begin(self)
end

function Source:stop()
  for _, one in ipairs(self.watches or {}) do
    one:stop()
  end
  if self.again then
    self.again:stop()
  end
end

Source.__close = Source.stop

---@return table stats server, node, odd (objects that are no pods), watches: a list of { path, state, version,
---  lists, failures }
function Source:stats()
  local stats = { node = self.node, odd = self.odd, watches = {} }
  for i, one in ipairs(self.watches or {}) do
    stats.server = one.opts.config.server
    stats.watches[i] = { path = one.opts.path, state = one.state, version = one.version, lists = one.lists,
      failures = one.again.failures }
  end
  return stats
end

local OPTIONS = {
  server = "string", unix_socket = "string", token = "string", token_file = "string", ca_file = "string",
  ca_data = "string", cert_file = "string", cert_data = "string", key_file = "string", key_data = "string",
  insecure = "boolean", kubeconfig = "string", context = "string", account = "string", node = "string",
  prefix = "string", peers = "string",
}

local function check(opts)
  local names = {}
  for name in pairs(OPTIONS) do
    names[#names + 1] = name
  end
  table.sort(names)
  for name, value in pairs(opts) do
    if not OPTIONS[name] then
      local near = nearest(tostring(name), names)
      error(('kube.source: unknown option "%s"%s (known: %s)'):format(name,
        near and (', did you mean "%s"?'):format(near) or "", table.concat(names, ", ")), 3)
    elseif type(value) ~= OPTIONS[name] then
      error(('kube.source: bad option "%s": expected a %s, got %s'):format(name, OPTIONS[name], type(value)), 3)
    end
  end
  if opts.peers and opts.peers ~= "cluster" then
    error(('kube.source: bad option "peers": expected "cluster", got "%s"'):format(opts.peers), 3)
  end
end

---@class bpfnet.KubeOpts
---@field server? string URL; else a kubeconfig, else the service account of the pod that this runs in
---@field unix_socket? string path, with server: of `kubectl proxy --unix-socket`
---@field token? string
---@field token_file? string read again for each request
---@field ca_file? string
---@field ca_data? string PEM
---@field cert_file? string
---@field cert_data? string
---@field key_file? string
---@field key_data? string
---@field insecure? boolean believe any server
---@field kubeconfig? string path; default $KUBECONFIG
---@field context? string of the kubeconfig; default its current one
---@field account? string folder of the service account
---@field node? string default $NODE_NAME, or the host's name
---@field prefix? string of the API's paths, default "/api/v1"
---@field peers? "cluster" know the addresses of all pods and services: see Source:of_addr()

---Makes a source for pod.add_source().
---@param opts? bpfnet.KubeOpts
---@return bpfnet.KubeSource
function kube.source(opts)
  local own = {}
  check(opts or {})
  for name, value in pairs(opts or {}) do
    own[name] = value
  end
  own.prefix = own.prefix or "/api/v1"
  return setmetatable({ name = "kube", opts = own, by_ip = {}, by_uid = {} }, Source)
end

return kube
