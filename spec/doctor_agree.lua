-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What `bpfnet doctor` says, beside what really happens under the same condition.

local cjson = require "cjson"
local assert = require "luassert"
local helper = require "helper"

local agree = {}

-- Where any user can read it; there it uses the Lua files inside of it.
local dir = helper.sh("mktemp -d"):match("%S+")
agree.bpfnet = dir .. "/bpfnet"
agree.dir = dir
assert(os.execute(("chmod 755 %s && cp %s %s && chmod 755 %s"):format(dir, helper.bpfnet, agree.bpfnet, agree.bpfnet)))
-- gone with the process
agree.remover = setmetatable({}, { __gc = function() os.execute("rm -r " .. dir) end })

local NAMES = { "tcpconnect", "tcpaccept", "tcpclose", "tcprequest", "podnet", "cgroups" }

-- Attaches each for real, and says which could be.
local REAL = [[
for _, name in ipairs { "tcpconnect", "tcpaccept", "tcpclose", "tcprequest", "podnet", "cgroups" } do
  local probe, why = bpf.try_attach(name, function() end)
  local seen, of = 0, 0
  for _, point in ipairs(probe and probe.points or {}) do
    if point.wanted then
      of = of + 1
      seen = seen + (point.way and 1 or 0)
    end
  end
  print(bpf.json({ name = name, ok = probe ~= nil, seen = seen, of = of, why = why or "" }))
end
io.stdout:flush()
os.exit(0)
]]

-- A shell command under a condition: `before` is run by a shell that then becomes the command.
local function under(condition, command)
  return ("timeout 120 %s sh -c %s"):format(condition.prefix or "", helper.quote((condition.before or "true")
    .. "; exec " .. command))
end

---What doctor says under a condition.
---@param condition { prefix?: string, before?: string } a command that runs the one behind it; shell commands before
---@return table said checks, probes and runtimes by name; status, verdict
function agree.doctor(condition)
  local text, status = helper.sh("%s", under(condition, agree.bpfnet .. " doctor --json"))
  local ok, found = pcall(cjson.decode, text)
  assert(ok, text)
  local by_name = { status = status, verdict = found.verdict }
  for _, list in ipairs { "checks", "probes", "runtimes" } do
    for _, one in ipairs(found[list]) do
      by_name[one.name] = {}
      for key, value in pairs(one) do
        if value ~= cjson.null then by_name[one.name][key] = value end
      end
    end
  end
  return by_name
end

local function really(condition)
  local command, rows = agree.bpfnet .. " run -e " .. helper.quote(REAL) .. " 2>/dev/null", {}
  for _, row in ipairs(helper.rows((helper.sh("%s", under(condition, command))))) do rows[row.name] = row end
  return rows
end

-- On a cgroup of our own, any kernel: what is wrong with a kernel is no matter of what can be attached.
local function redirect_runs(condition)
  local command = ("%s redirect --cgroup %s --any-kernel --duration 0.1"):format(agree.bpfnet, helper.cgroup())
  local _, status = helper.sh("%s", under(condition, command))
  return status == 0
end

---It says the same as what happens, or an assertion fails.
---@param condition table
---@return table said as doctor()
function agree.check(condition)
  local said, real = agree.doctor(condition), really(condition)
  local main = true
  for i, name in ipairs(NAMES) do
    local probe, row = said[name], assert(real[name], name)
    assert.are.equal(row.ok, probe.ok ~= false, ("%s: %s / %s"):format(name, probe.why or probe.found, row.why))
    if row.ok and row.of > 0 then
      assert.are.same({ row.seen, row.of }, { probe.seen, probe.points }, name)
    end
    main = main and (row.ok or i > 4)
    if not row.ok then
      assert.is_truthy(probe.why and probe.fix, name .. " has neither reason nor remedy")
    end
  end
  assert.are.equal(main, said.verdict.ok)
  assert.are.equal(main and 0 or 1, said.status)
  local redirect = said.redirect
  if not (redirect.why or ""):find("not fit for it", 1, true) then
    assert.are.equal(redirect_runs(condition), redirect.ok ~= false, redirect.why)
  end
  return said
end

---A prefix: as this user, with these capabilities and no way to more.
---@param list string "bpf perfmon"
---@param uid integer
---@return string
function agree.caps(list, uid)
  local set = "-all" .. list:gsub("%S+", ",+%0"):gsub(" ", "")
  return ("setpriv --reuid %d --regid %d --clear-groups --bounding-set=%s --inh-caps=%s --ambient-caps=%s"):format(uid,
    uid, set, set, set)
end

return agree
