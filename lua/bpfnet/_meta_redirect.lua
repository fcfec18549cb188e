-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet_redirect
-- luacheck: ignore
-- Annotations of bpf.redirect, which belongs to _meta.lua.

---@class bpf
local bpf = {}

---Limits; what is not named is as usual.
---@class bpf.RedirectPolicy
---@field turns? integer turns that are watched before a connection is taken, default 16
---@field turn_bytes? integer both ways; a turn with more does not count
---@field stream_bytes? integer sent without an answer: it is a stream and let go
---@field stream_msgs? integer
---@field queue_bytes? integer that may wait in a socket's queue; more goes by TCP
---@field queue_msgs? integer
---@field streams? boolean streams are not let go
---@field blocking? boolean blocking sockets are taken too

---One of cgroup and pods has to be there.
---@class bpf.RedirectOpts
---@field cgroup? string|string[] both ends are in one of these; "/" is all of this host
---@field pods? string|string[] pods that are here now, by name or uid
---@field ports? integer|string|(integer|string)[] of either end: 8080, "9000-9100"
---@field pids? integer|integer[] both ends are sockets of these processes
---@field exclude? { ports: integer|string|(integer|string)[]|nil, pids: integer|integer[]|nil }
---@field policy? "turns"|"all"|bpf.RedirectPolicy
---@field on_event? fun(ev: bpf.RedirectEvent)
---@field any_kernel? boolean also one that is known to be bad

---What an end has sent while it was taken.
---@class bpf.RedirectSent
---@field tx_redirected_bytes? integer past TCP
---@field tx_redirected_msgs? integer
---@field tx_passed_bytes? integer by TCP
---@field tx_passed_msgs? integer

---@class bpf.RedirectEvent: bpf.RedirectSent
---@field event "taken"|"refused"|"let go"|"closed"
---@field why string "" or the reason: see lua/redirect.md
---@field ts_ns integer
---@field cookie integer
---@field peer integer cookie of the other end
---@field saddr string
---@field sport integer
---@field daddr string
---@field dport integer
---@field netns integer

---@class bpf.RedirectConnection: bpf.RedirectSent
---@field way "redirect"|"tcp"
---@field why string
---@field cookie integer
---@field peer integer
---@field saddr string
---@field sport integer
---@field daddr string
---@field dport integer
---@field netns integer

---@class bpf.RedirectStats
---@field taken integer connections, each as often as it happened
---@field refused integer
---@field let_go integer
---@field live integer now
---@field leaving integer now
---@field lost_notices integer events that found no room
---@field redirected_bytes integer by all ends, while they were taken
---@field redirected_msgs integer
---@field passed_bytes integer
---@field passed_msgs integer

---Local TCP past the TCP/IP stack: see lua/redirect.md.
---@class bpf.Redirect
local Redirect = {}

---@return bpf.RedirectStats
function Redirect:stats() end

---@return bpf.RedirectConnection[] each end that was taken, and one end of each that was refused
function Redirect:connections() end

---Lets all connections go, and waits for that.
---@param seconds? number at most; default 2
---@return integer left connections that could not be let go yet
function Redirect:stop(seconds) end

---Stops without waiting. May be called twice.
function Redirect:close() end

---Raises for bad options, a missing capability, a kernel that is known to be bad.
---@param opts bpf.RedirectOpts
---@return bpf.Redirect
function bpf.redirect(opts) end
