-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Each feature of TCP sockets, on plain TCP and on a redirected connection: what the application sees is
-- the same, or a difference that is known (tests/runtime/sockfeat_known.lua).

local known = require "sockfeat_known"
local sockfeat = require "sockfeat"

local function expected(name, what, want, got)
  if want ~= got then return ("%s: %s\n  expected %s\n  got      %s"):format(name, what, want, got) end
end

-- Not redirected, for the reason that is known, and the outcome is the same.
local function untouched(name, plain, result, why)
  if plain.skip then return expected(name, "skipped", plain.skip, result.skip) end
  return expected(name, "failed", nil, result.failed)
    or expected(name, "taken", false, result.taken)
    or result.why ~= "alone" and expected(name, "why not", why, result.why)
    or expected(name, "not redirected", plain.outcome, result.outcome)
end

-- Redirected, and the outcome is the same or the one that is known. Features that have no single connection
-- can't say whether it is redirected.
local function same_or_known(name, plain, result, different)
  if plain.skip then return expected(name, "skipped", plain.skip, result.skip) end
  local outcome = plain.outcome
  if different and not (different.maybe and result.outcome == outcome) then outcome = different[1] end
  return different == nil and expected(name, "failed", nil, result.failed)
    or result.taken ~= nil and expected(name, "taken", true, result.taken)
    or expected(name, "redirected", outcome, result.outcome)
end

-- Those of blocking sockets, or the others: names tell them apart.
local function features(blocking)
  local names = {}
  for _, name in ipairs(sockfeat.list()) do
    if (name:find("_b$") ~= nil) == blocking then names[#names + 1] = name end
  end
  return names
end

describe("features of redirected sockets", function()
  local plain

  -- f(name, plain, result) gives what is wrong, if anything is
  local function check(names, policy, f)
    local results = sockfeat.redirected(names, policy)
    local wrong = {}
    for _, name in ipairs(names) do
      wrong[#wrong + 1] = f(name, plain[name], results[name]) or nil
    end
    assert.are.equal("", table.concat(wrong, "\n"))
  end

  setup(function() plain = sockfeat.plain(sockfeat.list()) end)

  it("all work on plain TCP", function()
    local names = sockfeat.list()
    assert.is_true(#names > 100)
    for _, name in ipairs(names) do
      assert.are.equal("", plain[name].failed or "", name)
      assert.is_truthy(plain[name].outcome or plain[name].skip, name)
    end
  end)

  it("are the same, or differ as is known", function()
    check(features(false), nil, function(name, tcp, result)
      if known.refused[name] then return untouched(name, tcp, result, known.refused[name]) end
      return same_or_known(name, tcp, result, known.different[name])
    end)
  end)

  it("are those of TCP for blocking sockets", function()
    check(features(true), nil, function(name, tcp, result)
      return untouched(name, tcp, result, "blocking")
    end)
  end)

  it("differ as is known for blocking sockets that are wanted", function()
    check(features(true), { blocking = true }, function(name, tcp, result)
      return same_or_known(name, tcp, result, known.different_blocking[name])
    end)
  end)

  it("are known by names that there are", function()
    local there = {}
    for _, name in ipairs(sockfeat.list()) do there[name] = true end
    for _, list in pairs(known) do
      for name in pairs(list) do assert.is_true(there[name], name) end
    end
  end)
end)
