-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What a container runtime has told: pods and containers, joined, each told on once and again only when
-- something about it is new.

local store = {}

local FIRST = { "annotations", "container", "container_id", "image", "ip", "ips", "labels", "namespace",
  "pod", "pod_uid" }

---@class bpfnet.CriStore
local Store = {}
Store.__index = Store

---@param sink fun(facts: table) see cri.source
---@return bpfnet.CriStore
function store.new(sink)
  return setmetatable({ sink = sink, pods = {}, containers = {}, told = {} }, Store)
end

local function tell(self, key, facts)
  local text = bpf.json(facts, FIRST)
  if self.told[key] ~= text then
    self.told[key] = text
    self.sink(facts)
  end
end

-- An empty text is how protobuf says nothing.
local function known(text)
  return text ~= "" and text or nil
end

local function pod_facts(pod)
  return { pod_uid = pod.uid, namespace = pod.namespace, pod = pod.name, labels = pod.labels,
    annotations = pod.annotations, ip = pod.ip, ips = pod.ips }
end

local function tell_pod(self, pod)
  if pod.uid then
    tell(self, "pod " .. pod.uid, pod_facts(pod))
  end
  tell(self, "container " .. pod.id, { container_id = pod.id, pod_uid = pod.uid, namespace = pod.namespace,
    pod = pod.name })
end

local function tell_container(self, container)
  local pod = self.pods[container.pod]
  local facts = pod and pod_facts(pod) or {}
  facts.container_id = container.id
  facts.container = container.name
  facts.image = container.image
  tell(self, "container " .. container.id, facts)
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

-- What is in no list any more is forgotten.
local function keep(self, kind, list, prefix)
  local present = {}
  for _, message in ipairs(list) do
    present[message.id] = true
  end
  for id, thing in pairs(self[kind]) do
    if not present[id] then
      self[kind][id] = nil
      self.told["container " .. id] = nil
      if prefix and thing.uid then
        self.told[prefix .. thing.uid] = nil
      end
    end
  end
end

---Takes complete lists.
---@param pods table[] PodSandbox
---@param containers table[] Container
function Store:replace(pods, containers)
  keep(self, "pods", pods, "pod ")
  keep(self, "containers", containers)
  for _, pod in ipairs(pods) do
    self:add_pod(pod)
  end
  for _, container in ipairs(containers) do
    self:add_container(container)
  end
end

---Forgets what the runtime has removed: a container, or a pod's sandbox.
---@param id string
function Store:remove(id)
  local pod = self.pods[id]
  if pod and pod.uid then
    self.told["pod " .. pod.uid] = nil
  end
  self.pods[id], self.containers[id], self.told["container " .. id] = nil, nil, nil
end

---Ids of pods that run and whose address isn't known. Those on the host's network have none.
---@param ready integer the state of pods that run
---@return string[]
function Store:without_ip(ready)
  local ids = {}
  for id, pod in pairs(self.pods) do
    if pod.state == ready and not pod.ip and not pod.asked then
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
