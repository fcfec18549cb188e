-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What a container runtime has told: pods and containers, joined, each told on once and again only when
-- something about it is new.

local store = {}

local READY = require("bpfnet.cri_messages").READY

---@class bpfnet.CriStore
local Store = {}
Store.__index = Store

---@param sink fun(record: table) see Source:start() of bpfnet.cri
---@return bpfnet.CriStore
function store.new(sink)
  return setmetatable({ sink = sink, pods = {}, containers = {}, current = {},
    told = {} }, Store)
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local function tell(self, key, record)
  if not same(self.told[key], record) then
    self.told[key] = record
    self.sink(record)
  end
end

-- An empty text is how protobuf says nothing.
local function known(text)
  return text ~= "" and text or nil
end

local function pod_record(pod)
  return { pod_uid = pod.uid, namespace = pod.namespace, name = pod.name, labels = pod.labels,
    annotations = pod.annotations, ip = pod.ip, ips = pod.ips }
end

local function tell_pod(self, pod)
  if pod.uid and self.current[pod.uid] == pod.id then
    tell(self, "pod " .. pod.uid, pod_record(pod))
  end
  tell(self, "container " .. pod.id, { container_id = pod.id, pod_uid = pod.uid, namespace = pod.namespace,
    name = pod.name, sandbox = true })
end

local function tell_container(self, container)
  local pod = self.pods[container.pod]
  local record = pod and pod_record(pod) or {}
  record.container_id = container.id
  record.container = container.name
  record.image = container.image
  tell(self, "container " .. container.id, record)
end

---Takes a PodSandbox or a PodSandboxStatus: both have these fields.
---@param message table
---@return table pod
function Store:add_pod(message)
  local metadata = message.metadata or {}
  local old = self.pods[message.id] or {}
  local pod = { id = message.id, uid = known(metadata.uid), name = known(metadata.name),
    namespace = known(metadata.namespace), state = message.state or 0, labels = message.labels,
    annotations = message.annotations, ip = old.ip, ips = old.ips, asked = old.asked }
  local network = message.network
  if network and known(network.ip) then
    pod.ip, pod.ips = network.ip, { network.ip }
    for _, more in ipairs(network.additional_ips) do
      pod.ips[#pod.ips + 1] = more.ip
    end
  end
  self.pods[pod.id] = pod
  -- One that was restarted has two sandboxes for a while; the one that runs speaks for it.
  if pod.uid and (pod.state == READY or not self.current[pod.uid]) then
    self.current[pod.uid] = pod.id
  end
  tell_pod(self, pod)
  for _, container in pairs(self.containers) do
    if container.pod == pod.id then
      tell_container(self, container)
    end
  end
  return pod
end

---Takes a Container or a ContainerStatus, which doesn't say whose it is.
---@param message table
---@param pod_id? string id of its pod's sandbox
function Store:add_container(message, pod_id)
  local image = message.image or {}
  local container = { id = message.id, pod = message.pod_sandbox_id or pod_id,
    name = known((message.metadata or {}).name),
    -- what the user wrote, where the runtime says it; the other may be an id
    image = known(image.user_specified_image) or known(image.image) }
  self.containers[container.id] = container
  tell_container(self, container)
end

---Forgets what the runtime has removed: a container, or a pod's sandbox.
---@param id string
function Store:remove(id)
  local pod = self.pods[id]
  self.pods[id], self.containers[id], self.told["container " .. id] = nil, nil, nil
  self.sink({ container_id = id, gone = true })
  if pod and pod.uid and self.current[pod.uid] == id then
    self.told["pod " .. pod.uid], self.current[pod.uid] = nil, nil
    self.sink({ pod_uid = pod.uid, gone = true })
  end
end

-- What is in no list any more is forgotten.
local function keep(self, things, list)
  local present = {}
  for _, message in ipairs(list) do
    present[message.id] = true
  end
  for id in pairs(things) do
    if not present[id] then
      self:remove(id)
    end
  end
end

---Takes complete lists.
---@param pods table[] PodSandbox
---@param containers table[] Container
function Store:replace(pods, containers)
  keep(self, self.containers, containers)
  keep(self, self.pods, pods)
  for _, pod in ipairs(pods) do
    self:add_pod(pod)
  end
  for _, container in ipairs(containers) do
    self:add_container(container)
  end
end

---Ids of pods that run and whose address isn't known. Those on the host's network have none.
---@return string[]
function Store:without_ip()
  local ids = {}
  for id, pod in pairs(self.pods) do
    if pod.state == READY and not pod.ip and not pod.asked then
      ids[#ids + 1] = id
    end
  end
  return ids
end

---@return integer pods
---@return integer containers
function Store:count()
  local pods, containers = 0, 0
  for _ in pairs(self.pods) do pods = pods + 1 end
  for _ in pairs(self.containers) do containers = containers + 1 end
  return pods, containers
end

return store
