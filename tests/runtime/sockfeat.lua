-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Runs sockfeat.c, on plain TCP or with a redirect, for specs.

local helper = require "helper"
local json = require "cjson"

local sockfeat = {}

local PROGRAM = helper.out .. "/tests/sockfeat"
-- More than any redirect wants to see before it takes a connection.
local GUEST = (os.getenv("VMRUN") or "") ~= ""
local TURNS = GUEST and 20 or 40
-- For the redirect to take a connection, or to say that it does not.
local TAKEN_SECONDS = GUEST and 6 or 1.5
local FEATURE_SECONDS = GUEST and 600 or 200

-- Those ends of the connection that the redirect knows, by their port: way and why.
local function ends_of(redirect, ready)
  local ends = {}
  for _, c in ipairs(redirect:connections()) do
    local name = c.sport == ready.sport and c.dport == ready.dport and "client"
      or c.sport == ready.dport and c.dport == ready.sport and "server"
    if name and not (ends[name] and ends[name].way == "redirect") then ends[name] = c end
  end
  return ends
end

-- Waits until it is decided what becomes of the connection.
-- true if it is redirected both ways; otherwise false and why not, if that was said
local function decided(redirect, ready)
  local deadline = bpf.now() + TAKEN_SECONDS * 1e9
  local ends
  repeat
    bpf.run(0.02)
    ends = ends_of(redirect, ready)
    local c, s = ends.client, ends.server
    if c and s and c.way == "redirect" and s.way == "redirect" then return true end
    if (c or s) and not (c and c.way == "redirect" or s and s.way == "redirect")
      and (c or s).why then
      break
    end
  until bpf.now() > deadline
  return false, ends.client and ends.client.why or ends.server and ends.server.why
end

-- Some features of a run, each in its time, while other parts of it do theirs: most of them wait.
local PARTS = GUEST and 1 or 4

-- Starts the program; each line that it prints is given to f, whose result, if there is any, is sent to its
-- standard input. The function that is returned looks for lines: false once it has ended.
local function start(args, f)
  local fifo = os.tmpname()
  os.remove(fifo)
  assert(os.execute("mkfifo " .. fifo))
  local child = helper.start(("sh -c 'echo $$ > %s/cgroup.procs; exec %s %s <%s'"):format(
    helper.cgroup(), PROGRAM, args, fifo))
  local input = assert(io.open(fifo, "w"))
  input:setvbuf("line")
  local seen, deadline = 0, bpf.now() + FEATURE_SECONDS * 1e9
  return function()
    local ended = not helper.read("/proc/" .. child.pid .. "/comm")
    for line in child.stdout():sub(seen + 1):gmatch("([^\n]*\n)") do
      seen = seen + #line
      deadline = bpf.now() + FEATURE_SECONDS * 1e9
      local answer = f(json.decode(line))
      if answer then input:write(answer) end
    end
    if not ended and bpf.now() <= deadline then return true end
    input:close()
    os.remove(fifo)
    local status = child.wait()
    assert(status <= 1, ("sockfeat %s: status %d: %s"):format(args, status, child.stderr()))
    return false
  end
end

-- The features in several runs at once. new() gives what handles the lines of one of them.
local function converse(options, names, new)
  local parts, looks = {}, {}
  for i, name in ipairs(names) do
    local part = i % PARTS + 1
    parts[part] = (parts[part] or options) .. " " .. name
  end
  for _, args in pairs(parts) do looks[#looks + 1] = start(args, new()) end
  while #looks > 0 do
    bpf.run(0.02)
    for i = #looks, 1, -1 do
      if not looks[i]() then table.remove(looks, i) end
    end
  end
end

---Names of all features.
---@return table list
function sockfeat.list()
  local text, status = helper.sh("%s list", PROGRAM)
  assert(status == 0, text)
  local names = {}
  for name in text:gmatch("([%w_]+)[^\n]*\n") do names[#names + 1] = name end
  return names
end

---Runs features on plain TCP.
---@param names table list of features
---@return table by name {outcome=, skip=, failed=}
function sockfeat.plain(names)
  local results = {}
  converse("", names, function()
    return function(line) results[line.feature] = line end
  end)
  return results
end

---Runs features with a redirect.
---@param names table list of features
---@param policy table|nil as for bpf.redirect()
---@return table by name {outcome=, skip=, failed=, taken=, why=}; taken is nil for features that have no
---single connection
---@return table stats of the redirect at the end
function sockfeat.redirected(names, policy)
  local redirect <close> = bpf.redirect { cgroup = helper.cgroup(), policy = policy,
    any_kernel = true }
  local results = {}
  converse("-i -t " .. TURNS, names, function()
    local taken, why
    return function(line)
      if line.ready then
        taken, why = decided(redirect, line)
        return "go\n"
      end
      line.taken, line.why = taken, why
      results[line.feature] = line
      taken, why = nil, nil
    end
  end)
  local stats = redirect:stats()
  redirect:stop()
  return results, stats
end

return sockfeat
