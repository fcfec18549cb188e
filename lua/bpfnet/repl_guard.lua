-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- In a script that runs, an error in a handler ends the script. One that was given at a prompt must not: while a
-- line of such a session runs, the functions that take handlers put a guard around each. The first error is told
-- to the session, and from then on the handler is not called.

local repl_guard = {}

local METHODS = { "on_event", "tap", "untap" }
local FUNCTIONS = { "attach", "try_attach", "load", "every", "after" }

-- A function with the parameters of f, whose names say what a handler gets, around it.
local function around(f, call)
  local info, names = debug.getinfo(f, "Su"), {}
  for i = 1, info.what == "C" and 0 or info.nparams do
    names[i] = debug.getlocal(f, i)
  end
  if info.isvararg then
    names[#names + 1] = "..."
  end
  local list = table.concat(names, ", ")
  local source = ("local call = ... return function(%s) return call(%s) end"):format(list, list)
  return assert(load(source, "=guard", "t", {}))(call)
end

---@class bpfnet.repl.Guard
---@field private session bpfnet.repl.Session
---@field private made table<function, function> guards by what they are around
---@field private taps { [1]: bpf.Probe, [2]: function }[]
local Guard = {}
Guard.__index = Guard

---@param session bpfnet.repl.Session
---@return bpfnet.repl.Guard
function repl_guard.new(session)
  return setmetatable({ session = session, made = setmetatable({}, { __mode = "k" }), taps = {} }, Guard)
end

-- A value as it is, a function with a guard around it.
function Guard:_wrap(f)
  if type(f) ~= "function" or self.made[f] then
    return self.made[f] or f
  end
  local dead, session = false, self.session
  self.made[f] = around(f, function(...)
    if dead then
      return
    end
    local ok, message = pcall(f, ...)
    if not ok then
      dead = true
      session:fail(message, "a handler failed, and is not called again")
    end
  end)
  return self.made[f]
end

function Guard:_around_all(original, name)
  return function(...)
    local args = table.pack(...)
    for i = 1, args.n do
      args[i] = self:_wrap(args[i])
    end
    if name == "tap" then
      self.taps[#self.taps + 1] = { args[1], args[2] }
    end
    return original(table.unpack(args, 1, args.n))
  end
end

---Calls f while handlers that are given get a guard; returns what f returns.
---@generic T
---@param f fun(): T
---@return T
function Guard:during(f)
  local places = { { bpf, FUNCTIONS }, { debug.getregistry()["bpf.Probe"].methods, METHODS } }
  local before = {}
  local restore <close> = setmetatable({}, { __close = function()
    for _, undo in ipairs(before) do
      undo[1][undo[2]] = undo[3]
    end
  end })
  for _, place in ipairs(places) do
    for _, name in ipairs(place[2]) do
      before[#before + 1] = { place[1], name, place[1][name] }
      place[1][name] = self:_around_all(place[1][name], name)
    end
  end
  return f(restore)
end

---Takes the session's taps off the probes that it does not own.
function Guard:close()
  for _, tap in ipairs(self.taps) do
    pcall(function() tap[1]:untap(tap[2]) end)
  end
  self.taps = {}
end

return repl_guard
