-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Which cgroup is whose: the tree as it is and as it was a minute ago. What is known lives here; who fills
-- it is pod_watch.
--
-- An identity is what users get: one table for a container, however many cgroups it has, and the same one
-- for as long as it is remembered. What we need besides is in `facts`, by identity.

local path = require("bpfnet.pod_path")

local store = {}

local KEPT_NS = 60000000000 -- a dead cgroup, for events that come late
local KEPT = 4096 -- dead ones, at most

---@class bpfnet.pod.Identity
---@field pod? string "NAMESPACE/NAME"; podman's pods have no namespace
---@field namespace? string
---@field name? string of the pod
---@field container? string nil for a pod as such, and for the container that only holds its namespaces
---@field image? string
---@field pod_uid? string
---@field container_id? string 64 digits; "lxc:NAME"
---@field runtime string "containerd", "crio", "docker", "podman", "lxc", "systemd", "host", "unknown"
---@field unit? string of systemd
---@field sandbox? boolean the container that holds the pod's namespaces ("pause")
---@field sidecar? boolean nil: not known yet, or no container
---@field why? string the rule that said so
---@field labels? table<string, string>
---@field annotations? table<string, string>
---@field ip? string
---@field owner? string "ReplicaSet/cart-5d8"
---@field cgroup integer id of its cgroup; 0: none
---@field path string of its cgroup, below the tree's root
---@field dead boolean its last cgroup is gone
---@field netns? integer all that is known of somebody who is in none

local nodes -- cgroup id -> { id =, path =, identity =, dead_ns = }
local things -- what it is ("container:…", "pod:…", "unit:…") -> identity
local facts -- identity -> { kind =, key =, live =, cgroups = { [id] = path }, is_copy =, ... }
local dead -- list of nodes, in the order in which they died
local dead_first, dead_last
local listeners

---@type table<integer, bpfnet.pod.Identity> cgroup id -> identity: what pod.of() looks at first
store.by_cgroup = {}

function store.reset()
  nodes, things, facts, listeners = {}, {}, {}, {}
  dead, dead_first, dead_last = {}, 1, 0
  for id in pairs(store.by_cgroup) do
    store.by_cgroup[id] = nil
  end
  store.host = store.thing("host", "host")
  store.host.cgroup, store.host.path = 1, "/"
end

---@param key string
---@param kind string
---@return bpfnet.pod.Identity identity
---@return boolean is_new
function store.thing(key, kind)
  local identity = things[key]
  if identity then
    return identity, false
  end
  local runtime = kind == "host" and "host" or kind == "unit" and "systemd" or "unknown"
  identity = { runtime = runtime, cgroup = 0, path = "", dead = false }
  things[key] = identity
  facts[identity] = { kind = kind, key = key, live = 0, cgroups = {} }
  return identity, true
end

---What is known besides.
---@param identity bpfnet.pod.Identity
---@return table
function store.facts(identity)
  return facts[identity]
end

---@return fun(): bpfnet.pod.Identity, table
function store.each()
  return pairs(facts)
end

---@param key string
---@return bpfnet.pod.Identity?
function store.find(key)
  return things[key]
end

---Tells f(cgroup id, identity) of each cgroup now, and from now on of changes; identity nil: forgotten.
---@param f fun(id: integer, identity: bpfnet.pod.Identity?)
---@return table listener for unlisten()
function store.listen(f)
  local listener = { f = f }
  listeners[#listeners + 1] = listener
  local ids = {} -- f may ask for what is not known yet, which changes the table
  for id in pairs(nodes) do
    ids[#ids + 1] = id
  end
  for _, id in ipairs(ids) do
    local node = nodes[id]
    if node and id >= 0 then
      f(id, node.identity)
    end
  end
  return listener
end

function store.unlisten(listener)
  for i, one in ipairs(listeners) do
    if one == listener then
      table.remove(listeners, i)
    end
  end
end

local function tell(id, identity)
  for _, listener in ipairs({ table.unpack(listeners) }) do
    listener.f(id, identity)
  end
end

---Something about an identity is other than before.
---@param identity bpfnet.pod.Identity
function store.changed(identity)
  if not listeners[1] then
    return
  end
  for id in pairs(facts[identity].cgroups) do
    tell(id, identity)
  end
end

-- One that may make cgroups of its own can name them by another container: the same id in a second place is not
-- that container, whose place is known already.
local function container_key(parsed)
  local key = "container:" .. parsed.container_id
  local first = things[key]
  if first and first.path ~= "" and first.path ~= parsed.owner and not first.dead then
    return key .. " in " .. parsed.owner, true
  end
  return key, false
end

local function key_of(parsed)
  if parsed.kind == "container" then
    return container_key(parsed)
  elseif parsed.kind == "pod" then
    return "pod:" .. parsed.pod_uid
  end
  return parsed.kind == "unit" and "unit:" .. parsed.owner or "host"
end

-- The identity for what a path says; all that the path alone tells is filled in.
local function identity_of(parsed)
  local key, is_copy = key_of(parsed)
  local identity, is_new = store.thing(key, parsed.kind)
  facts[identity].is_copy = is_copy
  if identity.path == "" then
    identity.path = parsed.owner
    identity.container_id = parsed.container_id
    identity.pod_uid = parsed.pod_uid
    identity.unit = parsed.unit
    identity.runtime = parsed.runtime or identity.runtime
    if parsed.runtime == "lxc" then
      identity.container = parsed.container_id:match("^lxc:(.*)$")
    end
  end
  return identity, is_new
end

-- A cgroup for which only its number was known becomes what its path says. Who holds the identity sees it
-- filled; if the container was known already, that is the one from now on.
local function replace_unknown(node)
  local fact = facts[node.identity]
  if fact and fact.kind == "unknown" then
    things[fact.key], facts[node.identity] = nil, nil
  end
end

---A cgroup is there.
---@param id integer
---@param text string its path
---@return bpfnet.pod.Identity identity
---@return boolean is_new nothing of the same container, pod or unit was known
function store.add(id, text)
  local node = nodes[id]
  if node and node.path then
    return node.identity, false
  end
  if node then
    replace_unknown(node)
  end
  local identity, is_new = identity_of(path.parse(text))
  local fact = facts[identity]
  nodes[id] = { id = id, path = text, identity = identity }
  store.by_cgroup[id] = identity
  fact.cgroups[id] = text
  fact.live = fact.live + 1
  identity.dead = false
  if identity.path == text then
    identity.cgroup = id
  end
  return identity, is_new
end

---Tells of a cgroup that add() has given, once its identity is filled in.
---@param id integer
function store.announce(id)
  tell(id, nodes[id].identity)
end

local function bury(node)
  node.dead_ns = bpf.now()
  dead_last = dead_last + 1
  dead[dead_last] = node
end

---A cgroup is gone.
---@param id integer
---@return bpfnet.pod.Identity? identity the one of which it was the last cgroup
function store.remove(id)
  local node = nodes[id]
  if not node or node.dead_ns then
    return nil
  end
  bury(node)
  local fact = facts[node.identity]
  if not fact then
    return nil
  end
  fact.live = fact.live - 1
  if fact.live > 0 or fact.kind == "host" then
    return nil
  end
  node.identity.dead = true
  return node.identity
end

---An id that nothing is known of: it gets an identity all the same, for a minute.
---@param id integer of a cgroup; below 0: the number of a network namespace, negated
---@return bpfnet.pod.Identity
function store.unknown(id)
  local identity = store.thing("id:" .. id, "unknown")
  if id < 0 then
    identity.netns = -id
  else
    identity.cgroup = id
  end
  local node = { id = id, identity = identity }
  nodes[id] = node
  facts[identity].cgroups[id] = ""
  store.by_cgroup[id] = identity
  bury(node)
  return identity
end

---Forgets an identity that has no cgroup.
---@param identity bpfnet.pod.Identity
function store.discard(identity)
  local fact = facts[identity]
  if fact and not next(fact.cgroups) then
    things[fact.key], facts[identity] = nil, nil
  end
end

-- Nothing of the identity is left. A pod's own may still be wanted by its containers.
local function drop(identity, on_gone)
  local fact = facts[identity]
  if not fact or next(fact.cgroups) or fact.kind == "host" then
    return
  end
  on_gone(identity)
  if fact.kind ~= "pod" then
    store.discard(identity)
  end
end

---Forgets those that have been dead for long, or are too many.
---@param on_gone fun(identity: bpfnet.pod.Identity) of an identity that is no more
function store.forget(on_gone)
  local before = bpf.now() - KEPT_NS
  while dead_first <= dead_last and (dead[dead_first].dead_ns < before or dead_last - dead_first >= KEPT) do
    local node = dead[dead_first]
    dead[dead_first] = nil
    dead_first = dead_first + 1
    if nodes[node.id] == node then
      nodes[node.id], store.by_cgroup[node.id] = nil, nil
      local fact = facts[node.identity]
      if fact then
        fact.cgroups[node.id] = nil
      end
      if node.id >= 0 then
        tell(node.id, nil)
      end
      drop(node.identity, on_gone)
    end
  end
end

---The ids that are thought to be there and are not in `paths`.
---@param paths table<integer, string>
---@return integer[]
function store.missing(paths)
  local list = {}
  for id, node in pairs(nodes) do
    if not node.dead_ns and not paths[id] then
      list[#list + 1] = id
    end
  end
  return list
end

---@return integer known cgroups that are there
---@return integer dead cgroups that are remembered
function store.counts()
  local n = 0
  for _ in pairs(nodes) do
    n = n + 1
  end
  local gone = dead_last - dead_first + 1
  return n - gone, gone
end

return store
