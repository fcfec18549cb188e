-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- From network namespaces to pods, for what has no cgroup of a container: packets, and nodes where
-- containers are in cgroup v1 alone.
--
-- Inode numbers of namespaces are used again soon after one is gone. So each is held open while a container
-- of the pod lives, which keeps its number taken. Cookies are never used again: which one belongs to a
-- namespace that is held is learnt from events, and good for events that come late.

local netns = {}

local KEPT_NS = 60000000000

local by_inode -- inode -> entry { identity =, held =, inode =, users = { [identity] = true },
-- cookie =, dead_ns = }
local by_cookie -- cookie -> entry
local of_user -- identity -> entry
local host

---@param host_inode integer? the namespace that is nobody's pod
function netns.reset(host_inode)
  for _, entry in pairs(by_inode or {}) do
    entry.held:close()
  end
  by_inode, by_cookie, of_user, host = {}, {}, {}, host_inode
end

---A container is in a namespace.
---@param user bpfnet.pod.Identity the container
---@param identity bpfnet.pod.Identity what the namespace is to be called: the pod, or the container itself
---@param held bpfnet.files.Held
---@param inode integer
function netns.put(user, identity, held, inode)
  local entry = by_inode[inode]
  if inode == host or of_user[user] then
    held:close()
    return
  elseif not entry then
    entry = { identity = identity, held = held, inode = inode, users = {} }
    by_inode[inode] = entry
  else
    held:close()
    if entry.identity ~= identity then
      entry.identity = nil -- containers without a pod that share it: which one is it?
    end
  end
  entry.users[user] = true
  of_user[user] = entry
end

---A container is gone; with the last one its namespace is let go of.
---@param user bpfnet.pod.Identity
function netns.release(user)
  local entry = of_user[user]
  if not entry then
    return
  end
  of_user[user], entry.users[user] = nil, nil
  if not next(entry.users) then
    entry.held:close()
    entry.dead_ns = bpf.now()
    by_inode[entry.inode] = nil
  end
end

---Forgets the cookies of namespaces that were let go of a minute ago: late events are over.
function netns.expire()
  local before = bpf.now() - KEPT_NS
  for cookie, entry in pairs(by_cookie) do
    if entry.dead_ns and entry.dead_ns < before then
      by_cookie[cookie] = nil
    end
  end
end

---@param inode integer?
---@param cookie integer? 0: not known
---@return bpfnet.pod.Identity?
function netns.of(inode, cookie)
  if not by_inode then
    return nil -- nobody has begun to look
  end
  local entry = cookie and by_cookie[cookie] or by_inode[inode or 0]
  if entry and cookie and cookie ~= 0 and not by_cookie[cookie] then
    if entry.cookie then
      return nil -- the number is the same, and it is another namespace
    end
    entry.cookie = cookie
    by_cookie[cookie] = entry
  end
  return entry and entry.identity
end

---@param user bpfnet.pod.Identity a container
---@return integer? inode of the namespace that it is in, while it lives
function netns.inode_of(user)
  local entry = of_user[user]
  return entry and entry.inode
end

---@param inode integer
---@return boolean
function netns.is_host(inode)
  return inode == host or inode == 0
end

---@return integer how many namespaces are held
function netns.count()
  local n = 0
  for _ in pairs(by_inode) do
    n = n + 1
  end
  return n
end

return netns
