-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Follows the life of cgroups and so of containers. The probe `cgroups` is attached first, then the tree is
-- read once: nothing falls between. A cgroup's event stands in the ring before all of what runs in it, and
-- the runtime has written the bundle before it: so a container has its name before its first event.
--
-- What isn't there yet (a process, a file that is being written) is looked for again, a few times.

local cgroup = require("bpfnet.cgroup")
local cni = require("bpfnet.pod_cni")
local files = require("bpfnet.pod_files")
local names = require("bpfnet.pod_names")
local netns = require("bpfnet.pod_netns")
local oci = require("bpfnet.pod_oci")
local proc = require("bpfnet.pod_proc")
local store = require("bpfnet.pod_store")
local v1 = require("bpfnet.pod_v1")

local watch = {}

local DELAYS = { 0.03, 0.1, 0.3, 1, 3, 10, 30 } -- seconds from one look to the next
local BUDGET_NS = 5000000 -- of one turn of the timer
local REST_NS = 10000000 -- till the next one: new containers must not wait
local OLD_LOOKS = 2 -- at a container that was there before us, has its name, and no process
local START_BUDGET_NS = 300000000 -- a callback may take a second in all
local SWEEP = 5 -- seconds between two looks for what is to be forgotten
local RESCAN_NS = 1000000000 -- the least time between two walks over the tree
local TRUNCATED = 511 -- bytes of a path from which on the probe's may lack its end

local running = {} -- probe, sweeper, timer
local timer_due_ns, mount
local pending -- identity -> { step =, due_ns = }
local lost, scanned_ns, wants_scan, told

local tick

-- The timer goes off at `due_ns` or before.
local function schedule(due_ns)
  if running.timer and timer_due_ns <= due_ns then
    return
  elseif running.timer then
    running.timer:close()
  end
  timer_due_ns = due_ns
  running.timer = bpf.after(math.max(due_ns - bpf.now(), 0) / 1e9, tick):background()
end

local function later(identity)
  local todo = pending[identity] or { step = 0 }
  todo.step = todo.step + 1
  if not DELAYS[todo.step] then
    pending[identity] = nil
    return
  end
  pending[identity] = todo
  todo.due_ns = bpf.now() + math.tointeger(DELAYS[todo.step] * 1e9 // 1)
  schedule(todo.due_ns)
end

local function directories(identity)
  local list = { mount .. identity.path }
  for _, path in pairs(store.facts(identity).cgroups) do
    if path ~= identity.path then
      list[#list + 1] = mount .. path
    end
  end
  return list
end

---A container's first process is known: what it tells.
---@param identity bpfnet.pod.Identity
---@param found bpfnet.pod.Proc
function watch.put_process(identity, found)
  local held, inode = proc.netns(found.pid)
  if held and proc.shares_network(found, inode) then
    held:close()
  elseif held then
    local pod = identity.pod_uid and names.pod(identity.pod_uid)
    netns.put(identity, pod and pod.identity or identity, held, inode)
    store.changed(identity)
  end
  names.put_proc(identity, found)
end

local function look_at_process(identity, fact)
  local found = mount and proc.first(directories(identity))
  if not found then
    return false
  end
  if not fact.named and not fact.is_copy and #identity.container_id == 64 then
    local facts = proc.by_shim(found, identity.container_id)
    if facts then
      names.put(identity, facts)
      store.changed(identity)
    end
  end
  watch.put_process(identity, found)
  return true
end

-- Said once: an engineer can do something about it.
local function tell_why(why, identity)
  if why == "denied" and not told then
    told = true
    bpf.log("warn", "pods: the files of container %s can't be read (hint: run as root, or with "
      .. "CAP_DAC_READ_SEARCH)", identity.container_id)
  end
end

-- Looks for all that isn't known of a container yet. True: that is all there will be.
local function look(identity)
  local fact = store.facts(identity)
  if not fact then
    return true
  end
  if not fact.named then
    local done, why = names.look_up(identity)
    fact.why = not done and why or nil
    tell_why(why, identity)
    if done and fact.announced then
      store.changed(identity)
    end
  end
  return look_at_process(identity, fact) and fact.named
end

local function discover(identity)
  local fact = store.facts(identity)
  if fact.kind == "pod" then
    names.look_up(identity)
  elseif fact.kind == "container" and not look(identity) then
    later(identity)
  end
end

---An identity is no more.
---@param identity bpfnet.pod.Identity
function watch.gone(identity)
  names.gone(identity)
  pending[identity] = nil
end

-- A path that lacks its end: the tree has it whole.
local function whole_path(id, path)
  if #path < TRUNCATED then
    return path
  end
  local paths = cgroup.walk() or {}
  return paths[id] or path
end

---A cgroup was made, or found.
---@param id integer
---@param path string
function watch.made(id, path)
  local identity, is_new = store.add(id, whole_path(id, path))
  if is_new then
    discover(identity)
    local fact = store.facts(identity)
    fact.announced = true
    -- its program may not have been started, or be a shell that starts another one
    if fact.kind == "container" and not pending[identity] and not fact.old then
      later(identity)
    end
  end
  store.announce(id)
end

---A cgroup was removed. One whose making was missed has a name all the same.
---@param id integer
---@param path string
function watch.removed(id, path)
  if not store.by_cgroup[id] then
    watch.made(id, path)
  end
  local identity = store.remove(id)
  if identity then
    names.look_up(identity) -- the last chance, if it has no name
    netns.release(identity)
    pending[identity] = nil
    store.changed(identity) -- its namespace is nobody's now
  end
  store.forget(watch.gone)
end

-- Containers before what may be in them.
local function shortest_first(paths)
  local ids = {}
  for id in pairs(paths) do
    ids[#ids + 1] = id
  end
  table.sort(ids, function(a, b)
    return #paths[a] < #paths[b] or #paths[a] == #paths[b] and a < b
  end)
  return ids
end

---Reads the tree, and makes what is known agree with it.
---@param budget_ns? integer after this the names of the rest are looked for later
function watch.scan(budget_ns)
  local until_ns = bpf.now() + (budget_ns or BUDGET_NS)
  local paths = cgroup.walk() or {}
  scanned_ns, wants_scan = bpf.now(), false
  local found = shortest_first(paths)
  for _, id in ipairs(found) do
    local identity, is_new = store.add(id, paths[id])
    if is_new then
      pending[identity] = { step = 0, due_ns = 0 }
      store.facts(identity).old = true
    end
  end
  for _, id in ipairs(store.missing(paths)) do
    watch.removed(id, "")
  end
  watch.work(until_ns)
  for _, id in ipairs(found) do
    store.announce(id)
  end
end

-- Those whose time has come; looking at one may change the table.
local function due()
  local list, now = {}, bpf.now()
  for identity, todo in pairs(pending) do
    if todo.due_ns <= now then
      list[#list + 1] = identity
    end
  end
  return list
end

local function look_again(identity)
  local todo, fact = pending[identity], store.facts(identity)
  if not todo or not fact then
    pending[identity] = nil
  elseif fact.kind ~= "container" then
    pending[identity] = nil
    discover(identity)
  elseif (look(identity) or fact.named and todo.step >= OLD_LOOKS) and fact.old then
    pending[identity] = nil
  else
    later(identity)
  end
  if fact then
    fact.announced = true
  end
end

---Does what is due until the time is over; the rest comes later.
---@param until_ns integer
function watch.work(until_ns)
  for _, identity in ipairs(due()) do
    if bpf.now() >= until_ns then
      break
    end
    look_again(identity)
  end
  local next_ns
  for _, todo in pairs(pending) do
    next_ns = math.min(next_ns or todo.due_ns, todo.due_ns)
  end
  if next_ns then
    schedule(math.max(next_ns, bpf.now() + REST_NS))
  end
end

function tick()
  running.timer = nil
  if wants_scan and bpf.now() - scanned_ns >= RESCAN_NS then
    watch.scan()
    v1.look(watch)
  end
  watch.work(bpf.now() + BUDGET_NS)
end

local function sweep()
  store.forget(watch.gone)
  netns.expire()
  v1.look(watch)
  local dropped = watch.lost()
  if dropped > lost or not running.probe then
    lost = dropped
    watch.scan()
  end
end

---An id that is not known was asked for: the tree is read again, soon.
function watch.want_scan()
  if not wants_scan then
    wants_scan = true
    schedule(math.max(bpf.now(), scanned_ns + RESCAN_NS))
  end
end

---Where containers have no cgroup v2, a network namespace that is neither the host's nor a known pod's may be a
---new one's, which is looked for soon. Elsewhere it is one that somebody on the host has made.
---@param inode integer
---@return bpfnet.pod.Identity? nobody
function watch.nobody(inode)
  if not v1.is_in_use() or netns.is_host(inode) then
    return nil
  end
  watch.want_scan()
  return store.by_cgroup[-inode] or store.unknown(-inode)
end

---Looks at a container at once that was to be looked at later.
---@param identity bpfnet.pod.Identity
function watch.hurry(identity)
  local todo = pending[identity]
  if todo and todo.due_ns == 0 then
    pending[identity] = nil
    if not look(identity) then
      later(identity)
    end
    store.changed(identity)
  end
end

local function on_event(ev)
  if ev.op == "made" then
    watch.made(ev.cgroup, ev.path)
  else
    watch.removed(ev.cgroup, ev.path)
  end
end

local function attach()
  local attached, message = bpf.try_attach("cgroups", on_event)
  if not attached then
    bpf.log("warn", "pods: new containers are noticed only every %d seconds: %s", SWEEP, message)
    return nil
  end
  return attached:background()
end

---Begins.
---@param roots string[]? where the runtimes' files are looked for
function watch.start(roots)
  files.set_roots(roots or files.default_roots())
  oci.reset()
  cni.reset()
  store.reset()
  names.reset()
  netns.reset(proc.host_netns())
  pending, lost, told, scanned_ns = {}, 0, false, 0
  mount = cgroup.mount()
  if mount and not cgroup.is_whole(mount) then
    bpf.log("warn", "pods: %s shows a part of the cgroups only: containers that are there already have no name "
      .. "(hint: mount the host's /sys/fs/cgroup)", mount)
  end
  running.probe = attach()
  v1.reset()
  watch.scan(START_BUDGET_NS)
  v1.look(watch)
  running.sweeper = bpf.every(SWEEP, sweep):background()
end

---Ends; what users hold of it stays as it was.
function watch.stop()
  for _, name in ipairs({ "probe", "sweeper", "timer" }) do
    if running[name] then
      running[name]:close()
    end
  end
  running = {}
  netns.reset()
  store.reset()
end

---@return integer dropped events of the probe that were lost, each of which the tree made good
function watch.lost()
  return running.probe and running.probe:stats().dropped or 0
end

return watch
