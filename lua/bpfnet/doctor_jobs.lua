-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What `bpfnet doctor` tries, each in a process of its own: what is attached goes with it, the kernel lets go of
-- several at once, and what waits for a server holds up nothing else. Answers are JSON.

local cjson = require("cjson")
local native = require("bpfnet.doctor.native")

local jobs = {}

---Messages that bpf.attach() and bpf.load() raise, without the place, and what stands behind "hint:".
---@param text string
---@return string message
---@return string? hint
function jobs.split(text)
  text = text:gsub("^.-bpf%.%l+: ", "", 1)
  local message, hint = text:match("^(.-)\nhint: ([^\n]*)")
  if hint and hint:find("^bpfnet doctor ") then
    hint = nil -- to ask us
  end
  return message or text:match("^[^\n]*"), hint
end

-- Points that would be seen, and those that would not with the reason.
local function points_of(probe)
  local points = { seen = 0, of = 0, missing = {}, ways = {} }
  for _, point in ipairs(probe.points or {}) do
    if point.wanted then
      points.of = points.of + 1
      if point.way then
        points.seen = points.seen + 1
        points.ways[point.way] = (points.ways[point.way] or 0) + 1
      else
        table.insert(points.missing, { name = point.name, why = point.why })
      end
    end
  end
  return points.of > 0 and points or nil
end

local function losses_of(probe)
  local list, ways = {}, {}
  for _, way in ipairs(probe.ways) do
    if way.used and way.loses ~= "" then
      list[#list + 1] = way.loses
    end
    if way.used and way.way ~= "" then
      ways[way.what] = way.way
    end
  end
  return list, ways
end

-- podnet hooks up to a hundred functions, which takes seconds to let go: it is loaded only, and that its ways to
-- hook work is tried on one function.
local LOADED_ONLY = { podnet = true }

local kept = {} -- attached until the process ends

local function ignore() end

local function probe(name)
  local ok, found = pcall(LOADED_ONLY[name] and bpf.load or bpf.attach, name, ignore)
  if not ok then
    local why, fix = jobs.split(found)
    return { ok = false, why = why, fix = fix }
  end
  kept[#kept + 1] = found
  local loses, ways = losses_of(found)
  return { ok = true, loses = loses, ways = ways, points = points_of(found), attached = not LOADED_ONLY[name] }
end

-- In one process those that share what follows TCP sockets (socks.bpf.c): it is loaded once then.
local function several(names)
  local answers = {}
  for name in names:gmatch("%S+") do
    answers[name] = probe(name)
  end
  return answers
end

local function redirect()
  local ok, why, fix = native.redirect()
  return { ok = ok or false, why = why, fix = fix }
end

local KINDS = {
  hooks = function() return { ways = native.try(), memcg = native.memcg() } end,
  probes = several,
  redirect = redirect,
  servers = function() return require("bpfnet.doctor_servers").ask() end,
}

---Does one of these. Called by C in a process of its own, see engine/lua_doctor.c.
---@param kind "hooks"|"probes"|"redirect"|"servers"
---@param name string of the probes
---@return string json
function jobs.run(kind, name)
  return cjson.encode(KINDS[kind](name))
end

local Pending = {}
Pending.__index = Pending

---Starts them all.
---@param groups string[] names of probes; those in one text are tried in one process, one after another
---@return table pending pending:answer(kind, name) waits for one
function jobs.start(groups)
  local pending = setmetatable({ started = {} }, Pending)
  local function start(kind, name)
    local job, why = native.start(kind, name)
    pending.started[kind .. (name or "")] = job or why
  end
  start("servers")
  start("hooks")
  for _, names in ipairs(groups) do
    start("probes", names)
  end
  start("redirect")
  return pending
end

---Seconds that one may take. On an emulated machine podnet's programs alone take several to be verified.
jobs.LIMIT = 30

---Waits for an answer.
---@param kind string
---@param name? string
---@return table answer `ok = false` and `why` if there is none
function Pending:answer(kind, name)
  local job = self.started[kind .. (name or "")]
  if type(job) == "string" then
    return { ok = false, why = job }
  end
  local text = job:wait(jobs.LIMIT)
  local ok, value = pcall(cjson.decode, text or "")
  self.late = self.late or not text
  if ok then
    return value
  end
  return { ok = false, why = text and "the process that tried it ended without an answer"
    or ("it took longer than %g s"):format(jobs.LIMIT) }
end

local function each(started, f)
  for _, job in pairs(started) do
    if type(job) ~= "string" then
      f(job)
    end
  end
end

---All have answered, or are late: lets go of everything, and waits for that; kills if one is late.
function Pending:finish()
  each(self.started, function(job) job:dismiss() end)
  each(self.started, function(job) job:finish(not self.late) end)
end

return jobs
