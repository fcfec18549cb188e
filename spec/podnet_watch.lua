-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What podnet's specs share: worlds of pods, and podnet attached to the packets in one.

local pods = require "pods"
local ways = require "podnet_ways"

local watch = {}

---In an emulated machine all takes its time; what need not be seen there again runs at home only.
watch.guest = (os.getenv("VMRUN") or "") ~= ""

local worlds = {}

---The world with these options, as for pods.up(); all are taken down by watch.down().
---@return table|nil world nil if the kernel lacks something: the test is pending then
function watch.world(options)
  if worlds[options] then return worlds[options] end
  local world, text, status = pods.up(options)
  if status == 3 then
    require("busted").pending((text:gsub("%s+$", "")))
    return nil
  end
  require("luassert").is_truthy(world, text)
  worlds[options] = world
  return world
end

function watch.down()
  for options, world in pairs(worlds) do
    worlds[options] = nil
    world:down()
  end
end

local Watch = {}
Watch.__index = Watch

---Attaches podnet to the packets of a world; w.events are what comes.
---@param opts table as for bpf.attach(); without a filter the world's namespaces are it
function watch.attach(world, opts)
  local w = setmetatable({ events = {}, world = world }, Watch)
  local netns
  w.names, netns = ways.namespaces(world)
  opts.filter = opts.filter or { netns = netns }
  opts.buffer = opts.buffer or 1 << 25 -- nobody reads while packets are being made
  opts.timeout = opts.timeout or (not opts.between and (watch.guest and 3 or 0.1) or nil)
  w.probe = bpf.attach("podnet", opts, function(ev) w.events[#w.events + 1] = ev end)
  w.seen = ways.seen_points(w.probe)
  return w
end

function Watch:close() self.probe:close() end
Watch.__close = Watch.close

---Runs packets with these arguments, and handles events in between.
---@return table facts of each
function Watch:run(list)
  local facts = {}
  for i, args in ipairs(list) do
    facts[i] = self.world:packets(args)
    bpf.run(0.01)
  end
  return facts
end

---Takes the events that have come: waits until there are n, then a little for those that should not be.
---@return table events paths in the order in which they began
function Watch:take(n)
  local deadline = bpf.now() + (watch.guest and 40e9 or 6e9)
  repeat bpf.run(0.05) until #self.events >= n or bpf.now() > deadline
  bpf.run(watch.guest and 0.5 or 0.2)
  local events = self.events
  self.events = {}
  return #events > 0 and events[1].hops and ways.sort(events) or events
end

---The paths as texts.
function Watch:texts(paths)
  local list = {}
  for i, ev in ipairs(paths) do list[i] = ways.text(self.names, ev) end
  return list
end

---Checks what holds for any path.
function watch.check(paths)
  local assert = require "luassert"
  for _, ev in ipairs(paths) do
    local sum = 0
    for i, hop in ipairs(ev.hops) do
      sum = sum + hop.delta_ns
      assert.is_true(i == 1 or hop.ts_ns >= ev.hops[i - 1].ts_ns)
    end
    assert.are.equal(ev.hops[#ev.hops].ts_ns - ev.hops[1].ts_ns, sum)
    assert.are.equal(sum, ev.duration_ns)
    assert.are.equal(0, ev.hops_lost)
  end
end

---Checks that nothing was lost.
function Watch:check_losses()
  local stats = self.probe:stats()
  require("luassert").are.same({ 0, 0, 0, 0 },
    { stats.dropped, stats.untracked, stats.missed, stats.malformed })
end

return watch
