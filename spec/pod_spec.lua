-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- bpfnet.pod: whose is it? With real cgroups, processes and connections; the runtimes' files are made here.

local helper = require "helper"
local pod = require "bpfnet.pod"
local pod_world = require "pod_world"

local MOUNT = require("bpfnet.cgroup").mount()

-- Lets the loop run, which pod alone does not keep busy.
local function run(seconds)
  local timer = bpf.after(seconds, function() end)
  bpf.run(seconds)
  timer:close()
end

-- Runs the loop until f() gives something true.
local function until_true(f, what)
  for _ = 1, 500 do
    if f() then return f() end
    run(0.02)
  end
  error("waited in vain for " .. (what or "it"), 2)
end

describe("bpfnet.pod", function()
  local w

  before_each(function() w = pod_world.new() end)
  after_each(function()
    pod.stop()
    w:close()
  end)

  -- A container in a pod: its bundle, then its cgroup. Gives the cgroup's id and path, and what it is.
  local function container(c)
    c.id, c.uid = c.id or pod_world.id(), c.uid or pod_world.uid()
    c.name, c.namespace = c.name or "cart-0", c.namespace or "shop"
    c.path = ("/kubepods/burstable/pod%s/%s"):format(c.uid, c.id)
    if not c.no_bundle then w:containerd(c.id, c) end
    c.cgroup = w:cgroup(c.path)
    return c
  end

  local function start() pod.start { root = w.root } end

  it("names what is there when it starts, and what comes", function()
    local old = container { container = "app", image = "shop/cart:1" }
    start()
    pod.start() -- again: nothing happens
    local identity = pod.of(old.cgroup)
    assert.are.equal("shop/cart-0/app", pod.name(identity))
    assert.are.same({ "shop/cart-0", "shop", "cart-0", "app", "shop/cart:1", "containerd", old.id, old.uid,
      old.path, old.cgroup, false },
      { identity.pod, identity.namespace, identity.name, identity.container, identity.image, identity.runtime,
        identity.container_id, identity.pod_uid, identity.path, identity.cgroup, identity.dead })
    assert.are.equal(identity, pod.of(old.cgroup))

    local new = container { container = "db", name = "db-1" }
    run(0.05)
    assert.are.equal("shop/db-1/db", pod.name(pod.of(new.cgroup)))
    local names = {}
    for _, one in ipairs(pod.list()) do
      if one.pod_uid == old.uid or one.pod_uid == new.uid then names[#names + 1] = pod.name(one) end
    end
    assert.are.same({ "shop/cart-0/app", "shop/db-1/db" }, names)
    local stats = pod.stats()
    assert.are.equal(#pod.list(), stats.containers)
    assert.are.equal(0, stats.lost)
  end)

  -- The tracer is a process of its own, as always: this one is busy with starting containers. A container's
  -- files stay for a tenth of a second after it has started, which is the least that was seen with containerd.
  it("knows short-lived containers in the handler of their first event, three at a time", function()
    local tracer = helper.start(("%s run -e %s"):format(helper.bpfnet, helper.quote(([[
      local pod = require("bpfnet.pod")
      pod.start { root = %q }
      bpf.attach("tcpclose", function(ev) print(pod.name(pod.of_event(ev))) io.flush() end)
      print("ready") io.flush()]]):format(w.root))))
    helper.wait(20, function() return tracer.stdout():find("ready") end)
    local job = w:write("/job.sh", ('mkdir -p "$1" && sh -c "echo \\$\\$ >$1/cgroup.procs; exec %s -c 2 echo4"\n'
      .. 'sleep 0.1\nrmdir "$1"; rm -r "$2"\n'):format(helper.traffic))
    local base = ("/bpfnet-jobs-%d"):format(bpf.now())
    w:cgroup(base)
    local expected, children = {}, {}
    for i = 1, 24 do
      local c = { id = pod_world.id(), uid = pod_world.uid(), container = "job", name = "job-" .. i,
        namespace = "batch" }
      local bundle = w:containerd(c.id, c):match("^(.*)/")
      children[#children + 1] = helper.start(("sh %s %s%s/%s %s"):format(job, MOUNT, base, c.id, bundle))
      expected["batch/job-" .. i .. "/job"] = 4
      if i % 3 == 0 then
        for _, child in ipairs(children) do child.wait() end
        children = {}
      end
    end
    local seen
    helper.wait(5, function()
      seen = {}
      local n = 0
      for name in tracer.stdout():gmatch("batch/[^\n]*") do
        seen[name] = (seen[name] or 0) + 1
        n = n + 1
      end
      return n >= 96
    end)
    tracer.kill("INT")
    assert.are.equal(0, tracer.wait())
    assert.are.same(expected, seen)
  end)

  it("remembers the dead, for events that come late, and then forgets them", function()
    start()
    local c = container { container = "app" }
    run(0.05)
    local identity = pod.of(c.cgroup)
    local told = {}
    local handle = pod.follow(function(id, who)
      local name = who and pod.name(who) or "forgotten"
      if id == c.cgroup and name ~= told[#told] then told[#told + 1] = name end
    end)
    assert.is_false(identity.dead)
    w:rmdir(c.path)
    run(0.05)
    assert.is_true(identity.dead)
    assert.are.equal(identity, pod.of(c.cgroup))
    assert.are.equal("shop/cart-0/app", pod.name(pod.of(c.cgroup)))
    for _, one in ipairs(pod.list()) do assert.are_not.equal(identity, one) end
    assert.is_true(pod.stats().dead >= 1)
    local now = bpf.now
    bpf.now = function() return now() + 61000000000 end -- luacheck: ignore
    local other = w:cgroup(("/bpfnet-other-%d"):format(now()))
    w:rmdir("/" .. w.made[1]:match("[^/]+$"))
    run(0.05)
    bpf.now = now -- luacheck: ignore
    assert.are.same({ "shop/cart-0/app", "forgotten" }, told)
    assert.are.equal("unknown:" .. c.cgroup, pod.name(pod.of(c.cgroup)))
    assert.are.not_equal(other, c.cgroup)
    handle:close()
  end)

  it("keeps a bounded number of the dead", function()
    start()
    local watch = require "bpfnet.pod_watch"
    local base = 1 << 50
    for i = 1, 5000 do
      watch.made(base + i, ("/docker/%064x"):format(i))
      watch.removed(base + i, ("/docker/%064x"):format(i))
    end
    assert.are.equal(4096, pod.stats().dead)
    assert.are.equal("unknown:" .. ("%064x"):format(5000):sub(1, 12), pod.name(pod.of(base + 5000)))
    assert.are.equal("unknown:" .. base + 1, pod.name(pod.of(base + 1)))
  end)

  -- Made without tracing them, then found all at once.
  it("starts quickly where there are ten thousand cgroups", function()
    if os.getenv("VMRUN") then return end -- an emulated machine takes its time to make them
    local base = ("/bpfnet-many-%d"):format(bpf.now())
    w:cgroup(base)
    local text, status = helper.sh("cd %s%s && seq -f '%%064.0f' 10000 | xargs mkdir", MOUNT, base)
    assert(status == 0, text)
    local out = helper.code(([[
      local pod = require("bpfnet.pod")
      collectgarbage()
      local kib, s = collectgarbage("count"), os.clock()
      pod.start { root = %q }
      print("start", (os.clock() - s) * 1000)
      local known = 0
      for _, one in ipairs(pod.list()) do known = known + (one.path:find(%q, 1, true) and 1 or 0) end
      collectgarbage()
      print("known", known)
      print("kib", (collectgarbage("count") - kib) / 10)
      print("lost", pod.stats().lost)]]):format(w.root, base), "--limit-mem 64")
    helper.sh("cd %s%s && seq -f '%%064.0f' 10000 | xargs rmdir", MOUNT, base)
    local number = {}
    for key, value in out:gmatch("(%l+)\t([%d.]+)\n") do number[key] = tonumber(value) end
    assert.are.equal(10000, number.known, out)
    assert.are.equal(0, number.lost, out)
    assert.is_true(number.start < 1000, out) -- ms of CPU; a callback may take a second
    assert.is_true(number.kib < 4096, out) -- for a thousand
  end)

  it("gives one identity to all cgroups of a container", function()
    local c = container { container = "app" }
    local leaf = w:cgroup(c.path .. "/init.scope")
    start()
    local late = w:cgroup(c.path .. "/container/deeper")
    run(0.05)
    local identity = pod.of(c.cgroup)
    assert.are.equal(c.cgroup, identity.cgroup)
    for _, id in ipairs { leaf, late } do
      assert.are.equal(identity, pod.of(id))
    end
    for _, path in ipairs { "/init.scope", "/container/deeper", "/container" } do w:rmdir(c.path .. path) end
    run(0.05)
    assert.is_false(identity.dead)
    w:rmdir(c.path)
    run(0.05)
    assert.is_true(identity.dead)
    assert.are.equal(identity, pod.of(leaf))
  end)

  it("is not taken in by a cgroup that somebody has named by another's container", function()
    local victim = container { container = "app" }
    local other = container { container = "x", name = "other-0" }
    local fake = w:cgroup(other.path .. "/docker-" .. victim.id .. ".scope")
    start()
    local late = w:cgroup(other.path .. "/x/" .. victim.id)
    run(0.05)
    for _, id in ipairs { fake, late } do
      assert.are.equal("unknown:" .. victim.id:sub(1, 12), pod.name(pod.of(id)))
      assert.are_not.equal(pod.of(victim.cgroup), pod.of(id))
    end
    assert.are.equal("shop/cart-0/app", pod.name(pod.of(victim.cgroup)))
    w:rmdir(other.path .. "/docker-" .. victim.id .. ".scope")
    run(0.05)
    assert.is_false(pod.of(victim.cgroup).dead)
  end)

  it("does not guess: a bundle that is cut is looked at again", function()
    start()
    local c = container { container = "app", no_bundle = true }
    local path = w:containerd(c.id, c)
    local whole = helper.read(path)
    local f = io.open(path, "w")
    f:write(whole:sub(1, #whole // 2))
    f:close()
    local told = {}
    local handle = pod.follow(function(id, who)
      if id == c.cgroup then told[#told + 1] = pod.name(who) end
    end)
    run(0.05)
    local identity = pod.of(c.cgroup)
    local unknown = "unknown:" .. c.id:sub(1, 12)
    assert.are.equal(unknown, pod.name(identity))
    assert.is_true(pod.stats().unknown >= 1)
    assert.are.equal(1, pod.stats().why.truncated)
    f = io.open(path, "w")
    f:write(whole)
    f:close()
    until_true(function() return identity.pod end, "the name")
    assert.are.equal("shop/cart-0/app", pod.name(identity))
    assert.are.equal(identity, pod.of(c.cgroup))
    assert.are.equal(unknown, told[1])
    assert.are.equal("shop/cart-0/app", told[#told])
    assert.is_nil(pod.stats().why.truncated)
    handle:close()
  end)

  it("counts a container whose files have no name, or may not be read, which it says once", function()
    local a, b = pod_world.id(), pod_world.id()
    w:write(("/run/containerd/io.containerd.runtime.v2.task/default/%s/config.json"):format(a),
      pod_world.oci_config {})
    w:cgroup("/docker/" .. a)
    start()
    local identity
    for _, one in ipairs(pod.list()) do identity = one.container_id == a and one or identity end
    assert.are.equal("unknown:" .. a:sub(1, 12), pod.name(identity))
    assert.is_true(pod.stats().why.missing >= 1)
    pod.stop()

    for _, id in ipairs { a, b } do
      w:containerd(id, { container = "app", name = "cart-0", namespace = "shop", uid = pod_world.uid() })
      w:cgroup("/docker/" .. id)
    end
    helper.sh("chmod -R 700 %s && chown -R 12345 %s", w.root, w.root)
    local text, status = helper.sh("setpriv --bounding-set=-dac_override,-dac_read_search "
      .. "--inh-caps=-dac_override,-dac_read_search %s run -e %s", helper.bpfnet, helper.quote(([[
      local pod = require("bpfnet.pod")
      pod.start { root = %q }
      print(pod.stats().why.denied >= 2)]]):format(w.root)))
    assert.are.equal(0, status, text)
    assert.matches("^bpfnet: warning: pods: the files of container %x+ can't be read %(hint: run as root, or with "
      .. "CAP_DAC_READ_SEARCH%)\ntrue\n$", text)
  end)

  it("names units of systemd, the host, and what nobody knows", function()
    start()
    local base = ("/bpfnet-spec-%d.slice"):format(bpf.now())
    local unit, below = w:cgroup(base .. "/nginx.service"), w:cgroup(base .. "/nginx.service/worker")
    local plain = w:cgroup(("/bpfnet-plain-%d"):format(bpf.now()))
    run(0.05)
    assert.are.same({ "nginx.service", "systemd", "nginx.service" },
      { pod.name(pod.of(unit)), pod.of(unit).runtime, pod.of(unit).unit })
    assert.are.equal(pod.of(unit), pod.of(below))
    for _, id in ipairs { 1, 0, plain } do
      assert.are.same({ "host", "host" }, { pod.name(pod.of(id)), pod.of(id).runtime })
    end
    assert.are.equal("host", pod.name(pod.of(nil)))
    local nobody = pod.of(1 << 40)
    assert.are.same({ "unknown:" .. (1 << 40), "unknown" }, { pod.name(nobody), nobody.runtime })
    assert.are.equal(nobody, pod.of(1 << 40))
  end)

  it("finds a cgroup whose event it has missed", function()
    start()
    local c = container { container = "app" }
    assert.are.equal("unknown:" .. c.cgroup, pod.name(pod.of(c.cgroup))) -- the event is in the ring still
    run(0.05)
    assert.are.equal("shop/cart-0/app", pod.name(pod.of(c.cgroup)))
    local watch = require "bpfnet.pod_watch"
    local d = container { container = "b" }
    watch.scan()
    assert.are.equal("shop/cart-0/b", pod.name(pod.of(d.cgroup)))
    w:rmdir(d.path)
    watch.scan()
    assert.is_true(pod.of(d.cgroup).dead)
    local e = { id = pod_world.id(), uid = pod_world.uid(), container = "c", name = "cart-0", namespace = "shop" }
    w:containerd(e.id, e)
    watch.removed(1 << 42, ("/kubepods/pod%s/%s"):format(e.uid, e.id)) -- nothing is known of its beginning
    assert.are.same({ "shop/cart-0/c", true }, { pod.name(pod.of(1 << 42)), pod.of(1 << 42).dead })
    run(0.05) -- the events come after all, and change nothing
    assert.is_true(pod.of(d.cgroup).dead)
    assert.are.equal("shop/cart-0/b", pod.name(pod.of(d.cgroup)))
  end)

  it("takes the process's cgroup where the socket's is no container, as with socket activation", function()
    local c = container { container = "app" }
    local unit = w:cgroup(("/bpfnet-spec-%d.slice/init.scope"):format(bpf.now()))
    local d = container { container = "other", name = "other-0" }
    start()
    assert.are.equal("shop/cart-0/app", pod.name(pod.of(unit, c.cgroup)))
    assert.are.equal("shop/cart-0/app", pod.name(pod.of(1, c.cgroup)))
    assert.are.equal("shop/other-0/other", pod.name(pod.of(d.cgroup, c.cgroup)))
    assert.are.equal("init.scope", pod.name(pod.of(unit, 1)))
    assert.are.equal("shop/cart-0/app", pod.name(pod.of_event { cgroup = 1, task_cgroup = c.cgroup }))
  end)

  it("starts by itself, also in the middle of a handler", function()
    local c = container { container = "app" }
    local root = w.root
    require("bpfnet.pod_files").default_roots = (function(before)
      return function()
        require("bpfnet.pod_files").default_roots = before
        return { root }
      end
    end)(require("bpfnet.pod_files").default_roots)
    local names = {}
    local p = bpf.attach("tcpclose", { filter = { cgroup = c.cgroup } }, function(ev)
      names[#names + 1] = pod.name(pod.of_event(ev))
    end)
    helper.sh("%s", w:inside(c.path, helper.traffic .. " -c 1 echo4"))
    bpf.run(0.3)
    p:close()
    assert.are.same({ "shop/cart-0/app", "shop/cart-0/app" }, names)
  end)

  it("tells followers of all, once they know a name, and leaves the loop idle without any", function()
    start()
    assert.are.equal("idle", bpf.run(1))
    local c = container { container = "app" }
    run(0.05)
    local told = {}
    local handle = pod.follow(function(id, who) told[id] = who end)
    assert.are.equal(pod.of(c.cgroup), told[c.cgroup])
    assert.are.equal("host", pod.name(told[1]))
    local d = container { container = "late", name = "late-0" }
    bpf.run(0.05)
    assert.are.equal("shop/late-0/late", pod.name(told[d.cgroup]))
    handle:close()
    local e = container { container = "unheard" }
    run(0.05)
    assert.is_nil(told[e.cgroup])
    assert.are.equal("idle", bpf.run(1))
  end)

  it("has examples that run", function()
    local n = 0
    for code in helper.read(helper.root .. "/lua/pods.md"):gmatch("```lua\n(.-)```") do
      n = n + 1
      local text, status = helper.code(code .. "os.exit(0, true)")
      assert.are.equal(0, status, text)
      assert.is_nil(text:find("bpfnet:", 1, true), text)
      if code:find("of_addr", 1, true) then assert.are.equal("shop/cart-0\n", text) end
    end
    assert.are.equal(4, n)
  end)

  it("learns of new cgroups from the tree alone where the probe can't be had", function()
    local try_attach = bpf.try_attach
    bpf.try_attach = function() return nil, "not here" end -- luacheck: ignore
    local text = helper.code(([[bpf.try_attach = function() return nil, "not here" end
      require("bpfnet.pod").start { root = %q }]]):format(w.root))
    start()
    bpf.try_attach = try_attach -- luacheck: ignore
    assert.are.equal("bpfnet: warning: pods: new containers are noticed only every 5 seconds: not here\n", text)
    local c = container { container = "app" }
    pod.of(c.cgroup)
    until_true(function() return pod.of(c.cgroup).pod end, "a walk")
  end)
end)
