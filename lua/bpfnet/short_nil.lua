-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Names without quotes: tcpconnect{ comm = curl }. To Lua that is a variable that nobody set, so nil, and a filter that
-- is nil is none: everything would be shown, and nobody would know that it is not what was asked for.

local nothing = {}

local code = "" -- what is running: that of `bpfnet run -e`, or a chunk at the prompt
local missed = {} -- variables of it that were asked for since the last short form, and are nil: a list and a set

---What runs next.
---@param text string
function nothing.begin(text)
  code, missed = text, {}
end

---Takes note of a variable that nobody set. Handlers may ask for some at every event, so each is kept once, and only
---if the code has it.
---@param name any
function nothing.note(name)
  if type(name) == "string" and not missed[name] and name:find("^[%a_][%w_]*$") and code:find(name, 1, true) then
    missed[name] = true
    missed[#missed + 1] = name
  end
end

---Has the globals tell of each.
---@param env table the globals; they have no metatable yet
function nothing.watch(env)
  setmetatable(env, { __index = function(_, name) nothing.note(name) end })
end

-- One that stands alone between such characters in the code: `n = (n or 0) + 1` is no mistake.
local function found(before, behind)
  local names = missed
  missed = {}
  for _, name in ipairs(names) do
    if code:find(("[%s]%%s*%s%%s*[%s]"):format(before, name, behind)) then
      return name
    end
  end
end

---The variable that a value in braces was meant to be, nil if there is none.
---@return string?
function nothing.in_braces()
  return found("=,;{", ",;}")
end

---Likewise of an argument.
---@return string?
function nothing.as_argument()
  return found("(,", ",)")
end

return nothing
