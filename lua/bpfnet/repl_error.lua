-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- How an error is told at the prompt: what, where, a hint, and how it came there if that is not plain.

local nearest = require("bpfnet.nearest")
local texts = require("bpfnet.pretty_text")

local errors = {}

local MAX_FRAMES, MAX_LEVELS = 20, 500 -- each look at a level goes through those above it
local here = debug.getinfo(1, "S").source:match("^(.*/)") -- where the engine's own modules are

---@class bpfnet.repl.Error
---@field message string
---@field interrupted boolean
---@field frames string[] between the chunk and the error, innermost first
---@field line? integer of the chunk

---Returns whether an error is the user's Ctrl-C.
---@param e any
---@return boolean
function errors.is_interrupt(e)
  return type(e) == "string" and e:find("%f[%w]interrupted$") ~= nil
end

---Returns what was thrown as text. An error that came through bpf.run() has its traceback in the text.
---@param e any
---@return string
function errors.message(e)
  if type(e) == "string" then
    return (e:gsub("\nstack traceback:.*", ""))
  end
  local meta = debug.getmetatable(e)
  if type(meta) == "table" and rawget(meta, "__tostring") then
    local ok, text = pcall(tostring, e)
    if ok and type(text) == "string" then
      return text
    end
  end
  return "(the error is a value) " .. (require("bpfnet.pretty").inline(e, 200) or texts.plain(e))
end

local function is_own(info)
  return info.what == "C" or here and info.source:sub(1, #here) == here
end

local function frame_text(info)
  local name = info.name and ("in %s '%s'"):format(info.namewhat ~= "" and info.namewhat or "function", info.name)
  return ("%s:%d %s"):format(info.short_src, info.currentline, name
    or info.what == "main" and "in the main chunk" or ("in the function of line %d"):format(info.linedefined))
end

---Notes an error where it happens: to be called by the message handler.
---@param e any what was thrown
---@param f function the chunk
---@return bpfnet.repl.Error
function errors.new(e, f)
  local failed = { interrupted = errors.is_interrupt(e), frames = {} }
  if failed.interrupted then
    return failed
  end
  failed.message = errors.message(e)
  for level = 2, MAX_LEVELS do
    local info = debug.getinfo(level, "Slnf")
    if not info or info.func == xpcall then -- a chunk that is left by a tail call has no frame
      break
    elseif info.func == f then
      failed.line = info.currentline
    elseif not is_own(info) and #failed.frames < MAX_FRAMES then
      failed.frames[#failed.frames + 1] = frame_text(info)
    end
  end
  failed.line = failed.line or tonumber(failed.message:match("^prompt:(%d+):"))
  return failed
end

---Makes an error of what the compiler says.
---@param message string
---@param chunk string
---@return bpfnet.repl.Error
function errors.syntax(message, chunk)
  return { message = message, interrupted = false, frames = {}, line = tonumber(message:match("^prompt:(%d+):")) }
end

-- The value that stands before ".NAME" or ":NAME" in a line of the chunk.
local function owner_of(session, chunk, at, name)
  local n = 0
  for line in (chunk .. "\n"):gmatch("(.-)\n") do
    n = n + 1
    if n == at then
      local path = line:match("([%a_][%w_.]*)%s*[.:]%s*" .. name .. "%f[^%w_]")
      return path and session.names:resolve(path), path
    end
  end
end

local function did_you_mean(name, known)
  local near = nearest(name, known)
  return near and ("did you mean \"%s\"?"):format(near) or nil
end

local HINTS = {
  { "%(global '([%w_]+)'%)", function(session, _, name) return session.names:unknown(name) end },
  { "%(%a+ '([%w_]+)'%)", function(session, failed, name, chunk)
    local owner, path = owner_of(session, chunk, failed.line, name)
    local members = owner ~= nil and require("bpfnet.complete").members(owner) or {}
    return path and (did_you_mean(name, members) or ("see help(%s)"):format(path)) or nil
  end },
  { "a Probe has no \"([^\"]*)\"", function(_, _, name)
    return did_you_mean(name, require("bpfnet.complete_known").probe_members())
  end },
  { "the loop is already running", function()
    return "at the prompt events come by themselves: leave out bpf.run() and p:events()"
  end },
}

local function hint_of(failed, session, chunk)
  if failed.message:find("\nhint:", 1, true) or failed.message:find("did you mean", 1, true) then
    return nil
  end
  for _, row in ipairs(HINTS) do
    local name = failed.message:match(row[1])
    if name then
      local ok, hint = pcall(row[2], session, failed, name, chunk)
      return ok and hint or nil
    end
  end
end

-- Without the place in the chunk, which is plain if that has one line, and without places in the engine.
local function trim(message, one_line)
  message = message:gsub("^%(inside bpfnet%)[^:\n]*:%d+: ", "")
  if here and message:sub(1, #here - 1) == here:sub(2) then
    message = message:gsub("^[^:\n]*:%d+: ", "")
  end
  return one_line and message:gsub("^prompt:%d+: ", "") or message
end

---Returns an error for the eye.
---@param failed bpfnet.repl.Error
---@param session bpfnet.repl.Session
---@param chunk string
---@return string
function errors.text(failed, session, chunk)
  local one_line = not chunk:find("\n", 1, true)
  local lines = {}
  for line in (trim(failed.message, one_line) .. "\n"):gmatch("(.-)\n") do
    line = texts.harmless(line)
    lines[#lines + 1] = #lines == 0 and session.paint("error", "error: ") .. line
      or line:find("^hint:") and session.paint("hint", line) or line
  end
  local hint = hint_of(failed, session, chunk)
  if hint then
    lines[#lines + 1] = session.paint("hint", "hint: " .. hint)
  end
  for _, frame in ipairs(failed.frames) do
    lines[#lines + 1] = session.paint("dim", "  " .. texts.harmless(frame))
  end
  if #failed.frames > 0 and failed.line and not failed.frames[MAX_FRAMES] then
    lines[#lines + 1] = session.paint("dim", ("  prompt:%d"):format(failed.line))
  end
  return table.concat(lines, "\n")
end

return errors
