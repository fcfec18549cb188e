-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- In a script that runs, an error in a handler ends the script. One that was given at a prompt must not: what a line
-- of such a session gives to the functions that take handlers, and what those handlers give to them later, gets a guard
-- around it. With the first error - a time limit or lack of memory, too - the session is told, the handler is taken
-- away, and the one that it had replaced has its place again.

-- As they are now: a line may put something else there, and the session has to be closed all the same.
local ipairs, next, pairs, pcall, setmetatable, type = ipairs, next, pairs, pcall, setmetatable, type

local repl_guard = {}

-- What takes handlers, and how what it was called for is undone: by its arguments and its first result. False: not
-- needed, for a handler that has failed does nothing any more.
local FUNCTIONS = {
  attach = function(originals, _, probe) originals.on_event(probe, nil) end,
  every = function(_, _, timer) timer:close() end,
  after = false,
  http = false,
  redirect = false,
}
FUNCTIONS.try_attach, FUNCTIONS.load = FUNCTIONS.attach, FUNCTIONS.attach
local METHODS = {
  on_event = function(originals, args)
    local probe, guard = args[1], args[2]
    if probe:_handler() == guard then
      originals.on_event(probe, args.before)
    end
  end,
  tap = function(originals, args) originals.untap(args[1], args[2]) end,
  untap = false,
}

local originals -- by name, once they have been replaced
local current -- the guard whose code runs

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

local function replace(place, undos)
  for name, undo in pairs(undos) do
    local original = place[name]
    originals[name] = original
    place[name] = function(...)
      if current then
        return current:_give(original, name, undo, ...)
      end
      return original(...)
    end
  end
end

---@class bpfnet.repl.Guard
---@field private session bpfnet.repl.Session
---@field private made table<function, function> guards by what they are around
---@field private undo table<function, function[]> what takes a guard away where it was given
---@field private taps { [1]: bpf.Probe, [2]: function }[]
local Guard = {}
Guard.__index = Guard

---@param session bpfnet.repl.Session
---@return bpfnet.repl.Guard
function repl_guard.new(session)
  if not originals then
    originals = {}
    replace(bpf, FUNCTIONS)
    replace(debug.getregistry()["bpf.Probe"].methods, METHODS)
  end
  return setmetatable({ session = session, contain = session.opts.contain or pcall, taps = {},
    made = setmetatable({}, { __mode = "k" }), undo = setmetatable({}, { __mode = "k" }) }, Guard)
end

-- Takes a guard away wherever it was given.
function Guard:_take(f, guard)
  self.made[f] = nil
  for _, undo in ipairs(self.undo[guard] or {}) do
    pcall(undo)
  end
  self.undo[guard] = nil
end

-- Options, with guards around the functions in them.
function Guard:_wrap_all(options)
  local copy
  for name, value in next, options do
    if type(value) == "function" then
      copy = copy or {}
      copy[name] = self:_wrap(value)
    end
  end
  for name, value in next, copy and options or {} do
    if copy[name] == nil then
      copy[name] = value
    end
  end
  return copy or options
end

-- A value as it is, a function with a guard around it.
function Guard:_wrap(f)
  if type(f) == "table" then
    return self:_wrap_all(f)
  elseif type(f) ~= "function" or self.made[f] then
    return self.made[f] or f
  end
  local dead, guard = false, nil
  guard = around(f, function(...)
    if dead then
      return
    end
    local outer = current
    current = self
    local ok, message = self.contain(f, ...)
    current = outer
    if not ok then
      dead = true
      self:_take(f, guard)
      self.session:fail(message, "a handler failed, and is not called again")
    end
  end)
  self.made[f] = guard
  return guard
end

-- Calls what takes handlers with guards around them, and notes how to take them away.
function Guard:_give(original, name, undo, ...)
  local args, guards = table.pack(...), {}
  for i = 1, args.n do
    args[i] = self:_wrap(args[i])
    for _, value in next, type(args[i]) == "table" and args[i] or { args[i] } do
      guards[#guards + 1] = type(value) == "function" and value or nil
    end
  end
  if name == "on_event" then
    args.before = args[1]:_handler()
  elseif name == "tap" then
    self.taps[#self.taps + 1] = { args[1], args[2] }
  end
  local results = table.pack(original(table.unpack(args, 1, args.n)))
  for _, guard in ipairs(undo and guards or {}) do
    local undos = self.undo[guard] or {}
    undos[#undos + 1] = function() undo(originals, args, results[1]) end
    self.undo[guard] = undos
  end
  return table.unpack(results, 1, results.n)
end

---Calls f while handlers that are given get a guard; returns what f returns.
---@generic T
---@param f fun(): T
---@return T
function Guard:during(f)
  local outer <close> = setmetatable({ current }, { __close = function(t) current = t[1] end })
  current = self
  return f(outer)
end

---Takes the session's taps off the probes that it does not own.
function Guard:close()
  for _, tap in ipairs(self.taps) do
    pcall(originals.untap, tap[1], tap[2])
  end
  self.taps = {}
end

return repl_guard
