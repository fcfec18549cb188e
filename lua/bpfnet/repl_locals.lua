-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The locals of a script, for a prompt beside it: those of its functions that have not returned, as the main chunk
-- that waits in bpf.run(), and those that its handlers and timers have kept. Functions come and go, so what
-- is found is good for a while. Reading one runs no code.

local repl_locals = {}

local MAX_DEPTH = 6 -- functions in functions
local MAX_FUNCTIONS = 500
local MAX_LEVELS = 1000 -- of a deeper stack nothing is seen: each look at a level goes through those above it
local MAIN_THREAD = 1 -- in the registry, LUA_RIDX_MAINTHREAD
local here = debug.getinfo(1, "S").source:match("^(.*/)")

---@class bpfnet.repl.Local
---@field get fun(): any
---@field set fun(value: any)

-- Whether code is neither the engine's nor an entry at the prompt.
local function is_script(source)
  return source ~= "=prompt" and source ~= "=[C]" and not (here and source:sub(1, #here) == here)
end

-- Frames are counted from the outermost, 1, since levels change with each call on the thread that runs. In each of
-- these functions getinfo and getlocal are called by itself, so that both mean the same by a level.

-- Reads a local, or puts a value into it; nothing if another function is there by now.
local function access(local_, write, value)
  local levels = 0
  while debug.getinfo(local_.thread, levels, "l") do
    levels = levels + 1
  end
  local level = levels - local_.frame
  local info = level >= 0 and debug.getinfo(local_.thread, level, "f")
  if not info or info.func ~= local_.func then
    return nil
  elseif write then
    debug.setlocal(local_.thread, level, local_.i, value)
  end
  return (select(2, debug.getlocal(local_.thread, level, local_.i)))
end

local function stack_local(local_)
  return {
    get = function() return (access(local_)) end,
    set = function(value) access(local_, true, value) end,
  }
end

-- Of what runs on a thread, outermost first: what is declared later, or further inside, hides what was before.
local function add_stack(found, thread)
  local levels = 0
  while levels < MAX_LEVELS and debug.getinfo(thread, levels, "l") do
    levels = levels + 1
  end
  if levels == MAX_LEVELS then
    return
  end
  for level = levels - 1, 0, -1 do
    local info, i = debug.getinfo(thread, level, "Sf"), 1
    local name = debug.getlocal(thread, level, i)
    while name and info.what ~= "C" and is_script(info.source) do
      if name:find("^[%a_]") and name ~= "_ENV" then
        found[name] = stack_local({ thread = thread, frame = levels - level, i = i, func = info.func })
      end
      i = i + 1
      name = debug.getlocal(thread, level, i)
    end
  end
end

local function upvalue(f, i)
  return {
    get = function() return (select(2, debug.getupvalue(f, i))) end,
    set = function(value) debug.setupvalue(f, i, value) end,
  }
end

local function add_upvalues(found, f, depth, seen)
  if seen[f] or depth > MAX_DEPTH or seen.n > MAX_FUNCTIONS or not is_script(debug.getinfo(f, "S").source) then
    return
  end
  seen[f], seen.n = true, seen.n + 1
  for i = 1, 255 do
    local name, value = debug.getupvalue(f, i)
    if not name then
      break
    elseif name:find("^[%a_]") and name ~= "_ENV" and not found[name] then
      found[name] = upvalue(f, i)
    end
    if type(value) == "function" then
      add_upvalues(found, value, depth + 1, seen)
    end
  end
end

---Returns the locals there are now, by name. Their get() and set() are about what they are then, nil and nothing
---where the function has returned.
---@param of_running boolean also those of functions that have not returned
---@return table<string, bpfnet.repl.Local>
function repl_locals.all(of_running)
  local found, registry = {}, debug.getregistry()
  local main = registry[MAIN_THREAD]
  local running = coroutine.running()
  if of_running then
    add_stack(found, main)
  end
  if of_running and running ~= main then
    add_stack(found, running)
  end
  local seen = { n = 0 }
  for _, value in next, registry do
    if type(value) == "function" then
      add_upvalues(found, value, 1, seen)
    end
  end
  return found
end

return repl_locals
