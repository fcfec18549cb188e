-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Which connections a redirect takes: those that it was told of, and no others.

local helper = require "helper"
local pod = require "bpfnet.pod"
local world = require "pod_world"

-- Two connections that take turns until stop(), in that cgroup; by the listener's port they are known.
local function start_turns(cgroup)
  local child = helper.start(("sh -c 'echo $$ > %s/cgroup.procs; exec %s/tests/turns 2 100'"):format(
    cgroup, helper.out))
  local turns = { pid = child.pid }
  turns.port = helper.wait(10, function() return math.tointeger(child.stdout():match("^port (%d+)\n")) end)
  function turns.stop()
    child.kill("TERM")
    assert.are.equal(0, child.wait(), child.stderr())
    assert.are.equal("0", child.stdout():match("(%d+) wrong"))
  end
  return turns
end

-- Runs the loop until done() or for `seconds`.
local function run_until(seconds, done)
  local deadline = bpf.now() + seconds * 1e9
  while not done() and bpf.now() < deadline do bpf.run(0.05) end
end

-- Ends of connections with that port, by the way that they go: {redirect = 4}.
local function ways(redirect, port)
  local count = {}
  for _, c in ipairs(redirect:connections()) do
    if c.sport == port or c.dport == port then
      local way = c.why and c.way .. ": " .. c.why or c.way
      count[way] = (count[way] or 0) + 1
    end
  end
  return count
end

describe("the scope of a redirect", function()
  local outside

  setup(function()
    outside = helper.cgroup() .. "-out"
    assert.are.equal(0, select(2, helper.sh("mkdir -p %s", outside)))
  end)
  teardown(function() helper.sh("rmdir %s", outside) end)

  -- one and other take turns at the same time; only one's connections are taken
  local function takes_only_one(options, one, other)
    local probed = 0
    local r <close> = bpf.redirect(options)
    local probe <close> = bpf.attach("tcpclose", { filter = { port = other.port } }, function(ev)
      probed = probed + 1
      assert.are.equal(0, ev.rx_redirected_bytes + ev.tx_redirected_bytes)
    end)
    run_until(10, function() return r:stats().live == 2 end)
    bpf.run(0.5)
    assert.are.same({ redirect = 4 }, ways(r, one.port))
    assert.is_nil(ways(r, other.port).redirect)
    assert.are.equal(2, r:stats().taken)
    one.stop()
    other.stop()
    run_until(5, function() return probed == 4 end)
    assert.are.equal(4, probed)
    assert.are.equal(0, probe:stats().dropped)
  end

  it("is its cgroup", function()
    takes_only_one({ cgroup = helper.cgroup() }, start_turns(helper.cgroup()), start_turns(outside))
  end)

  it("is the pod's cgroup, by its uid", function()
    local uid = "0e4b7c1a-7d1f-4c55-9a3e-5f0c2d9b8a11"
    local dir = ("%s/kubepods-pod%s.slice"):format(outside, uid:gsub("-", "_"))
    helper.sh("mkdir -p %s", dir)
    takes_only_one({ pods = uid }, start_turns(dir), start_turns(helper.cgroup()))
    helper.sh("rmdir %s", dir)
  end)

  it("is the pod's cgroup, by its name", function()
    local w, id, uid = world.new(), world.id(), world.uid()
    w:containerd(id, { container = "app", namespace = "shop", name = "turns-0", uid = uid })
    local path = ("/kubepods/burstable/pod%s/%s"):format(uid, id)
    w:cgroup(path)
    pod.stop()
    pod.start({ root = w.root })
    takes_only_one({ pods = "shop/turns-*" }, start_turns(require("bpfnet.cgroup").mount() .. path),
      start_turns(helper.cgroup()))
    local ok, message = pcall(bpf.redirect, { pods = { "shop/turns-0", "shop/turms-0" } })
    assert.is_false(ok)
    assert.matches('^no such pod: "shop/turms%-0"\nhint: there are: shop/turns%-0', message)
    pod.stop()
    w:close()
  end)

  it("is its ports", function()
    local one, other = start_turns(helper.cgroup()), start_turns(helper.cgroup())
    takes_only_one({ cgroup = helper.cgroup(), ports = one.port }, one, other)
  end)

  it("is not what is excluded", function()
    local one, other = start_turns(helper.cgroup()), start_turns(helper.cgroup())
    takes_only_one({ cgroup = helper.cgroup(), exclude = { ports = { other.port } } }, one, other)
  end)

  it("is its processes, and says so of others", function()
    local one, other = start_turns(helper.cgroup()), start_turns(helper.cgroup())
    local refused = 0
    takes_only_one({ cgroup = helper.cgroup(), pids = one.pid, on_event = function(ev)
      if ev.event == "refused" then
        assert.are.equal("scope", ev.why)
        assert.is_true(ev.sport == other.port or ev.dport == other.port)
        refused = refused + 1
      end
    end }, one, other)
    assert.are.equal(2, refused)
  end)

  it("is not its excluded processes", function()
    local one, other = start_turns(helper.cgroup()), start_turns(helper.cgroup())
    takes_only_one({ cgroup = helper.cgroup(), exclude = { pids = { other.pid } } }, one, other)
  end)
end)
