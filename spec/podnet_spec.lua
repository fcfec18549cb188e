-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- podnet: the whole way of known packets between pods, point by point, on whatever this kernel can
-- hook; nothing of another packet in it.

local helper = require "helper"
local pods = require "pods"
local ways = require "podnet_ways"

local GUEST = (os.getenv("VMRUN") or "") ~= ""

local worlds = {}

local function up(options)
  if worlds[options] then return worlds[options] end
  local world, text, status = pods.up(options)
  if status == 3 then
    pending((text:gsub("%s+$", "")))
    return nil
  end
  assert.is_truthy(world, text)
  worlds[options] = world
  return world
end

-- Attaches podnet to the packets of a world; w.events are what came.
local function watch(world, opts)
  local w = { events = {} }
  w.names, w.netns = ways.namespaces(world)
  opts.filter = opts.filter or { netns = w.netns }
  w.probe = bpf.attach("podnet", opts, function(ev) w.events[#w.events + 1] = ev end)
  w.seen = ways.seen_points(w.probe)
  return setmetatable(w, { __close = function() w.probe:close() end })
end

-- Until n events have come, and then a little longer for those that should not.
local function wait(w, n)
  local deadline = bpf.now() + (GUEST and 30e9 or 5e9)
  repeat bpf.run(0.05) until #w.events >= n or bpf.now() > deadline
  bpf.run(0.2)
end

local function run_all(world, list)
  for i, args in ipairs(list) do
    local facts = world:packets(args)
    list[i] = { args = args, facts = facts }
    bpf.run(0.01)
  end
end

local function check_sums(paths)
  for _, ev in ipairs(paths) do
    local sum = 0
    for i, hop in ipairs(ev.hops) do
      sum = sum + hop.delta_ns
      assert.is_true(i == 1 or hop.ts_ns >= ev.hops[i - 1].ts_ns)
    end
    assert.are.equal(ev.hops[#ev.hops].ts_ns - ev.hops[1].ts_ns, sum)
    assert.are.equal(sum, ev.duration_ns)
    assert.are.equal("first", ev.hops[1].identity)
    assert.are.equal(0, ev.hops_lost)
  end
end

local function check_losses(probe)
  local stats = probe:stats()
  assert.are.same({ 0, 0, 0, 0 }, { stats.dropped, stats.untracked, stats.missed, stats.malformed })
end

describe("podnet", function()
  teardown(function()
    for _, world in pairs(worlds) do world:down() end
  end)

  for _, fw in ipairs { "nft", "legacy" } do
    it("tells the points of each packet, fw=" .. fw, function()
      local world = up("neigh fw=" .. fw)
      if not world then return end
      local w <close> = watch(world, { paths = true, timeout = GUEST and 3 or 0.2 })
      local runs, expected, sport = {}, {}, 4000
      for _, way in ipairs { "A-B", "A-PEER", "PEER-A" } do
        for _, kind in ipairs { "ping", "udp", "tcp" } do
          for _, six in ipairs { false, true } do
            sport = sport + 1
            local run = pods.exchange(kind, way, six, fw, sport)
            runs[#runs + 1] = run.args
            local texts = ways.expected(w.seen, fw, kind, way, run)
            table.move(texts, 1, #texts, #expected + 1, expected)
          end
        end
      end
      run_all(world, runs)
      wait(w, #expected)
      local traces, count, texts = {}, 0, {}
      for i, ev in ipairs(ways.sort(w.events)) do
        count = count + (traces[ev.trace] and 0 or 1)
        traces[ev.trace] = true
        texts[i] = ways.text(w.names, ev)
      end
      helper.same_list(expected, texts)
      assert.are.equal(6 * (2 + 2 + 11), count)
      check_sums(w.events)
      check_losses(w.probe)
    end)
  end
end)
