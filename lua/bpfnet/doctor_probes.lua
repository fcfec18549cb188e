-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Of `bpfnet doctor`: each probe and the redirect, as they were found to work by loading and attaching them.

local system = require("bpfnet.doctor_system")

local probes = {}

---Those that are tried, by process. podnet's modes run the same programs at the same points.
probes.GROUPS = { "tcpconnect tcpaccept tcpclose tcprequest", "podnet cgroups" }
---Without these bpfnet's main job can't run.
probes.MAIN = { tcpconnect = true, tcpaccept = true, tcpclose = true, tcprequest = true }

local function ways_text(answer)
  local parts = {}
  if answer.points then
    parts[1] = ("%d of %d points"):format(answer.points.seen, answer.points.of)
    for way, n in pairs(answer.points.ways) do
      parts[#parts + 1] = ("%d by %s"):format(n, way)
    end
  else
    for what, way in pairs(answer.ways or {}) do
      parts[#parts + 1] = ("%s by %s"):format(what, way)
    end
  end
  table.sort(parts, function(a, b)
    -- the sum first, which has an "of" in it
    return (a:find(" of ") and "" or a) < (b:find(" of ") and "" or b)
  end)
  return #parts > 0 and "works: " .. table.concat(parts, ", ") or "works"
end

-- What points are hooked by, to what was tried.
local TRIED_AS = { tracepoint = "tp_btf", fentry = "fentry", multi = "kprobe.multi", kprobe = "kprobe" }

-- A probe that was only loaded: points of ways that could not be used are not seen. What to do, if any are.
local function take_untried(points, context)
  local fix
  for by, n in pairs(points.ways) do
    local way = context.way(TRIED_AS[by])
    if way and way.error then
      points.seen, points.ways[by] = points.seen - n, nil
      points.refused = points.refused or {}
      table.insert(points.refused, ("%d points by %s: %s"):format(n, by, way.why))
      fix = fix or way.fix
    end
  end
  return fix
end

-- Nothing is wrong with these: the kernel has no such thing, or not yet.
local function is_not_there(why)
  return why:find("^its module is not loaded") or why:find("^not in this ")
end

-- Points by the reason why they can't be seen, and whether one is a reason to do something.
local function missing_text(points)
  local by_why, order, wrong = {}, {}, false
  for _, point in ipairs(points.missing) do
    local why = point.why:gsub("^this kernel has no .*", "not in this version of the kernel")
      :gsub("^the module .* is not loaded", "its module is not loaded")
    wrong = wrong or not is_not_there(why)
    if not by_why[why] then
      by_why[why] = 0
      order[#order + 1] = why
    end
    by_why[why] = by_why[why] + 1
  end
  for i, why in ipairs(order) do
    order[i] = ("%d points: %s"):format(by_why[why], why)
  end
  return order, wrong
end

local function one_of(name, answer, context)
  local probe = { name = name, ok = answer.ok, main = probes.MAIN[name] or false }
  local fix = answer.points and not answer.attached and take_untried(answer.points, context)
  if not answer.ok or answer.points and answer.points.seen == 0 then
    probe.ok, probe.found = false, "does not work"
    local missing = context.rights:for_way("tp_btf")
    probe.why = missing and "not permitted: " .. missing or answer.why or "no way to hook functions works here"
    probe.fix = context.remedy("tp_btf", answer.fix)
    return probe
  end
  probe.found, probe.lacks = ways_text(answer), answer.loses or {}
  if answer.points then
    probe.seen, probe.points, probe.missing = answer.points.seen, answer.points.of, answer.points.missing
    local texts, wrong = missing_text(answer.points)
    table.move(answer.points.refused or {}, 1, #(answer.points.refused or {}), #probe.lacks + 1, probe.lacks)
    probe.ok = not wrong and #probe.lacks == 0 or "partly"
    probe.fix = fix or wrong and system.FUNCTION_FIX or nil
    table.move(texts, 1, #texts, #probe.lacks + 1, probe.lacks)
  else
    probe.ok = #probe.lacks == 0 or "partly"
  end
  return probe
end

-- A kernel that is known to go wrong with a redirect, which then is refused.
local function judge_kernel(probe, kernel, loads)
  for _, bad in ipairs(kernel.bad) do
    if not bad.warns then
      probe.why = ("this kernel is not fit for it: %s"):format(bad.what)
      probe.fix = ("kernel %s has the fix (%s)%s"):format(bad.fixed, bad.source,
        loads and "; --any-kernel runs it all the same" or "")
      return
    end
    table.insert(probe.lacks, ("%s (fixed in %s)"):format(bad.what, bad.fixed))
  end
  if not kernel.known then
    table.insert(probe.lacks, "the kernel's version does not tell which fixes it has: it may be unfit")
  end
end

-- The same order in which `bpfnet redirect` finds out.
local function judge_redirect(probe, answer, context)
  local sockops = context.way("sockops")
  if not context.rights:for_way("sockops") then
    judge_kernel(probe, context.kernel, answer.ok)
  end
  if probe.why then
    return
  elseif not answer.ok then
    probe.why = ((answer.why or ""):gsub("^redirect: ", ""))
    probe.fix = context.remedy("sockops", answer.fix)
  elseif sockops and sockops.error then
    probe.why, probe.fix = sockops.why, sockops.fix
  end
end

local function redirect_of(answer, context)
  local probe = { name = "redirect", ok = true, found = "works", main = false, lacks = {} }
  judge_redirect(probe, answer, context)
  if probe.why then
    probe.ok, probe.found = false, "does not work"
  elseif #probe.lacks > 0 then
    probe.ok = "partly"
  end
  return probe
end

---@param context table
---@return table[] list { name, ok, found, main, lacks?, why?, fix?, seen?, points?, missing? }, ... redirect last
function probes.list(context)
  local list = {}
  for _, names in ipairs(probes.GROUPS) do
    local answers = context.pending:answer("probes", names)
    for name in names:gmatch("%S+") do
      -- one answer for all: there is none
      list[#list + 1] = one_of(name, answers[name] or answers, context)
    end
  end
  list[#list + 1] = redirect_of(context.pending:answer("redirect"), context)
  return list
end

return probes
