-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Whose is it? From what an event says (cgroup, network namespace) to the pod and container.
--
--   local pod = require("bpfnet.pod")
--   bpf.attach("tcpconnect", function(ev)
--     print(pod.name(pod.of_event(ev)), ev.daddr, ev.dport)
--   end)
--
-- The names come from the runtimes' own files, at the moment a container is made; labels, addresses and
-- owners from sources, if there are any, whenever they come. Nothing is guessed: what is not known is
-- called "unknown:<id>".

local match = require("bpfnet.pod_match")
local names = require("bpfnet.pod_names")
local near = require("bpfnet.pod_near")
local netns_map = require("bpfnet.pod_netns")
local rules = require("bpfnet.pod_rules")
local store = require("bpfnet.pod_store")
local watch = require("bpfnet.pod_watch")

local pod = {
  matches = match.matches,
  check = match.check,
}

local ROOT = 1 -- the id of the tree's root: what is there is in no container's cgroup v2

local by_cgroup = store.by_cgroup
local sources = {}
local started = false
local follows = {}

---The rules that say which containers are sidecars, in order; see bpfnet.pod_rules. A new one is asked
---about all that is known.
---@type bpfnet.pod.Rule[]
pod.rules = setmetatable({}, {
  __index = rules,
  __len = function() return #rules end,
  __pairs = function() return pairs(rules) end,
  __newindex = function(_, at, rule)
    local ok = rule == nil or type(rule) == "table" and type(rule.name) == "string"
      and type(rule.match) == "function"
    if not ok then
      error('pods: a rule is { name = "…", match = function(identity, proc) … end }', 2)
    end
    rules[at] = rule
    if started then
      names.judge_all()
    end
  end,
})

---@class bpfnet.pod.Opts
---@field root? string another "/" in which the runtimes' files are; default: our own, and process 1's

local function roots_of(opts)
  for key, value in pairs(opts or {}) do
    if key ~= "root" or type(value) ~= "string" then
      error(('pod.start: expected { root = "DIRECTORY" }, got "%s"'):format(tostring(key)), 3)
    end
  end
  local root = opts and opts.root
  return root and { (root:gsub("/+$", "")) }
end

---Starts looking, if that is not done yet: takes some ten milliseconds. Any other function does so by itself.
---It does not keep bpf.run() from ending.
---@param opts? bpfnet.pod.Opts
function pod.start(opts)
  local roots = roots_of(opts)
  if started then
    return
  end
  started = true
  watch.start(roots)
  for _, source in ipairs(sources) do
    source:start(names.tell)
  end
end

---Ends it, and forgets all. Identities that a script holds stay as they were.
function pod.stop()
  if not started then
    return
  end
  started = false
  for _, source in ipairs(sources) do
    if source.stop then
      source:stop()
    end
  end
  for _, handle in ipairs({ table.unpack(follows) }) do
    handle:close()
  end
  watch.stop()
end

-- What a cgroup by itself says.
local function look_up(id)
  local identity = by_cgroup[id]
  if not identity then
    if not started then
      pod.start()
      return by_cgroup[id] or look_up(id)
    end
    watch.want_scan()
    return store.unknown(id)
  end
  watch.hurry(identity)
  return identity
end

-- All that is not a container's own cgroup.
local function search(cgroup, task_cgroup, netns, cookie)
  local identity = cgroup and cgroup ~= 0 and look_up(cgroup) or store.host
  if identity.container_id then
    return identity
  end
  local task = task_cgroup and task_cgroup ~= 0 and task_cgroup ~= cgroup and look_up(task_cgroup)
  if task and task.container_id then
    return task
  end
  -- a unit of the host that goes into a pod's namespace is still that unit
  if netns and (not cgroup or cgroup == 0 or cgroup == ROOT or identity.runtime == "unknown") then
    return netns_map.of(netns, cookie) or watch.nobody(netns) or identity
  end
  return identity
end

---Whose is it? The socket's cgroup decides; if that is no container's, the cgroup of the process that uses
---the socket, as with socket activation; if nobody's, the network namespace, which tells the pod and not
---the container.
---@param cgroup integer? id, 0 or nil: not known
---@param task_cgroup? integer
---@param netns? integer inode number
---@param netns_cookie? integer
---@return bpfnet.pod.Identity identity the same table every time for the same thing
function pod.of(cgroup, task_cgroup, netns, netns_cookie)
  local identity = by_cgroup[cgroup or 0]
  if not started then
    pod.start()
    identity = by_cgroup[cgroup or 0]
  end
  if identity and identity.container and identity.container_id then
    if netns_cookie then
      netns_map.of(netns, netns_cookie) -- learns the cookie
    end
    return identity
  end
  return search(cgroup, task_cgroup, netns, netns_cookie)
end

---The same for an event of any probe.
---@param ev table cgroup, task_cgroup, netns, netns_cookie, as far as it has them
---@return bpfnet.pod.Identity
function pod.of_event(ev)
  return pod.of(ev.cgroup, ev.task_cgroup, ev.netns, ev.netns_cookie)
end

---The pod with this address: one of this node that the runtime gave it to, or that a source has told of.
---@param address string
---@return bpfnet.pod.Identity?
function pod.of_addr(address)
  pod.start()
  return names.of_address(address)
end

---The name for the eye: "shop/cart-0/app", "docker:web", "nginx.service", "host", "unknown:0a1b2c3d4e5f".
---@param identity bpfnet.pod.Identity
---@return string
function pod.name(identity)
  local id = identity.container_id
  if identity.pod then
    local container = identity.container or (id and not identity.sandbox and "unknown:" .. id:sub(1, 12))
    return container and identity.pod .. "/" .. container or identity.pod
  elseif identity.container then
    return ("%s:%s"):format(identity.runtime, identity.container)
  elseif id then
    return ("%s:%s"):format(identity.sandbox and identity.runtime or "unknown", id:sub(1, 12))
  elseif identity.runtime == "systemd" then
    return identity.unit
  elseif identity.runtime == "host" then
    return "host"
  elseif identity.netns then
    return "unknown:netns:" .. identity.netns
  end
  return "unknown:" .. (identity.pod_uid and "pod" .. identity.pod_uid:sub(1, 8) or identity.cgroup)
end

---Calls f for every cgroup that is known now, and again for each that appears, and each whose identity has
---changed; with nil in the place of the identity when a dead one is forgotten, a minute later or if there
---are very many. The loop goes on until the handle is closed.
---@param f fun(cgroup: integer, identity: bpfnet.pod.Identity?)
---@return { close: fun(self) } handle
function pod.follow(f)
  pod.start()
  local hold = bpf.every(1e6, function() end) -- as long as somebody listens, the loop is not idle
  local handle = { listener = store.listen(f) }
  function handle:close()
    hold:close()
    store.unlisten(self.listener)
    for i, one in ipairs(follows) do
      if one == self then
        table.remove(follows, i)
      end
    end
  end
  follows[#follows + 1] = handle
  return handle
end

---@return bpfnet.pod.Identity[] containers that are there, in the order of their names
function pod.list()
  pod.start()
  local list, name = {}, {}
  for identity, fact in store.each() do
    if fact.kind == "container" and not identity.dead then
      list[#list + 1] = identity
    end
  end
  for _, identity in ipairs(list) do
    watch.hurry(identity)
    name[identity] = pod.name(identity)
  end
  table.sort(list, function(a, b)
    return name[a] < name[b] or name[a] == name[b] and a.cgroup < b.cgroup
  end)
  return list
end

---Names that are like the text, for "no such pod".
---@param text string "shop/crat-0"
---@return string[] names at most 5, the likeliest first
function pod.near(text)
  return near(text, pod.list())
end

-- The containers of pods that a name means.
local function meant(name)
  local spec, found = match.check({ pod = name }), {}
  for _, identity in ipairs(pod.list()) do
    if match.matches(identity, spec) then
      found[#found + 1] = identity
    end
  end
  return found
end

---What to tell a user who has named a pod that is not there. One with a wildcard may be that of a pod to come, and
---one with a "!" means those that are not it.
---@param name string
---@return string? message with a hint; nil: it is there, or may come
function pod.absent(name)
  if name:find("[*?]") or name:find("^!") or meant(name)[1] then
    return nil
  end
  local like = pod.near(name)
  return ("no such pod: \"%s\"\nhint: %s"):format(name, like[1] and "there are: " .. table.concat(like, ", ")
    or "a name with a \"*\" waits for pods to come")
end

---What to tell a user who has named a namespace, a container or an image of which nothing is there now.
---@param word "namespace"|"container"|"image"
---@param name string
---@return string? message with a hint; nil: there is one, or the name is one that pod.absent() says nothing of
function pod.none(word, name)
  if name:find("[*?]") or name:find("^!") then
    return nil
  end
  local spec, there, seen = match.check({ [word] = name }), {}, {}
  for _, identity in ipairs(pod.list()) do
    local value = identity[word]
    if match.matches(identity, spec) then
      return nil
    elseif value and not seen[value] then
      seen[value], there[#there + 1] = true, value
    end
  end
  table.sort(there)
  local hint = there[1] and "there are: " .. table.concat(there, ", ", 1, math.min(#there, 8))
  return ("nothing of the %s \"%s\" is here now; what comes is shown\nhint: %s"):format(word, name,
    hint or "no container that is here has one")
end

---The pods that a name means now.
---@param name string as in a filter, with * and ?
---@return string[] uids raises if there is none
function pod.uids(name)
  local uids, seen = {}, {}
  for _, identity in ipairs(meant(name)) do
    local uid = identity.pod_uid
    if uid and not seen[uid] then
      seen[uid], uids[#uids + 1] = true, uid
    end
  end
  if not uids[1] then
    error(pod.absent(name) or ("no pod here is called like \"%s\""):format(name), 0)
  end
  return uids
end

---@class bpfnet.pod.Stats
---@field known integer cgroups that are there
---@field dead integer cgroups that are gone and remembered
---@field containers integer containers that are there
---@field unknown integer those of them that have no name
---@field why table<string, integer> of these: "missing", "denied", "truncated", "too large" -> how many
---@field netns integer network namespaces that are held
---@field lost integer events of the probe `cgroups` that were lost; the tree was read again

---@return bpfnet.pod.Stats
function pod.stats()
  pod.start()
  local stats = { containers = 0, unknown = 0, why = {}, netns = netns_map.count(), lost = watch.lost() }
  stats.known, stats.dead = store.counts()
  for identity, fact in store.each() do
    if fact.kind == "container" and not identity.dead then
      stats.containers = stats.containers + 1
      if not fact.named then
        local why = fact.why or "missing"
        stats.unknown = stats.unknown + 1
        stats.why[why] = (stats.why[why] or 0) + 1
      end
    end
  end
  return stats
end

---Adds somebody who knows more: labels, addresses, owners, specs. source:start(sink) is called when it
---starts, or now; sink(record) as in pod_names.tell() at any time; source:stop() at the end, if there is one.
---@param source table
function pod.add_source(source)
  sources[#sources + 1] = source
  if started then
    source:start(names.tell)
  end
end

---@return boolean has anybody been added who knows labels
function pod.has_source()
  return sources[1] ~= nil
end

return pod
