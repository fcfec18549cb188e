-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Programs that everybody uses, unmodified, with the redirect: what they get is what TCP brings them.
--
-- Each work (tests/runtime/programs_work.sh) prints results that are the same each time. It is done
-- without redirect first, then with, and the texts are compared.

local helper = require "helper"

local PROGRAMS = helper.root .. "/tests/runtime/programs.sh"
-- Much more than any work takes alone; those that run at the same time share this machine.
local ALONE, TOGETHER = 40, 120

-- `has` are lines of a right result: two runs that fail in the same way are not alike by that.
-- `carries`: takes turns on sockets that don't block, so some of it must have been redirected; false: one
-- of the ends blocks, so nothing may be taken unless that is allowed (`turns`: then some is); nil: either is right.
local WORKS = {
  { name = "redis_benchmark", needs = "redis-server redis-tools", carries = true,
    has = { "get calls=37000,rejected_calls=0,failed_calls=0", "mset calls=3000,rejected_calls=0,failed_calls=0",
      "LRANGE_100 (first 100 elements)" } },
  { name = "redis_cli", needs = "redis-server redis-tools", carries = false, turns = true,
    has = { "    200 1" } },
  { name = "redis_pipe", needs = "redis-server redis-tools",
    has = { "errors: 0, replies: 30000", "30000" } },
  { name = "nginx", needs = "nginx-light wrk curl python3 openssl", carries = true,
    has = { "http://127.0.0.1:18080/64 some=true wrong=0 errors=0,0,0,0,0",
      "http://127.0.0.1:18080/1m some=true wrong=0 errors=0,0,0,0,0", "9df779209d488710" } },
  { name = "chain", needs = "nginx-light wrk haproxy curl python3 openssl", carries = true,
    has = { "http://127.0.0.1:18100/64 some=true wrong=0 errors=0,0,0,0,0",
      "http://127.0.0.1:18102/64k some=true wrong=0 errors=0,0,0,0,0", "9df779209d488710",
      "8388608 b1d9dc67924f0c79" } },
  { name = "http2", needs = "nginx-light curl openssl python3", has = { "     80 2 200" } },
  { name = "pgbench", needs = "postgresql-15", carries = true,
    has = { "number of transactions actually processed: 2000/2000", "600|125824", "125824" } },
  { name = "psql", needs = "postgresql-15",
    has = { 'Asynchronous notification "news" with payload "number 19"', "heard",
      "60000|1800347539|eb021a76e1e8a054397690d382b98e10" } },
  { name = "iperf3", needs = "iperf3 python3", has = { "None True True" } },
  { name = "ssh", needs = "openssh-server openssh-client",
    has = { "b1d9dc67924f0c79", "49f3056affaebeee", "answer 55" } },
  { name = "memcached", needs = "memcached python3", carries = true,
    has = { "127.0.0.1 ['VALUE', 'counter-127.0.0.1', '0', '3', '800']" } },
  { name = "memcached_blocking", needs = "memcached python3", carries = false, turns = true,
    has = { "::1 4825755 bytes right" } },
  { name = "python_http", needs = "python3", carries = false,
    has = { "127.0.0.1 8m b1d9dc67924f0c79", "::1 post 65536 f8d4a3ad2f5855a9" } },
  { name = "frames", needs = "python3", carries = false, turns = true, has = {} },
}

-- The servers, to which works are written; what works print without redirect, by name.
local servers, plain = nil, {}
-- The bpfnet that redirects.
local redirect

local function start_servers()
  local said = os.tmpname()
  servers = assert(io.popen(("exec bash %s up %s >%s"):format(PROGRAMS, helper.cgroup(), said), "w"))
  helper.wait(60, function() return helper.read(said) == "ready\n" end)
  os.remove(said)
end

-- Starts it; gives the file that it writes to.
local function start_work(name)
  local file = os.tmpname()
  servers:write(name, " ", file, "\n")
  servers:flush()
  return file
end

local function ended(file)
  return helper.read(file):find("status %d+\n$")
end

-- What it printed. If it does not end, that is so much as it came to.
local function result(file, seconds)
  pcall(helper.wait, seconds, function() return ended(file) end)
  local text = helper.read(file)
  os.remove(file)
  return text
end

local function check_plain(work)
  if plain[work.name] then return end
  local text = result(start_work(work.name), ALONE)
  assert.is_truthy(text:find("status 0\n$"), work.name .. ": " .. text)
  for _, line in ipairs(work.has) do
    assert.is_truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line .. " is not in " .. text)
  end
  plain[work.name] = text
end

-- Which of its packages are neither installed nor unpacked: "" if none.
local function missing(work)
  local text, status = helper.sh("bash %s missing %s", PROGRAMS, work.needs)
  assert.are.equal(0, status, text)
  return (text:gsub("%s+$", ""))
end

local function ready(work)
  local names = missing(work)
  if names == "" then return true end
  pending("needs what `make deps` fetches: " .. names)
  return false
end

-- Starts a bpfnet that redirects in the cgroup until it is interrupted, then says what it did.
local function start_redirect(policy)
  redirect = helper.start(("%s run -e %s"):format(helper.bpfnet, helper.quote(([[
    local r = bpf.redirect({ cgroup = "%s", policy = { %s } })
    print("ready") io.stdout:flush()
    bpf.run()
    local stats = r:stats()
    for _, name in ipairs { "taken", "redirected_msgs", "redirected_bytes" } do
      print(name .. "=" .. stats[name])
    end
    print("left=" .. r:stop(10))
    r:close()
  ]]):format(helper.cgroup(), policy or ""))))
  helper.wait(30, function() return redirect.stdout():find("ready\n") or redirect.stderr() ~= "" end)
  assert.are.equal("", redirect.stderr())
end

local function stop_redirect()
  redirect.kill("INT")
  local status = redirect.wait()
  assert.are.equal("", redirect.stderr())
  assert.are.equal(0, status)
  local stats = {}
  for name, value in redirect.stdout():gmatch("([%a_]+)=(%d+)") do stats[name] = math.tointeger(value) end
  assert.are.equal(0, stats.left)
  redirect = nil
  return stats
end

-- What a work gets and what the redirect did, with it.
local function redirected(work, policy)
  check_plain(work)
  start_redirect(policy)
  local text = result(start_work(work.name), ALONE)
  local stats = stop_redirect()
  assert.are.equal(plain[work.name], text)
  return stats
end

local function check_carried(stats)
  assert.is_true(stats.taken > 0)
  assert.is_true(stats.redirected_msgs > 10, "redirected " .. stats.redirected_msgs)
end

-- Does at once all works whose packages are here, and meanwhile() again and again until they have ended.
local function all_together(meanwhile)
  local files, times = {}, 0
  for _, work in ipairs(WORKS) do
    if missing(work) == "" then
      check_plain(work)
      files[work.name] = true
    end
  end
  if not next(files) then return pending("no packages") end
  for name in pairs(files) do files[name] = start_work(name) end
  local deadline = bpf.now() + TOGETHER * 1e9
  local function running()
    for _, file in pairs(files) do
      if not ended(file) then return bpf.now() < deadline end
    end
    return false
  end
  while running() do
    meanwhile()
    times = times + 1
  end
  for name, file in pairs(files) do assert.are.equal(plain[name], result(file, 0), name) end
  assert.is_true(times >= 2, "only " .. times .. " times")
end

describe("real programs", function()
  setup(start_servers)
  teardown(function() servers:close() end)
  after_each(function()
    if redirect then redirect.kill("KILL") end
    redirect = nil
  end)

  for _, work in ipairs(WORKS) do
    it("get with the redirect what they get without: " .. work.name, function()
      if not ready(work) then return end
      local stats = redirected(work)
      if work.carries then
        check_carried(stats)
      elseif work.carries == false then
        assert.are.same({ 0, 0 }, { stats.taken, stats.redirected_bytes })
      end
    end)
    if work.carries == false and work.turns then
      it("with sockets that block, when that is allowed: " .. work.name, function()
        if ready(work) then check_carried(redirected(work, "blocking = true")) end
      end)
    end
  end

  it("do not notice that it is started and stopped every second", function()
    local taken, bytes = 0, 0
    all_together(function()
      start_redirect()
      os.execute("sleep 0.7")
      local stats = stop_redirect()
      taken, bytes = taken + stats.taken, bytes + stats.redirected_bytes
    end)
    assert.is_true(taken > 0 and bytes > 0)
  end)

  it("do not notice that it is killed", function()
    all_together(function()
      start_redirect()
      os.execute("sleep 1")
      redirect.kill("KILL")
      assert.are.equal(137, redirect.wait())
      redirect = nil
    end)
  end)
end)
