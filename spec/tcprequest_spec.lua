-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- tcprequest on connections of which each byte and its time is known (tests/runtime/talk*.c).

local helper = require "helper"

local talk = helper.out .. "/tests/talk"
-- Version of the kernel as a number: 6.1 is 6001.
local function kernel()
  local major, minor = helper.sh("uname -r"):match("^(%d+)%.(%d+)")
  return major * 1000 + minor
end

-- The way that is chosen by itself.
local function best_way()
  return helper.sh("%s probes tcprequest", helper.bpfnet):match("recv, one of.-%* (%w+)")
end

-- All ways to hook that this kernel has.
local WAYS = { best_way() }
local function add_way(way, there)
  if there and way ~= WAYS[1] then WAYS[#WAYS + 1] = way end
end
add_way("kprobe", helper.read("/sys/bus/event_source/devices/kprobe/type"))
add_way("tp", kernel() >= 6003)

---Fields that a way can't tell here: before 6.16 no tracepoint shows the begin of a send.
local function lost(way)
  return way == "tp" and kernel() < 6016 and { pipelined = true, duplex = true } or {}
end

---Attaches the probe to our cgroup's connections and keeps what it says.
local function collect(opts)
  local got = {}
  got.probe = bpf.attach("tcprequest", helper.ours(opts), function(ev) got[#got + 1] = ev end)
  return got
end

local function in_cgroup(command)
  return ("sh -c 'echo $$ > %s/cgroup.procs; exec %s'"):format(helper.cgroup(), command)
end

---"key=value key=value" as a table.
local function words(line)
  local t = {}
  for key, value in line:gmatch("([%w_]+)=(%S+)") do t[key] = tonumber(value) or value end
  return t
end

---Lists by connection and side, in the order of the list. Before 5.12 a cookie may be one that we made up.
local function by_end(list)
  local ends = {}
  for _, item in ipairs(list) do
    local key = item.sport .. " " .. item.dport .. " " .. item.side
    ends[key] = ends[key] or {}
    table.insert(ends[key], item)
  end
  return ends
end

local function expectations(text)
  local list = {}
  for line in text:gmatch("expect ([^\n]+)") do list[#list + 1] = words(line) end
  return list
end

local EXACT = { "pid", "tid", "sport", "dport", "nth", "request_bytes", "response_bytes", "outcome", "ended" }
local FLAGS = { "continued", "pipelined", "duplex" }
local TIMES = { "start_ns", "ttfb_ns", "total_ns", "request_ns", "idle_ns" }

---What differs between an expected event and one that came, as lines. skip: fields that the way can't tell.
local function differences(want, have, skip)
  local out = {}
  local function differ(key, wanted)
    if not skip[key] then
      out[#out + 1] = ("%s %s nth %d: %s is %s, not %s"):format(want.case, want.side, want.nth, key,
        tostring(have[key]), tostring(wanted))
    end
  end
  for _, key in ipairs(EXACT) do
    if have[key] ~= want[key] and not (key == "tid" and want.tid == 0) then differ(key, want[key]) end
  end
  for _, key in ipairs(FLAGS) do
    if tostring(have[key]) ~= want[key] then differ(key, want[key]) end
  end
  for _, key in ipairs(TIMES) do
    local least, most = tostring(want[key]):match("(%d+)%.%.(%d+)")
    if not least then
      if have[key] ~= nil then differ(key, "nil") end
    elseif have[key] == nil or have[key] < tonumber(least) or have[key] > tonumber(most) then
      differ(key, want[key])
    end
  end
  if kernel() >= 5012 and have.cookie ~= want.cookie then differ("cookie", want.cookie) end
  if have.owner ~= "task" or have.comm ~= "talk" then differ("owner", "task") end
  if have.task_cgroup ~= have.cgroup then differ("task_cgroup", have.cgroup) end
  if have.family ~= (want.case == "ipv6" and "ipv6" or have.family) then differ("family", "ipv6") end
  if have.old ~= (want.case == "old") then differ("old", want.case == "old") end
  return out
end

---Compares all: count, order, fields.
local function compare(expected, got, skip)
  local out, have_ends, want_ends = {}, by_end(got), by_end(expected)
  for key, want in pairs(want_ends) do
    local have = have_ends[key] or {}
    if #have ~= #want then
      out[#out + 1] = ("%s %s: %d events, not %d"):format(want[1].case, want[1].side, #have, #want)
    end
    for i = 1, math.min(#have, #want) do
      for _, line in ipairs(differences(want[i], have[i], skip or {})) do out[#out + 1] = line end
    end
  end
  for key, have in pairs(have_ends) do
    if not want_ends[key] then
      out[#out + 1] = ("%d unexpected events of %s"):format(#have, key)
    end
  end
  return out
end

local function stats_are_clean(p)
  local stats = p:stats()
  assert.are.equal(0, stats.dropped)
  assert.are.equal(0, stats.untracked)
  assert.are.equal(0, stats.malformed)
  return stats
end

---Runs talk beside the loop, for the probe's timer needs that; gives what it says.
local function talk_text(args)
  local child = helper.start(in_cgroup(talk .. " " .. args))
  repeat bpf.run(0.2) until child.status()
  assert.are.equal(0, child.wait(), child.stderr())
  bpf.run(0.2)
  return child.stdout()
end

---Tries it again if the kernel left out a run of a program, or the machine was so late that a step took as long
---as a timeout. try() gives the events that it collected, and problems.
local function whole(try)
  local problems, missed
  for _ = 1, 3 do
    local got
    got, problems = try()
    missed = stats_are_clean(got.probe).missed
    got.probe:close()
    if #problems == 0 then break end
  end
  assert.are.equal("", table.concat(problems, "\n"), "missed: " .. missed)
end

---What each end of a stream must have moved, and what the events say, which are taken out of `got`:
---a list of {case=, want=, have=, flagged=}, in bytes.
local function take_streams(text, got)
  local ends, sums = {}, {}
  for line in text:gmatch("bytes ([^\n]+)") do
    local want = words(line)
    local sum = { case = want.case, want = { want.request_bytes, want.response_bytes }, have = { 0, 0 }, flagged = 0 }
    sums[#sums + 1] = sum
    ends[want.sport .. " " .. want.dport .. " " .. want.side] = sum
  end
  for i = #got, 1, -1 do
    local ev = got[i]
    local sum = ends[ev.sport .. " " .. ev.dport .. " " .. ev.side]
    if sum then
      sum.have = { sum.have[1] + ev.request_bytes, sum.have[2] + ev.response_bytes }
      if ev.duplex then sum.flagged = sum.flagged + ev.request_bytes end
      table.remove(got, i)
    end
  end
  return sums
end

---Adds what is wrong with the streams to problems.
local function compare_streams(sums, way, problems)
  for _, sum in ipairs(sums) do
    -- 5.10 has no instruction to do it exactly for threads that send and read at once
    local part = sum.case == "stream" and kernel() < 5012 and 0.01 or 0
    for i = 1, 2 do
      if math.abs(sum.have[i] - sum.want[i]) > part * sum.want[i] then
        problems[#problems + 1] = ("%s: %d bytes, not %d"):format(sum.case, sum.have[i], sum.want[i])
      end
    end
    if sum.case == "duplex" and not lost(way).duplex and sum.flagged < sum.want[1] / 2 then
      problems[#problems + 1] = ("duplex: of %d bytes %d are flagged"):format(sum.want[1], sum.flagged)
    end
  end
end

-- Starts it with connections, and runs attach() before it goes on; gives what it says.
local function talk_around(case, attach)
  local base = os.tmpname()
  local child = helper.start(in_cgroup(("%s -o %s.ready %s.go %s"):format(talk, base, base, case)))
  helper.wait(60, function() return helper.read(base .. ".ready") end)
  attach()
  os.execute("touch " .. base .. ".go")
  repeat bpf.run(0.1) until child.status()
  assert.are.equal(0, child.wait(), child.stderr())
  return child.stdout()
end

local CASES = "keepalive fresh ipv6 mapped parts calls greeting unanswered rst half_closed pipelined peek nothing"
  .. " threads upload uring duplex stream"

describe("tcprequest", function()
  for _, way in ipairs(WAYS) do
    it("sees every request by " .. way, function()
      whole(function()
        local got = collect { way = way, timeout = 5 }
        local text = talk_text(CASES)
        local sums = take_streams(text, got)
        local expected = expectations(text)
        assert.is_true(#expected > 90 and #sums == 4)
        local problems = compare(expected, got, lost(way))
        compare_streams(sums, way, problems)
        return got, problems
      end)
    end)

    it("knows older connections, and tells what is idle, by " .. way, function()
      whole(function()
        local got
        local text = talk_around("old", function() got = collect { way = way, timeout = 0.5 } end)
        text = text .. talk_text("-t 500 idle slow")
        -- which end nobody can tell is not told: compare() would find it
        return got, compare(expectations(text), got)
      end)
    end)
  end

  it("tells what is open when it goes", function()
    whole(function()
      local got = collect { timeout = 60 }
      local text = talk_around("left_open", function() got.probe:detach() end)
      return got, compare(expectations(text), got)
    end)
  end)

  it("forgets what it knew when it goes", function()
    local got = collect { timeout = 5 }
    for _ = 1, 2 do
      got.probe:attach()
      talk_text("keepalive")
      got.probe:detach()
    end
    got.probe:close()
    assert.are.equal(20, #got)
    for _, ev in ipairs(got) do assert.is_true(ev.nth >= 1 and ev.nth <= 5) end
  end)

  it("refuses the option timeout where it means nothing", function()
    local ok, text = pcall(bpf.attach, "tcpclose", { timeout = 1 })
    assert.is_false(ok)
    assert.is_truthy(text:find("probe 'tcpclose' has no use for the option \"timeout\"", 1, true), text)
    ok, text = pcall(bpf.attach, "tcprequest", { timeout = 0 })
    assert.is_false(ok)
    assert.is_truthy(text:find("timeout", 1, true), text)
  end)
end)
