-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet_tap
-- luacheck: ignore
-- Annotations of those who look on at a probe's events, which belong to _meta.lua.

---@class bpf.Probe
---@field kept integer how many events keep() has room for; 0: none are kept
local Probe = {}

---Adds a listener that gets each event before the handler does, which does not notice. An error in it is
---like one in the handler.
---@param f function gets what a handler would
---@param fields? string[] it gets these fields as arguments
---@return bpf.Probe self
function Probe:tap(f, fields) end

---Takes listeners away that tap() has added.
---@param f? function without it: all
---@return bpf.Probe self
function Probe:untap(f) end

---Keeps the last events for last(): a copy of each, and no work in Lua. What was kept before is gone.
---@param n? integer how many, default 1000; 0: none
---@return bpf.Probe self
function Probe:keep(n) end

---Returns the newest event that is kept, or a list of the newest.
---@param n? integer
---@return bpf.Event|bpf.Event[]|nil events with n: a list of n at most, oldest first; without: one, or nil
function Probe:last(n) end
