-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet_redirect
-- luacheck: ignore
-- Annotations of bpf.redirect, which belongs to _meta.lua.

---Local TCP past the TCP/IP stack: see lua/redirect.md.
---@class bpf.RedirectOpts
---@field cgroup? string|string[] both ends are in one of these; "/" is all of this host
---@field pods? string|string[] uids of Kubernetes pods, beside or instead of cgroup
---@field ports? integer|string|table of either end
---@field pids? integer|integer[]
---@field exclude? { ports: any, pids: any }
---@field policy? "turns"|"all"|table<string, integer|boolean>
---@field on_event? fun(ev: table)
---@field any_kernel? boolean

---@class bpf.Redirect
local Redirect = {}

---@return table<string, integer>
function Redirect:stats() end

---@return table[] each with saddr, sport, daddr, dport, netns, cookie, peer, way, why and what was sent
function Redirect:connections() end

---Lets all connections go, and waits for that.
---@param seconds? number at most; default 2
---@return integer left connections that could not be let go yet
function Redirect:stop(seconds) end

---Stops without waiting. May be called twice.
function Redirect:close() end

---@param opts bpf.RedirectOpts
---@return bpf.Redirect
function bpf.redirect(opts) end
