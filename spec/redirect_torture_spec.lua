-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- While the redirect comes and goes, every byte of every stream stays where it belongs: see
-- tests/runtime/torture.c for what is tried.

local cjson = require "cjson"
local helper = require "helper"

local TORTURE = helper.out .. "/tests/torture"
local VM = os.getenv("VMRUN")
local PATIENCE = VM and 100 or 20

-- A command that runs torture in our cgroup until it is told to end.
local function command(args)
  return ("sh -c 'echo $$ > %s/cgroup.procs; exec %s -s 250 -w %d %s'"):format(helper.cgroup(),
    TORTURE, PATIENCE, args)
end

-- What it said, once it has ended without an error.
local function check(child)
  local said, status = child.stdout(), child.wait()
  assert.is_truthy(said:find("^{.*}\n$"), child.stderr())
  local result = cjson.decode(said)
  assert.are.equal("", table.concat(result.errors, "\n"), child.stderr())
  assert.are.equal(0, result.unfinished)
  assert.are.equal(0, status)
  return result
end

---Runs torture; meanwhile the redirect is started and stopped several times, more often if nothing
---has been redirected then: on a busy machine few connections begin while it is there.
---@param options table {rounds=, seconds= of each, policy=, none= nothing is to be redirected}
---@return table result, table totals sums of the redirects' stats
local function torture(args, options)
  local totals = { taken = 0, redirected_msgs = 0, redirected_bytes = 0 }
  local child
  for round = 1, options.rounds * 4 do
    if round > options.rounds and (options.none or totals.redirected_bytes > 0) then break end
    local redirect = bpf.redirect { cgroup = helper.cgroup(), policy = options.policy,
      any_kernel = true }
    child = child or helper.start(command(args))
    bpf.run(options.seconds)
    redirect:stop(1)
    local stats = redirect:stats()
    redirect:close()
    for name, sum in pairs(totals) do totals[name] = sum + stats[name] end
    if child.stdout() ~= "" then break end
    bpf.run(0.05)
  end
  child.kill("TERM")
  helper.wait(PATIENCE * 2, function() return child.stdout() ~= "" end)
  return check(child), totals
end

-- The reason for which this kernel can't, or nil.
local function refusal()
  local ok, redirect = pcall(bpf.redirect, { cgroup = helper.cgroup(), any_kernel = true })
  if not ok then return tostring(redirect) end
  redirect:close()
end

local refused = refusal()

local function case(name, args, options, f)
  it(name, function()
    if refused then return pending(refused) end
    local result, totals = torture(args, options)
    assert.is_true(result.connections > 0)
    f(totals)
  end)
end

local function some(totals)
  assert.is_true(totals.taken > 0, "nothing was taken")
  assert.is_true(totals.redirected_bytes > 0, "nothing was redirected")
end

local function none(totals)
  assert.are.equal(0, totals.taken)
  assert.are.equal(0, totals.redirected_bytes)
end

describe("every byte is where it belongs while the redirect comes and goes", function()
  local many = VM and 300 or 5000
  local turns = "-k turns -u poll,level,edge "
  local once = { rounds = 2, seconds = 0.4, none = true }
  local few, more = { rounds = 2, seconds = 0.4 }, { rounds = 5, seconds = 0.4 }
  -- a blocking socket in a sockmap may say EAGAIN: that is why it takes a wish to have it there
  local blocking = { rounds = 3, seconds = 0.4, policy = { blocking = true } }

  case("1 connection", "-c 1 -z 512 " .. turns, more, some)
  case("50 connections of all kinds", "-c 50", more, some)
  case(many .. " connections of all kinds", "-z 1K -c " .. many, { rounds = 2, seconds = 2.5 }, some)
  for _, family in ipairs { "4", "6", "mapped", "veth4", "veth6", "vethmapped" } do
    case("family " .. family, "-c 20 -z 4096 " .. turns .. "-f " .. family, few, some)
  end
  case("readers who know by a short count that there is no more",
    "-c 20 -k turns,close -u short -z 512", more, some)
  case("short connections", "-c 20 -k close,tfo,early,reset,half", once, function() end)
  case("blocking sockets are left alone", "-c 20 -u block", once, none)
  case("blocking sockets, if they are wished for", "-c 20 -u block -e", blocking, some)
  case("all sockets, if they are wished for", "-c 50 -e", blocking, some)
end)

describe("torture finds", function()
  -- Without a redirect: what is written is wrong, or stops.
  local function finds(fault, text)
    it(fault, function()
      local said, status = helper.sh("%s -x %s -n 60 -c 20 -S 5 -w 3", TORTURE, fault)
      local result = cjson.decode(said:match("{.*}"))
      assert.are.equal(1, status)
      assert.is_true(result.error_count > 10)
      assert.is_truthy(table.concat(result.errors, "\n"):find(text), said)
    end)
  end

  finds("lose", "instead of byte 300 it reads byte 301: 1 missing")
  finds("double", "instead of byte 300 it reads byte 299: 1 again")
  finds("swap", "instead of byte 300 it reads a wrong one, and then come the right ones again")
  finds("foreign", "instead of byte 300 it reads byte 300 that the %a+ of connection %d+ writes")
  finds("short", "end of stream at %d+, in segment (%d+) of %1\n")
  finds("extra", "1 bytes behind the end of the stream at %d+")
  finds("stall", "no progress for 3 s; client: wrote %d+ of %d+ in segments up to 2 of %d+")
  finds("reset", "Connection reset by peer")
end)
