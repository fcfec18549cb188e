-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The filter by container: from the words of a script (`filter = {pod = "shop/cart*"}`) to a verdict for
-- each cgroup, or for each network namespace where a probe sees packets; kept up to date as containers come
-- and go. The engine calls it; scripts need not.

local match = require("bpfnet.pod_match")
local netns = require("bpfnet.pod_netns")
local pod = require("bpfnet.pod")
local sources = require("bpfnet.pod_sources")
local store = require("bpfnet.pod_store")
local v1 = require("bpfnet.pod_v1")

local pod_filter = {}

local WORDS = { "pod", "namespace", "container", "image", "runtime", "sidecar", "label", "where" }

-- enum pod_verdict of bpf/filter_set.h
local UNDECIDED, WANTED, UNWANTED, NONE, NONE_WANTED = 0, 1, 2, 3, 4

local ROOT = 1 -- the cgroup
local ELSEWHERE = 0 -- the key of all namespaces without a verdict

local function spec_of(filter)
  local spec = {}
  for _, word in ipairs(WORDS) do
    spec[word] = filter[word]
  end
  return pod.check(spec)
end

local function asks_for_sidecars(spec)
  return spec.sidecar ~= nil or spec.where ~= nil and match.where(spec.where).words.sidecar
end

-- A container whose name or labels are not known, or of which it is not known whether it is a sidecar, is asked
-- about again with each of its events.
local function is_open(identity, spec)
  local named = identity.container or identity.sandbox or identity.pod
  return identity.runtime == "unknown" or identity.container_id and not named
    or identity.container ~= nil and identity.sidecar == nil and asks_for_sidecars(spec)
    or spec.label ~= nil and identity.container_id and identity.labels == nil
end

-- A cgroup that is no container's says nothing of who uses the socket: the task's cgroup is asked.
local function verdict_of(identity, spec)
  if not identity or is_open(identity, spec) then
    return UNDECIDED
  end
  local wanted = pod.matches(identity, spec)
  if identity.container_id then
    return wanted and WANTED or UNWANTED
  end
  return wanted and NONE_WANTED or NONE
end

-- Sockets: each cgroup has a verdict. set(key, verdict) puts it in force. The root has none where it holds the
-- sockets of containers that are in cgroup v1: there the network namespace says whose an event is.
local function by_cgroup(spec, set)
  local told = false
  return function(cgroup, identity)
    local is_shared = cgroup == ROOT and v1.is_in_use()
    if is_shared and not told then
      told = true
      bpf.log("warn", "pods: containers here are in cgroup v1 alone: a filter by pod is right for events, and not for "
        .. "what is added up in the kernel")
    end
    set(cgroup, is_shared and UNDECIDED or verdict_of(identity, spec))
  end
end

-- Packets: a namespace is wanted as long as one of its containers is, and lives; and a namespace without any
-- as what is no container is.
local function by_netns(spec, set)
  local inodes, users = {}, {} -- cgroup -> { inode =, wanted = }; inode -> { how many, how many of them wanted }
  local function count(at, step)
    local user = users[at.inode] or { all = 0, wanted = 0 }
    user.all, user.wanted = user.all + step, user.wanted + (at.wanted and step or 0)
    users[at.inode] = user.all > 0 and user or nil
    set(at.inode, user.wanted > 0 and WANTED or user.all > 0 and UNWANTED or UNDECIDED)
  end
  set(ELSEWHERE, pod.matches(store.host, spec) and WANTED or UNDECIDED)
  return function(cgroup, identity)
    local inode = identity and netns.inode_of(identity)
    local at = inode and { inode = inode, wanted = pod.matches(identity, spec) }
    local before = inodes[cgroup]
    if before and at and before.inode == at.inode and before.wanted == at.wanted then
      return
    end
    inodes[cgroup] = at
    if at then
      count(at, 1)
    end
    if before then
      count(before, -1)
    end
  end
end

local function sees_sockets(probe)
  for _, name in ipairs(probe.fields) do
    if name == "task_cgroup" then
      return true
    end
  end
  return false
end

---Begins to decide for a probe. The table of verdicts is kept up to date, and the kernel told, until
---another filter is in force or the probe is gone.
---@param probe bpf.Probe
---@param filter table as in the option `filter`; raises what pod.check() raises
---@return table<integer, integer> verdicts by cgroup id, or by inode of a namespace
---@return fun(cgroup: integer, task_cgroup: integer, netns: integer, netns_cookie: integer): boolean judge
---  for an event of a cgroup without one
function pod_filter.begin(probe, filter)
  local spec = spec_of(filter)
  pod.start()
  if spec.label then
    sources.need()
  end
  local verdicts = {}
  -- weak: what listens must not keep a probe alive that the script has dropped
  local of = setmetatable({ probe = probe }, { __mode = "v" })
  local listener, begun
  local function set(key, verdict)
    if (verdicts[key] or UNDECIDED) == verdict then
      return
    end
    verdicts[key] = verdict ~= UNDECIDED and verdict or nil
    if begun and not (of.probe and of.probe:_verdict(verdicts, key, verdict)) then
      store.unlisten(listener)
    end
  end
  listener = store.listen((sees_sockets(probe) and by_cgroup or by_netns)(spec, set))
  begun = true
  return verdicts, function(...)
    return pod.matches(pod.of(...), spec)
  end
end

return pod_filter
