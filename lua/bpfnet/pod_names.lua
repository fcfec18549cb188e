-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Puts names into identities: from runtimes' files, from the first process, from sources such as the CRI
-- socket and the API server; and with the rules says which are sidecars. A name that is known is never
-- replaced by another one; labels, addresses and owners are what was heard last.

local bundle = require("bpfnet.pod_bundle")
local cni = require("bpfnet.pod_cni")
local rules = require("bpfnet.pod_rules")
local store = require("bpfnet.pod_store")

local names = {}

local NAMED = { "container", "name", "namespace", "pod_uid" } -- once known, they stay
local TOLD = { "ip", "owner", "annotations", "image" } -- what was heard last

local pods -- uid -> { identity =, members = { [identity] = true }, told = record, ip_of_file = bool }
local containers -- id -> record that a source gave
local aliases -- uid of a pod from a file, as its cgroup has it -> uid in the API
local addresses -- ip -> identity

function names.reset()
  pods, containers, aliases, addresses = {}, {}, {}, {}
end

local function full_name(identity)
  if identity.name then
    identity.pod = identity.namespace and identity.namespace .. "/" .. identity.name or identity.name
  end
end

local function fill(identity, from)
  for _, key in ipairs(NAMED) do
    if identity[key] == nil then
      identity[key] = from[key]
    end
  end
  for _, key in ipairs(TOLD) do
    if from[key] ~= nil then
      identity[key] = from[key]
    end
  end
  if from.runtime and identity.runtime == "unknown" then
    identity.runtime = from.runtime
  end
  identity.sandbox = identity.sandbox or from.sandbox
  full_name(identity)
end

-- A container's own labels and those of its pod; never one that is shared with what a source gave.
local function set_labels(identity, of_pod, own, told)
  local labels = {}
  for _, from in ipairs({ of_pod or {}, own or {}, told or {} }) do
    for key, value in pairs(from) do
      labels[key] = value
    end
  end
  identity.labels = next(labels) and labels
end

---The pod of that uid, made if need be.
---@param uid string
---@return table pod { identity =, members = }
function names.pod(uid)
  uid = aliases[uid] or uid
  local pod = pods[uid]
  if not pod then
    local identity = store.thing("pod:" .. uid, "pod")
    identity.pod_uid = uid
    pod = { identity = identity, members = {}, told = {} }
    pods[uid] = pod
  end
  return pod
end

local function pod_of(identity)
  return identity.pod_uid and names.pod(identity.pod_uid)
end

-- How many containers of a pod do something.
local function count(pod)
  local n = 0
  for member in pairs(pod.members) do
    n = n + (member.sandbox and 0 or 1)
  end
  return n
end

local function first_match(identity, proc)
  for _, rule in ipairs(rules) do
    local says = rule.match(identity, proc)
    if says then
      return type(says) == "string" and ("%s %s"):format(rule.name, says) or rule.name
    end
  end
end

---Asks the rules whether it is a sidecar.
---@param identity bpfnet.pod.Identity
function names.judge(identity)
  local fact, pod = store.facts(identity), pod_of(identity)
  if not fact or fact.kind ~= "container" or not identity.container then
    return
  elseif not pod or count(pod) < 2 then
    identity.sidecar, identity.why = false, pod and "alone in its pod" or "no pod"
    return
  end
  local proc = { spec = pod.told.spec }
  for key, value in pairs(fact.proc or {}) do
    proc[key] = value
  end
  local why = first_match(identity, proc)
  if why then
    identity.sidecar, identity.why = true, why
  elseif fact.proc then
    identity.sidecar, identity.why = false, "no rule"
  else
    identity.sidecar, identity.why = nil, nil -- till its process is there
  end
end

-- What is known of the pod into one member, and the other way round.
local function join(identity, pod)
  if not pod.identity.name and not identity.name then
    fill(pod.identity, bundle.pod(pod.identity.pod_uid, identity.path) or {})
  end
  local own, before = pod.identity, pod.identity.pod
  fill(own, { name = identity.name, namespace = identity.namespace, runtime = identity.runtime ~= "unknown"
    and identity.runtime or nil })
  fill(identity, { name = own.name, namespace = own.namespace })
  if own.pod ~= before then
    store.changed(own)
  end
  for _, key in ipairs({ "ip", "owner", "annotations" }) do
    if own[key] ~= nil then
      identity[key] = own[key]
    end
  end
end

local function refresh(identity)
  local fact, pod = store.facts(identity), pod_of(identity)
  local told = identity.container_id and containers[identity.container_id]
  if told then
    fill(identity, told)
    pod = pod_of(identity)
  end
  if pod and pod.identity ~= identity then
    join(identity, pod)
  end
  set_labels(identity, pod and pod.told.labels, fact.labels, told and told.labels)
  for _, ip in ipairs(pod and pod.told.ips or { identity.ip }) do
    addresses[ip] = pod and pod.identity or identity
  end
end

-- A member more: all of them are asked about again, for one alone is no sidecar.
local function enter(identity)
  local pod = pod_of(identity)
  if not pod or pod.identity == identity or pod.members[identity] then
    return names.judge(identity)
  end
  pod.members[identity] = true
  for member in pairs(pod.members) do
    local before = member.sidecar
    names.judge(member)
    if member ~= identity and member.sidecar ~= before then
      store.changed(member)
    end
  end
end

local function forget_addresses(pod)
  for _, ip in ipairs(pod.told.ips or { pod.identity.ip }) do
    if addresses[ip] == pod.identity then
      addresses[ip] = nil
    end
  end
end

-- The pod that a record of a source is about, with the uid that its cgroup has if it comes from a file.
local function told_pod(record)
  local hash = record.annotations and record.annotations["kubernetes.io/config.hash"]
  local uid = record.pod_uid
  if hash and hash ~= uid and not aliases[hash] then
    local before = pods[hash]
    aliases[hash] = uid
    if before then
      pods[uid], pods[hash] = before, nil
      before.identity.pod_uid = uid
    end
  end
  return names.pod(uid)
end

local function tell_pod(record)
  local pod = told_pod(record)
  if record.ip then
    forget_addresses(pod)
    pod.ip_of_file = false
  end
  for key, value in pairs(record) do
    pod.told[key] = value
  end
  pod.told.ips = record.ips or not record.ip and pod.told.ips or nil
  fill(pod.identity, record)
  refresh(pod.identity)
  store.changed(pod.identity)
  for member in pairs(pod.members) do
    refresh(member)
    names.judge(member)
    store.changed(member)
  end
end

-- What a source has told is newer than the file from when the sandbox was made. A pod may get another sandbox.
local function put_addresses(identity, ips)
  local pod = pod_of(identity)
  if pod and (pod.ip_of_file or not pod.told.ip) then
    tell_pod({ pod_uid = identity.pod_uid, ip = ips[1], ips = ips })
    pod.ip_of_file = true
  end
end

---Puts what a runtime's files say into an identity.
---@param identity bpfnet.pod.Identity
---@param found bpfnet.pod.Facts
function names.put(identity, found)
  local fact = store.facts(identity)
  fact.labels = found.labels or fact.labels
  fact.named = found.container ~= nil or found.sandbox
  fill(identity, found)
  local ips = found.sandbox and cni.addresses(identity.container_id)
  if ips then
    put_addresses(identity, ips)
  end
  refresh(identity)
  enter(identity)
end

---Looks an identity up in the runtimes' files.
---@param identity bpfnet.pod.Identity
---@return boolean done there is no more to be learnt there
---@return string? why "missing", "denied", "truncated", "too large"
function names.look_up(identity)
  local fact = store.facts(identity)
  if fact.is_copy then
    return true
  end
  if fact.named or fact.kind ~= "container" or identity.runtime == "lxc" then
    refresh(identity)
    enter(identity)
    fact.named = true
    return true
  end
  local found, why = bundle.find(identity.container_id, identity.path, identity.runtime)
  if found then
    names.put(identity, found)
    return fact.named, not fact.named and "missing" or nil
  end
  refresh(identity) -- the pod may be known by others of it, or what a source has said
  enter(identity)
  return false, why
end

---The first process of a container has been looked at.
---@param identity bpfnet.pod.Identity
---@param found bpfnet.pod.Proc
function names.put_proc(identity, found)
  store.facts(identity).proc = found
  local before, why = identity.sidecar, identity.why
  names.judge(identity)
  if identity.sidecar ~= before or identity.why ~= why then
    store.changed(identity)
  end
end

local function forget_pod(uid, pod)
  pods[uid] = nil
  for hash, of in pairs(aliases) do
    if of == uid then
      aliases[hash] = nil
    end
  end
  forget_addresses(pod)
  store.discard(pod.identity)
end

-- With its last container and its last cgroup.
local function forget_empty_pod(uid)
  local pod = pods[uid]
  local fact = pod and store.facts(pod.identity)
  if pod and not next(pod.members) and not (fact and next(fact.cgroups)) then
    forget_pod(uid, pod)
  end
end

---Takes what a source says: of a container (container_id =) or of a pod (pod_uid =). Of a pod that is not
---on this host an address is all that is of use.
---@param record table container_id | pod_uid, and any of labels, annotations, ip, owner, spec, name,
---  namespace, container, image, runtime, sandbox; gone = true: the source will say no more of it
function names.tell(record)
  if record.gone then
    containers[record.container_id or ""] = nil
    return record.pod_uid and forget_empty_pod(record.pod_uid)
  elseif not record.container_id then
    return tell_pod(record)
  end
  local told = containers[record.container_id] or {}
  containers[record.container_id] = told
  for key, value in pairs(record) do
    told[key] = value
  end
  local identity = store.find("container:" .. record.container_id)
  if identity then
    store.facts(identity).named = store.facts(identity).named or record.container ~= nil
    refresh(identity)
    enter(identity)
    store.changed(identity)
  end
end

---@param address string
---@return bpfnet.pod.Identity?
function names.of_address(address)
  return addresses[address]
end

---An identity is forgotten: so is what was kept of it here, and its pod with the last container.
---@param identity bpfnet.pod.Identity
function names.gone(identity)
  local uid = identity.pod_uid and (aliases[identity.pod_uid] or identity.pod_uid)
  if identity.container_id then
    containers[identity.container_id] = nil
  end
  if identity.ip and addresses[identity.ip] == identity then
    addresses[identity.ip] = nil
  end
  if uid and pods[uid] then
    pods[uid].members[identity] = nil
    forget_empty_pod(uid)
  end
end

---Asks the rules about all again: there are others.
function names.judge_all()
  local list = {}
  for identity, fact in store.each() do
    list[#list + 1] = fact.kind == "container" and identity or nil
  end
  for _, identity in ipairs(list) do
    local before, why = identity.sidecar, identity.why
    names.judge(identity)
    if identity.sidecar ~= before or identity.why ~= why then
      store.changed(identity)
    end
  end
end

return names
