-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Names without quotes: tcpconnect{ comm = curl }. To Lua that is a variable that nobody set, so nil, and a filter that
-- is nil is none: everything would be shown, and nobody would know that it is not what was asked for.

local nothing = {}

local code = "" -- what `bpfnet run -e` was given
local missed = {} -- variables that were asked for since the last short form, and are nil

---Takes note of variables that nobody set.
---@param env table the globals; they have no metatable yet
---@param text string the code that is going to run
function nothing.watch(env, text)
  code = text
  setmetatable(env, { __index = function(_, name)
    missed[#missed + 1] = name
  end })
end

-- One that stands alone between such characters in the code: `n = (n or 0) + 1` is no mistake.
local function found(before, behind)
  local names = missed
  missed = {}
  for _, name in ipairs(names) do
    if type(name) == "string" and code:find(("[%s]%%s*%s%%s*[%s]"):format(before, name, behind)) then
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
