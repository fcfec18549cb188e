-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A node that has nothing left: descriptors run out, and system calls fail one after the other (strace puts
-- the errors in). Either all is seen, or there is one clear error.

local helper = require "helper"

-- Connections that fail once there was a SYN, and before; these two are what a whole run sees.
local CONNECTS = [[
  local list = {}
  local p = bpf.attach("tcpconnect", { filter = { dport = 9, comm = "faults" } }, function(ev)
    list[#list + 1] = ev.daddr .. " " .. ev.error
  end)
  os.execute(%q)
  bpf.run(0.1)
  table.sort(list)
  print(table.concat(list, ", "))
]]
local CONNECT = [[bash -c 'echo -n faults >/proc/$$/comm
  (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; (exec 3<>/dev/tcp/255.255.255.255/9) 2>/dev/null']]
local ALL = "127.0.0.1 ECONNREFUSED, 255.255.255.255 ENETUNREACH\n"

-- How many points are seen: each takes descriptors of its own.
local POINTS = [[
  local n = 0
  for _, point in ipairs(bpf.attach("podnet", { filter = { dport = 9 } }, print).points) do
    n = n + (point.way and 1 or 0)
  end
  print(n)
  bpf.run(0)
]]

-- Runs a script under another command, after one for the shell. What it printed, its errors, its status.
local function run(script, under, before)
  local errors = os.tmpname()
  local text, status = helper.sh("{ { %s timeout -s KILL 30 %s %s run %s; } 2>%s; }", before or "", under,
    helper.bpfnet, script, errors)
  local why = helper.read(errors)
  os.remove(errors)
  return text, why, status
end

local function one_error(why, status, what)
  assert.are.equal(1, status, what .. ": " .. why)
  assert.is_truthy(why:find("^bpfnet: [^\n]+\n"), what .. ": " .. why)
  local _, lines = why:gsub("bpfnet: ", "")
  assert.are.equal(1, lines, what .. ": " .. why)
  assert.is_falsy(why:find("stack traceback", 1, true), what .. ": " .. why)
end

local function has_strace()
  return (select(2, helper.sh("strace -V"))) == 0
end

-- One run for each of `times` calls of that kind, spread over all of them.
local function inject(script, call, error, times)
  local log = os.tmpname()
  local strace = "strace -qq -o " .. log .. " -e trace=" .. call
  local text, why, status = run(script, strace)
  assert.are.equal("0 " .. ALL, status .. " " .. text, why)
  local calls = select(2, helper.read(log):gsub("[^\n]+", ""))
  assert.is_true(calls > 0)
  for i = 1, times do
    local n = math.max(1, calls * i // times)
    text, why, status = run(script, ("%s -e inject=%s:error=%s:when=%d"):format(strace, call, error, n))
    local what = ("%s %d of %d, %s"):format(call, n, calls, helper.read(log):match("[^\n]*INJECTED") or "")
    if status == 0 then
      assert.are.equal(ALL, text, what)
    else
      one_error(why, status, what)
    end
  end
  os.remove(log)
end

-- With ever more descriptors, until it runs: then it prints `all`. True if it did.
local function limit_descriptors(script, all, n, step)
  repeat
    local text, why, status = run(script, "", ("ulimit -n %d;"):format(n))
    if status == 0 then
      assert.are.equal(all, text, "with " .. n)
      return true
    end
    one_error(why, status, "with " .. n)
    assert.is_truthy(why:find("EMFILE", 1, true), why)
    assert.is_truthy(why:find(("hint: this process may have %d descriptors: raise that with ulimit -n"):format(n),
      1, true), why)
    n = n + step
  until n > 600
end

describe("without", function()
  local connects, points

  local function written(text)
    local path = os.tmpname()
    local f = assert(io.open(path, "w"))
    f:write(text)
    f:close()
    return path
  end

  setup(function()
    connects, points = written(CONNECTS:format(CONNECT)), written(POINTS)
  end)
  teardown(function()
    os.remove(connects)
    os.remove(points)
  end)

  it("descriptors all is seen or the limit is named, never a part", function()
    for _, n in ipairs { 12, 20, 28, 36 } do limit_descriptors(connects, ALL, n, 600) end
    assert.is_true(limit_descriptors(connects, ALL, 44, 2))
  end)

  it("descriptors no point is left out in silence", function()
    local text, why, status = run(points, "")
    assert.are.equal(0, status, why)
    assert.is_true(tonumber(text) > 5)
    assert.is_true(limit_descriptors(points, text, 90, 7))
  end)

  it("memory for BPF all is seen or one error says so", function()
    if not has_strace() then return pending("there is no strace") end
    inject(connects, "bpf", "ENOMEM", 8)
  end)

  it("locked memory the limit is named", function()
    if not has_strace() then return pending("there is no strace") end
    local log = os.tmpname()
    local strace = "strace -qq -o " .. log .. " -e trace=bpf"
    run(connects, strace)
    local calls = select(2, helper.read(log):match("^(.-\n)[^\n]*MAP_TYPE_RINGBUF"):gsub("\n", ""))
    local _, why, status = run(connects, ("%s -e inject=bpf:error=EPERM:when=%d"):format(strace, calls + 1),
      "ulimit -l 64;")
    os.remove(log)
    one_error(why, status, "ring")
    assert.is_truthy(why:find("can't create a ring of %d+ bytes %(EPERM%)\nhint: [^\n]*may have 64 KiB: raise that"
      .. " with ulimit %-l"), why)
  end)

  it("perf events all is seen or one error says so", function()
    if not has_strace() then return pending("there is no strace") end
    inject(connects, "perf_event_open", "EMFILE", 5)
  end)

  it("a way to wait it ends, and does not spin", function()
    if not has_strace() then return pending("there is no strace") end
    local _, why, status = run(connects, "strace -qq -o /dev/null -e trace=epoll_wait,epoll_pwait"
      .. " -e inject=epoll_wait,epoll_pwait:error=EINVAL")
    assert.are.equal(1, status)
    assert.is_truthy(why:find("^bpfnet: [^\n]*bpf.run: can't wait for events %(EINVAL%)\n"), why)
  end)
end)
