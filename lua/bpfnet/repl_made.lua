-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What a session has made in the engine: what is held there after a line and was not before it. The engine
-- keeps what is attached or waits in Lua's registry, so a look at that finds it however it was made.

local things = require("bpfnet.pretty_things")

-- As they are now: a line may put something else there, and the session has to be closed all the same.
local next, pairs, pcall, setmetatable, type = next, pairs, pcall, setmetatable, type

local made = {}

local HELD = { Probe = true, Timer = true, Redirect = true, Request = true }

---Calls f with each object of the engine's that is attached, or waits for its time.
---@param f fun(object: userdata, class: string)
function made.each(f)
  for _, value in next, debug.getregistry() do
    local class = type(value) == "userdata" and things.class(value)
    if HELD[class] then
      f(value, class)
    end
  end
end

---@class bpfnet.repl.Made
---@field own table<userdata, string> the session's objects and their classes
---@field on_new? fun(object: userdata, class: string) is told of each
local Made = {}
Made.__index = Made

---@return bpfnet.repl.Made
function made.new()
  return setmetatable({ own = setmetatable({}, { __mode = "k" }) }, Made)
end

---Calls f, and notes what it has made; returns what f returns.
---@param f fun(): any
---@return any
function Made:during(f)
  local before = {}
  made.each(function(object) before[object] = true end)
  local result = f()
  made.each(function(object, class)
    if not before[object] and not self.own[object] then
      self.own[object] = class
      if self.on_new then
        self.on_new(object, class)
      end
    end
  end)
  return result
end

---Closes them all.
function Made:close()
  for object in pairs(self.own) do
    pcall(function() object:close() end)
  end
  self.own = setmetatable({}, { __mode = "k" })
end

return made
