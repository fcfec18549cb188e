-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The names that a line at the prompt sees: the session's own (help, print, attached, _), the globals, the
-- locals of a script that runs (repl_locals.lua), and the short forms. In a script that runs, a new name stays
-- with the session, and so goes with it; one that the script has changes there.

local complete = require("bpfnet.complete")
local known = require("bpfnet.complete_known")
local locals = require("bpfnet.repl_locals")
local nearest = require("bpfnet.nearest")
local pretty = require("bpfnet.pretty")
local pretty_event = require("bpfnet.pretty_event")
local repl_made = require("bpfnet.repl_made")
local nothing = require("bpfnet.short_nil")
local short = require("bpfnet.short")
local texts = require("bpfnet.pretty_text")

local repl_env = {}

local LOCALS_NS = 500000000

---@class bpfnet.repl.Names
---@field env table what chunks see
---@field private session bpfnet.repl.Session
---@field private short table the short forms
---@field private own table<string, any> the session's own names
---@field private lost table<string, true> names that were locals of an earlier chunk
---@field private end_short_forms fun() ends those that the session has begun
local Names = {}
Names.__index = Names

-- What print() says of a value: an event in a line, a table as the prompt shows it, all else as ever.
local function printed(value, width)
  if pretty_event.probe_of(value) then
    return pretty_event.line(value)
  elseif type(value) == "table" and not (debug.getmetatable(value) or {}).__tostring then
    return pretty.text(value, { width = width })
  end
  return tostring(value)
end

local function make_print(session)
  local global_print = print
  return function(...)
    if session.closed then
      return global_print(...) -- a handler that outlives the session
    end
    local parts = table.pack(...)
    for i = 1, parts.n do
      parts[i] = printed(parts[i], session:width())
    end
    session:say(table.concat(parts, "\t"))
  end
end

-- All that is attached or waits, the script's as well as the session's.
local function attached()
  local list = {}
  repl_made.each(function(object) list[#list + 1] = object end)
  table.sort(list, function(a, b)
    local ta, tb = tostring(a), tostring(b)
    return ta < tb or ta == tb and ("%p"):format(a) < ("%p"):format(b)
  end)
  return list
end

local function make_help(session)
  return setmetatable({}, {
    __call = function(_, about)
      local ok, help = pcall(require, "bpfnet.help")
      session:say(ok and help.text(about, { width = session:width() }) or "help: " .. tostring(help))
    end,
    __tostring = function() return "help() says what there is" end,
  })
end

local function index(self)
  return function(_, key)
    local value = _G[key]
    if value == nil then
      local found = self:locals()[key]
      value = found and found.get()
    end
    if value == nil then
      value = self.short[key]
    end
    if value == nil then
      nothing.note(key)
    end
    return value
  end
end

local function newindex(self, session)
  return function(env, key, value)
    local found = rawget(_G, key) == nil and self:locals()[key]
    if found then
      found.set(value)
    elseif session.opts.attached and rawget(_G, key) == nil then
      rawset(env, key, value)
    else
      _G[key] = value
    end
  end
end

---@param session bpfnet.repl.Session
---@return bpfnet.repl.Names
function repl_env.new(session)
  local self = setmetatable({ session = session, short = {}, lost = {} }, Names)
  self.own = { print = make_print(session), attached = attached, help = make_help(session) }
  self.env = setmetatable({ _G = _G }, { __index = index(self), __newindex = newindex(self, session) })
  for name, value in pairs(self.own) do
    rawset(self.env, name, value)
  end
  short.install(self.short)
  self.end_short_forms = short.mark()
  return self
end

---Returns the script's locals. A handler of the session's may ask at each event, so they are looked for again
---only from time to time; and by forget_locals().
---@return table<string, bpfnet.repl.Local>
function Names:locals()
  local now_ns = bpf.now()
  if not self.found or now_ns - self.found_ns > LOCALS_NS then
    self.found, self.found_ns = locals.all(self.session.opts.attached == true), now_ns
  end
  return self.found
end

---Makes the next look a new one.
function Names:forget_locals()
  self.found = nil
end

---Returns all names there are, unsorted.
---@return string[]
function Names:list()
  local seen, list = {}, {}
  local function add(name)
    if type(name) == "string" and texts.is_name(name) and not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  for _, t in ipairs({ self.env, _G, self:locals(), self.short }) do
    for name in next, t do
      add(name)
    end
  end
  for _, name in ipairs(short.names()) do
    add(name)
  end
  return list
end

---Returns the value of a name, without running code of anybody.
---@param name string
---@return any
function Names:get(name)
  local value = rawget(self.env, name)
  if value == nil then
    value = rawget(_G, name)
  end
  if value == nil then
    local found = self:locals()[name]
    value = found and found.get()
  end
  if value == nil then
    value = rawget(self.short, name)
  end
  return value
end

---Returns whether there is such a name.
---@param name string
---@return boolean
function Names:has(name)
  return self:get(name) ~= nil or self.env[name] ~= nil
end

---Returns the value of "a.b.c", without running code of anybody.
---@param path string
---@return any value nil if there is none
function Names:resolve(path)
  local value, first = nil, true
  for name in path:gmatch("[^.]+") do
    if first then
      value, first = self:get(name), false
    else
      value = complete.member(value, name)
    end
    if value == nil then
      return nil
    end
  end
  return value
end

---Notes the locals of a chunk, to say later why they are gone.
---@param chunk string
function Names:note_locals(chunk)
  for names in chunk:gmatch("%f[%w_]local%s+([%a_][%w_%s,<>]*)") do
    for name in names:gsub("<[^>]*>", ""):gmatch("[%a_][%w_]*") do
      self.lost[name] = true
    end
  end
end

---Says of a name that there is not what that may be about.
---@param name string
---@return string
function Names:unknown(name)
  if self.lost[name] then
    return ("\"%s\" was a local, which lives for one entry: leave out `local`"):format(name)
  elseif name == "exit" or name == "quit" then
    return "Ctrl-D ends the session"
  end
  local near = #name > 3 and nearest(name, self:list())
  local member = #name > 3 and not near and nearest(name, complete.members(bpf))
  local probe = #name > 3 and not near and not member and nearest(name, known.probe_names())
  local guess = near or member and "bpf." .. member or probe and ("bpf.attach('%s')"):format(probe)
  return ("no global is called \"%s\"%s"):format(name, guess and (", did you mean \"%s\"?"):format(guess) or "")
end

---Ends it: what is printed from now on goes to standard output.
function Names:close()
  self.end_short_forms()
  self.session.closed = true
end

return repl_env
