-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Compares what the probes saw with what tests/runtime/traffic says that it did, event for event.

local cjson = require "cjson"
local expect = {}

local KINDS = { "connect", "accept", "close" }
local COMMON = { "pid", "tid", "comm", "uid", "family", "saddr", "sport", "daddr", "dport", "netns" }

---Parses traffic's lines.
---@param text string
---@return table[] facts, table[] skipped
function expect.parse(text)
  local facts, skipped = {}, {}
  for line in text:gmatch("[^\n]+") do
    local fact = cjson.decode(line)
    assert(not fact.failed, "traffic: " .. line)
    for k, v in pairs(fact) do
      if v == cjson.null then fact[k] = nil end
      if math.type(v) == "float" then fact[k] = math.tointeger(v) or v end
    end
    if fact.skip then
      skipped[#skipped + 1] = fact
    else
      facts[#facts + 1] = fact
    end
  end
  return facts, skipped
end

---Attaches the three probes and collects their events by kind.
---@param opts? table options for each of them
---@return table collected {connect = events, accept = events, close = events, probes = {...}}
function expect.collect(opts)
  local got = { probes = {} }
  for _, kind in ipairs(KINDS) do
    local list = {}
    got[kind] = list
    got.probes[kind] = bpf.attach("tcp" .. kind, opts or {}, function(ev)
      list[#list + 1] = ev
    end)
  end
  return got
end

-- These come after a SYN was sent, so a time goes with them.
local LATE = { ETIMEDOUT = true, EHOSTUNREACH = true, ECONNREFUSED = true }

-- Attempts of which connect()'s result alone has told: the run that sees how one ends was left out,
-- and the kernel has not always counted it (seen on 6.18).
local function ends_missed(events)
  local missed = 0
  for _, ev in ipairs(events) do
    if ev.owner == "connect" and LATE[ev.error] and not ev.latency_ns then missed = missed + 1 end
  end
  return missed
end

---Closes the probes. To be called before compare(), which takes the events out.
---@return integer missed runs that the kernel left out, most because one was interrupted by the next
function expect.close(got)
  local missed = ends_missed(got.connect)
  for _, p in pairs(got.probes) do
    missed = missed + p:stats().missed
    p:close()
  end
  return missed
end

-- Cookies are the kernel's own where a program may ask for them; else they are made up.
local MADE_UP = 1 << 62

local function same_socket(fact, ev)
  if fact.cookie and ev.cookie < MADE_UP then return fact.cookie == ev.cookie end
  return fact.netns == ev.netns and fact.daddr == ev.daddr and fact.dport == ev.dport
    and (fact.sport or ev.sport) == ev.sport and (fact.saddr or ev.saddr) == ev.saddr
end

-- The event that says most of what the fact says; so a wrong field shows as that, not as a loss.
local function take(kind, fact, events)
  local best
  for i, ev in ipairs(events) do
    if same_socket(fact, ev) and (kind ~= "connect" or ev.error == fact.error) then
      best = i
      break
    end
    if same_socket(fact, ev) and not best then best = i end
  end
  return best and table.remove(events, best)
end

local checks = {}

function checks.connect(fact, ev, wrong)
  if fact.error ~= ev.error then wrong("error", fact.error, ev.error) end
  local early = fact.error and not fact.sport
  if not early and not fact.old and not ev.latency_ns and fact.error ~= "EADDRNOTAVAIL" then
    wrong("latency_ns", "a time", nil)
  end
end

function checks.accept(fact, ev, wrong)
  if fact.old ~= not ev.queue_ns and fact.scenario ~= "blocked" then
    wrong("queue_ns", fact.old and "nil" or "a time", ev.queue_ns)
  end
end

function checks.close(fact, ev, wrong)
  -- neither end did it
  if fact["end"] == "timeout" then fact.closed_by = "kernel" end
  fact.ended = fact["end"]
  for _, name in ipairs { "rx_bytes", "tx_bytes", "ended", "closed_by", "closer_pid" } do
    if fact[name] ~= ev[name] then wrong(name, fact[name], ev[name]) end
  end
  if fact.old ~= ev.old then wrong("old", fact.old, ev.old) end
  if fact.old ~= (ev.duration_ns == nil) then
    wrong("duration_ns", fact.old and "nil" or "a time", ev.duration_ns)
  end
end

local function describe(kind, fact)
  return ("%s: %s of %s %s:%s -> %s:%s"):format(fact.scenario, kind, fact.side, fact.saddr,
    fact.sport, fact.daddr, fact.dport)
end

local function compare_one(kind, fact, ev, failures)
  local function wrong(name, want, have)
    failures[#failures + 1] = ("%s: %s should be %s, is %s (%s)"):format(describe(kind, fact), name,
      tostring(want), tostring(have), tostring(ev))
  end
  for _, name in ipairs(COMMON) do
    if fact[name] ~= nil and fact[name] ~= ev[name] then wrong(name, fact[name], ev[name]) end
  end
  if fact.cookie and ev.cookie < MADE_UP and fact.cookie ~= ev.cookie then
    wrong("cookie", fact.cookie, ev.cookie)
  end
  checks[kind](fact, ev, wrong)
end

---Takes the facts' events out of what was collected and tells every difference.
---@param facts table[] from expect.parse
---@param got table from expect.collect
---@return string[] failures empty if all is as it should be
---@return integer count events that were compared
function expect.compare(facts, got)
  local failures, count, ours = {}, 0, {}
  for _, fact in ipairs(facts) do
    ours[fact.pid] = fact.netns
    for _, kind in ipairs(KINDS) do
      if fact[kind] then
        local ev = take(kind, fact, got[kind])
        count = count + 1
        if ev then
          compare_one(kind, fact, ev, failures)
        else
          failures[#failures + 1] = describe(kind, fact) .. ": no event"
        end
      end
    end
  end
  for _, kind in ipairs(KINDS) do
    for _, ev in ipairs(got[kind]) do
      -- by process: a namespace's inode may have been somebody else's a moment ago
      if ours[ev.pid] == ev.netns then
        failures[#failures + 1] = "nothing made this event: " .. tostring(ev)
      end
    end
  end
  return failures, count
end

return expect
