-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The prompt of `bpfnet repl`: what a line that was entered does. The terminal, and when the loop runs, are
-- the engine's (engine/cmd_repl.c); it calls
--
--   local session = require("bpfnet.repl").new({ width = 80, out = io.write })
--   session:line("1 + 1") -- writes 2
--   session:close()
--
-- Parts: repl_env.lua, which names a line sees; repl_error.lua, how an error is told; repl_made.lua, what the
-- session has attached; repl_probe.lua, p:last() and p:watch(); complete.lua; help.lua; pretty.lua.

local complete = require("bpfnet.complete")
local env = require("bpfnet.repl_env")
local errors = require("bpfnet.repl_error")
local guard = require("bpfnet.repl_guard")
local made = require("bpfnet.repl_made")
local pretty = require("bpfnet.pretty")
local nothing = require("bpfnet.short_nil")
local probes = require("bpfnet.repl_probe")
local texts = require("bpfnet.pretty_text")

-- As they are now: a line may put something else there, and the session has to be closed all the same.
local error, load, pcall, rawset, setmetatable = error, load, pcall, rawset, setmetatable
local tostring, xpcall = tostring, xpcall

local repl = {}

local CHUNK = "=prompt"
local MAX_CHUNK = 1 << 20 -- bytes of an unfinished chunk

---@class bpfnet.repl.Opts
---@field tty? boolean a person sits there
---@field colour? boolean
---@field width? integer columns, default 80
---@field out fun(text: string): any where what the session says goes; false: nobody is there any more
---@field above? fun(lines: string[]?) where p:watch() has its table, default bpfnet.terminal's, else `out`
---@field contain? fun(f: function, ...): boolean, any like pcall; also ends what the time limit has stopped
---@field attached? boolean the prompt is in a script that runs: what is made at the prompt stays out of its globals

---@class bpfnet.repl.Session
---@field opts bpfnet.repl.Opts
---@field paint fun(kind: string, text: string): string
---@field env table what chunks see as their globals
---@field names bpfnet.repl.Names
---@field made bpfnet.repl.Made
---@field probes bpfnet.repl.Probes
---@field private pending? string the chunk so far
local Session = {}
Session.__index = Session

local lends

-- What child processes write to the terminal is not seen here: the line that is typed is taken away before, and drawn
-- behind it.
local function lend_terminal()
  local ok, terminal = pcall(require, "bpfnet.terminal")
  if not ok or lends then
    return
  end
  lends = true
  for _, place in ipairs({ { os, "execute" }, { io, "popen" } }) do
    local original = place[1][place[2]]
    place[1][place[2]] = function(...)
      terminal.lend()
      return original(...)
    end
  end
end

---Begins a session.
---@param opts bpfnet.repl.Opts
---@return bpfnet.repl.Session
function repl.new(opts)
  local self = setmetatable({ opts = opts, paint = texts.painter(opts.colour) }, Session)
  self.names = env.new(self)
  self.env = self.names.env
  self.made = made.new()
  self.probes = probes.new(self)
  if opts.tty and not opts.attached then
    lend_terminal()
  end
  self.guard = opts.attached and guard.new(self) or nil
  self.made.on_new = function(object, class)
    if class == "Probe" then
      self.probes:keep(object)
    end
  end
  return self
end

---Returns the columns there are now.
---@return integer
function Session:width()
  if self.opts.tty then
    local ok, terminal = pcall(require, "bpfnet.terminal")
    local columns = ok and terminal.size()
    if columns and columns > 0 then
      return columns
    end
  end
  return self.opts.width or 80
end

---Writes a text and the end of its line.
---@param text string
---@return boolean? there false: nobody is there to read it
function Session:say(text)
  return self.opts.out(text .. "\n")
end

---Tells of an error that did not happen in a line of the user's.
---@param e any what was thrown
---@param what string
function Session:fail(e, what)
  local text = errors.text(errors.syntax(errors.message(e), ""), self, "\n")
  local ok, there = false, false
  if not self.closed then
    ok, there = pcall(self.say, self, text .. "\n" .. self.paint("hint", "hint: " .. what))
  end
  if not ok or there == false then -- of a handler that outlives the session, or who sits there
    bpf.log("error", "%s (%s)", text, what)
  end
end

---Returns a value for the eye.
---@param value any
---@return string
function Session:show(value)
  return pretty.text(value, { width = self:width(), colour = self.opts.colour })
end

local function is_unfinished(message)
  return message:find("<eof>", 1, true) == #message - 4
end

-- A function, or nil and the message of the compiler. An expression is one whose value is wanted; it may be
-- unfinished while it is no statement: "1 +".
local function compile(text, names)
  local f, wrong = load("return " .. text, CHUNK, "t", names)
  if f then
    return f
  end
  local g, message = load(text, CHUNK, "t", names)
  return g, is_unfinished(wrong) and wrong or message
end

-- "help", "?", "?tcpclose": what is asked for, "" for all; nil for a line of Lua.
local function asked(text)
  local about = text:match("^%s*%?%s*(.-)%s*$") or text:match("^%s*help%s*$") and ""
    or text:match("^%s*help%s+([%w_.:]+)%s*$")
  return about
end

local function show_values(self, text, values)
  if values.n == 0 then
    return
  end
  for i = 1, values.n do
    local line = self:show(values[i])
    local name = values[i] == nil and text:match("^%s*([%a_][%w_]*)%s*$")
    if name and not self.names:has(name) and texts.is_name(name) then
      line = line .. self.paint("hint", "  " .. self.names:unknown(name))
    end
    self:say(line)
  end
  rawset(self.env, "_", values[values.n])
end

local function run(self, text, f)
  local failed
  local function call()
    return table.pack(xpcall(f, function(e)
      failed = errors.new(e, f)
      return e
    end))
  end
  local values = self.probes:during(function()
    return self.made:during(self.guard and function() return self.guard:during(call) end or call)
  end)
  if not values[1] and not failed then -- no message handler is called for want of memory
    failed = errors.syntax(errors.message(values[2]), text)
  end
  if failed and failed.interrupted then
    error("interrupted", 0)
  elseif failed then
    self:say(errors.text(failed, self, text))
  else
    show_values(self, text, table.move(values, 2, values.n, 1, { n = values.n - 1 }))
  end
end

local function enter(self, text)
  local chunk = self.pending and self.pending .. "\n" .. text or text
  if not self.pending and not text:find("%S") then
    return "done"
  end
  local about = not self.pending and asked(text)
  if about then
    self.env.help(about ~= "" and about or nil)
    return "done"
  end
  local f, message = compile(chunk, self.env)
  if not f and is_unfinished(message) and #chunk < MAX_CHUNK then
    self.pending = chunk
    return "more"
  end
  self.pending = nil
  self.names:note_locals(chunk)
  self.names:forget_locals()
  nothing.begin(chunk)
  if f then
    run(self, chunk, f)
  else
    self:say(errors.text(errors.syntax(message, chunk), self, chunk))
  end
  return "done"
end

---A line that was entered: runs it, if with those before it is a whole chunk, and shows the values of an
---expression, or what went wrong. Raises nothing but "interrupted".
---@param text string
---@return "done"|"more" state more: the chunk goes on with the next line
function Session:line(text)
  local ok, state = pcall(enter, self, text)
  if ok then
    return state
  elseif errors.is_interrupt(state) then
    self.pending = nil
    error("interrupted", 0)
  end
  self.pending = nil
  pcall(self.say, self, self.paint("error", "error: ") .. texts.harmless(tostring(state)))
  return "done"
end

---Forgets an unfinished chunk.
function Session:reset()
  self.pending = nil
end

---What the word before the cursor may become. Runs no code of the user's, raises nothing.
---@param text string
---@param cursor integer 0 to #text
---@return integer from where the word begins, in bytes from 1
---@return string[] list what may stand for text[from..cursor], sorted, at most 200
function Session:complete(text, cursor)
  self.names:forget_locals()
  return complete.line(self.names, text, cursor, self.pending)
end

---@return string
function Session:banner()
  return ("bpfnet %s. help() says what there is, Tab completes, Ctrl-D ends.\n"):format(bpf.version)
end

---@param more boolean the chunk goes on
---@return string
function Session:prompt(more)
  return more and "   > " or "bpf> "
end

---Ends the session: what it attached is detached. What it changed of others' stays as it is.
function Session:close()
  self.pending = nil
  self.names:close()
  self.probes:close()
  if self.guard then
    self.guard:close()
  end
  self.made:close()
end

return repl
