-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Containers that have no cgroup v2: on a node where all of them are in cgroup v1, sockets are in the root of the
-- tree, and the probe `cgroups` tells of nothing. Their bundles are looked for from time to time, and soon after
-- an event in a network namespace that nobody knows. It tells the pod; which of its containers, it does not.

local names = require("bpfnet.pod_names")
local netns = require("bpfnet.pod_netns")
local oci = require("bpfnet.pod_oci")
local proc = require("bpfnet.pod_proc")
local store = require("bpfnet.pod_store")

local v1 = {}

local KEPT_NS = 60000000000 -- a dead one, for events that come late

local known -- id -> { identity =, dead_ns = }

function v1.reset()
  known = {}
end

-- One whose cgroup is known is none of ours.
local function add(watch, id, pid)
  local identity, is_new = store.thing("container:" .. id, "container")
  local found = is_new and proc.of(pid, id)
  if not found then
    return is_new and store.discard(identity)
  end
  identity.container_id = id
  names.look_up(identity)
  watch.put_process(identity, found)
  local is_first = next(known) == nil
  known[id] = { identity = identity }
  if is_first then
    store.changed(store.host) -- the tree's root is no longer the host's alone
  end
end

-- It has got a cgroup after all: from then on that tells of its end.
local function has_cgroup(one)
  local fact = store.facts(one.identity)
  return fact and next(fact.cgroups) ~= nil
end

local function bury(one, now)
  if not one.dead_ns then
    one.dead_ns, one.identity.dead = now, true
    netns.release(one.identity)
  end
  return now - one.dead_ns > KEPT_NS
end

---Looks what bundles there are, and which of those known are gone.
---@param watch table pod_watch
function v1.look(watch)
  local running, now = oci.running(), bpf.now()
  for id, pid in pairs(running) do
    if not store.find("container:" .. id) then
      add(watch, id, pid)
    end
  end
  for id, one in pairs(known) do
    if has_cgroup(one) then
      known[id] = nil
    elseif (not running[id] or not proc.of(running[id], id)) and bury(one, now) then
      known[id] = nil
      watch.gone(one.identity)
      store.discard(one.identity)
    end
  end
end

---Whether there are such containers: a namespace that is not known may then be a new one's.
---@return boolean
function v1.is_in_use()
  return next(known) ~= nil
end

return v1
