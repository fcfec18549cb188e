-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The probe cgroups: what is made and removed in the tree of cgroup v2, in the right order.

local files = require "bpfnet.files"
local helper = require "helper"

local MOUNT = require("bpfnet.cgroup").mount()

-- Everything that happens below one directory while f runs.
local function seen_while(base, opts, f)
  local seen = {}
  local p = bpf.attach("cgroups", opts, function(ev)
    if ev.path:sub(1, #base) == base then seen[#seen + 1] = ev end
  end)
  f()
  bpf.run(0.1)
  local stats = p:stats()
  p:close()
  return seen, stats
end

local function sh(...)
  local text, status = helper.sh(...)
  assert(status == 0, text)
  return text
end

describe("the probe cgroups", function()
  local base

  before_each(function() base = ("/bpfnet-cgroups-%d"):format(bpf.now()) end)

  it("tells of directories with their ids and places, nested ones too", function()
    local ids
    local seen = seen_while(base, nil, function()
      sh("mkdir -p %s%s/b/c", MOUNT, base)
      ids = { files.inode(MOUNT .. base), files.inode(MOUNT .. base .. "/b"),
        files.inode(MOUNT .. base .. "/b/c") }
      sh("cd %s%s && rmdir b/c b && rmdir %s%s", MOUNT, base, MOUNT, base)
    end)
    local paths = { base, base .. "/b", base .. "/b/c" }
    local expected, got = {}, {}
    for i, n in ipairs { 1, 2, 3, 3, 2, 1 } do
      expected[i] = ("%s %d in %d level %d %s"):format(i > 3 and "removed" or "made", ids[n], ids[n - 1]
        or files.inode(MOUNT), n, paths[n])
    end
    for i, ev in ipairs(seen) do
      got[i] = ("%s %d in %d level %d %s"):format(ev.op, ev.cgroup, ev.parent, ev.level, ev.path)
      assert.is_true(ev.pid > 1 and ev.ts_ns < bpf.now())
    end
    helper.same_list(expected, got)
  end)

  it("keeps its place in the order of events: before all that runs in a cgroup, and after", function()
    local log = {}
    local id
    local cgroups = bpf.attach("cgroups", function(ev)
      if ev.path == base then
        id = ev.cgroup
        log[#log + 1] = ev.op
      end
    end)
    local closes = bpf.attach("tcpclose", function(cgroup)
      if cgroup == id then log[#log + 1] = "close" end
    end)
    for _ = 1, 5 do
      sh("mkdir %s%s", MOUNT, base)
      sh("sh -c 'echo $$ > %s%s/cgroup.procs; exec %s -c 2 echo4'", MOUNT, base, helper.traffic)
      sh("rmdir %s%s", MOUNT, base)
    end
    bpf.run(0.3)
    cgroups:close()
    closes:close()
    assert.are.equal(("made close close close close removed "):rep(5), table.concat(log, " ") .. " ")
  end)

  it("has as much of a path as there is room for", function()
    local long = base .. ("/" .. ("x"):rep(250)):rep(5)
    local seen = seen_while(base, nil, function()
      sh("mkdir -p %s%s", MOUNT, long)
      sh("cd %s && for i in 1 2 3 4 5 6; do d=$PWD; cd .. && rmdir \"$d\" || exit; done", MOUNT .. long)
    end)
    assert.are.equal(12, #seen)
    for i = 1, 6 do
      local whole = long:sub(1, #base + 251 * (i - 1))
      assert.are.equal(whole:sub(1, 511), seen[i].path)
      assert.are.equal(i, seen[i].level)
      assert.are.same({ "made", "removed" }, { seen[i].op, seen[13 - i].op })
      assert.are.equal(seen[i].cgroup, seen[13 - i].cgroup)
    end
  end)

  it("takes where, rate, fields, aggregations and made-up events like any other", function()
    local seen, stats = seen_while(base, { where = ('op == removed and path starts "%s"'):format(base) },
      function() sh("mkdir %s%s && rmdir %s%s", MOUNT, base, MOUNT, base) end)
    assert.are.equal(1, #seen)
    assert.are.equal("removed", seen[1].op)
    assert.is_true(stats.filtered >= 1)

    local got
    local p <close> = bpf.load("cgroups", { fields = { "path", "op", "cgroup" } })
    p:on_event(function(...) got = { ... } end)
    p:inject { path = "/a/b", op = "removed", cgroup = 1 << 40 }
    assert.are.same({ "/a/b", "removed", 1 << 40 }, got)

    local counted <close> = bpf.load("cgroups", { where = ('path starts "%s"'):format(base) })
    local agg = counted:aggregate { by = "op" }
    counted:attach()
    sh("for i in 1 2 3; do mkdir %s%s; rmdir %s%s; done", MOUNT, base, MOUNT, base)
    local rows = {}
    for _, row in ipairs(agg:take()) do rows[row.op] = row.count end
    assert.are.same({ made = 3, removed = 3 }, rows)
  end)

  it("leaves cgroup v1 alone", function()
    local v1 = require("pod_world").v1()
    if not v1 then return pending("this kernel has no cgroup v1") end
    local seen = seen_while(base, nil, function() sh("mkdir %s%s && rmdir %s%s", v1, base, v1, base) end)
    assert.are.equal(0, #seen)
  end)

  it("runs without the table of sockets, and holds the loop unless it is in the background", function()
    local p = bpf.attach("cgroups", function() end)
    assert.are.equal("timeout", bpf.run(0.05))
    assert.are.equal(p, p:background())
    assert.are.equal("idle", bpf.run(2))
    p:detach()
    p:attach()
    assert.are.equal("idle", bpf.run(2))
    local timer = bpf.every(0.01, function() end)
    assert.are.equal("timeout", bpf.run(0.05))
    assert.are.equal("idle", (timer:background() and bpf.run(2)))
    timer:close()
    p:close()
    assert.are.equal("idle", bpf.run(2))
  end)
end)
