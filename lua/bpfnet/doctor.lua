-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- `bpfnet doctor [--json] [-v]`: what works on this node, what does not and why, and what to do about it. Found out
-- by trying, and nothing stays: see doctor_jobs.lua.
--
--   local found = require("bpfnet.doctor").run()
--   print(found.verdict.text)

local jobs = require("bpfnet.doctor_jobs")
local mounts = require("bpfnet.doctor_mounts")
local native = require("bpfnet.doctor.native")
local nearest = require("bpfnet.nearest")
local probes = require("bpfnet.doctor_probes")
local rights = require("bpfnet.doctor_rights")
local runtimes = require("bpfnet.doctor_runtimes")
local system = require("bpfnet.doctor_system")

local doctor = {}

---@class bpfnet.doctor.Check
---@field name string
---@field group string "kernel", "rights", "container", "mounts", "ways to hook"
---@field ok boolean|"partly"
---@field found string
---@field need string what it is for
---@field why? string
---@field fix? string what to do

---@class bpfnet.doctor.Found
---@field verdict { ok: boolean, text: string, fix?: string[] }
---@field checks bpfnet.doctor.Check[]
---@field probes table[] see doctor_probes.lua
---@field runtimes table[] see doctor_runtimes.lua
---@field seconds number how long it took

local function verdict_of(list)
  local works, fails, less, fixes, known = {}, {}, false, {}, {}
  for _, probe in ipairs(list) do
    local to = probe.ok and works or fails
    to[#to + 1] = probe.name
    less = less or probe.ok ~= true
    if probe.main and not probe.ok and probe.fix and not known[probe.fix] then
      known[probe.fix] = true
      fixes[#fixes + 1] = probe.fix
    end
  end
  local ok = true
  for _, probe in ipairs(list) do
    ok = ok and (not probe.main or probe.ok ~= false)
  end
  local text = ok and (#fails == 0 and (less and "all works here, some with less" or "all works here")
    or "the TCP probes work here; not " .. table.concat(fails, ", "))
    or "does not work here: " .. table.concat(fails, ", ")
  return { ok = ok, text = text, fix = #fixes > 0 and fixes or nil }
end

-- What all parts may ask of each other.
local function context_of()
  local pending = jobs.start(probes.GROUPS)
  local context = { pending = pending, native = native, kernel = native.kernel(), rights = rights.read() }
  context.hooks = pending:answer("hooks")
  context.memcg = context.hooks.memcg
  if context.memcg == nil and not context.rights:for_way("ringbuf") and context.rights.seccomp ~= 2 then
    context.memcg = false -- who may load programs could not load the one that tells: there was no room
  end
  function context.way(name)
    for _, way in ipairs(context.hooks.ways or {}) do
      if way.name == name then
        return way
      end
    end
  end
  -- What to do for what was refused, `hint` if nothing is known that is more than that.
  function context.remedy(way, hint)
    local own, ring = context.rights, context.way("ringbuf")
    if own:for_way(way) then
      return own.fix
    elseif own.seccomp == 2 and ring and ring.error then
      return own.seccomp_fix
    elseif context.memcg == false and own.memlock_is_short then
      return own.memlock_fix
    end
    return hint or system.any_fix(context) or "bpfnet run -v -v -e CODE shows what the kernel says"
  end
  return context
end

---Finds out; takes about a second, of waiting mostly.
---@return bpfnet.doctor.Found
function doctor.run()
  local began = bpf.now()
  local context, found = context_of(), { checks = {} }
  system.judge_ways(context)
  local function group(name)
    return function(check)
      check.group = name
      table.insert(found.checks, check)
    end
  end
  system.add(group("kernel"), context)
  rights.add(group("rights"), context)
  rights.add_spaces(group("container"), context)
  mounts.add(group("mounts"), context)
  system.add_ways(group("ways to hook"), context)
  found.probes = probes.list(context)
  found.runtimes = runtimes.list(context, group("libraries"))
  context.pending:finish()
  found.verdict = verdict_of(found.probes)
  found.seconds = (bpf.now() - began) / 1e9
  return found
end

local function fail(message)
  io.stderr:write("bpfnet doctor: ", message, "\nhint: bpfnet help doctor\n")
  return 2
end

local OPTIONS = { ["--json"] = "json", ["-v"] = "verbose", ["--verbose"] = "verbose" }

---The subcommand.
---@param argv string[] its arguments
---@return integer status 0: the TCP probes can run here; 1: not; 2: wrong usage
function doctor.main(argv)
  local opts = {}
  for _, text in ipairs(argv) do
    if OPTIONS[text] then
      opts[OPTIONS[text]] = true
    elseif text:find("^%-") then
      local near = nearest(text, { "--json", "--verbose" })
      return fail(('unknown option "%s"%s'):format(text, near and (', did you mean "%s"?'):format(near) or ""))
    else
      return fail(('unexpected argument "%s"'):format(text))
    end
  end
  local found, page = doctor.run(), require("bpfnet.doctor_page")
  io.write(opts.json and page.json(found) or page.text(found, opts), "\n")
  return found.verdict.ok and 0 or 1
end

return doctor
