-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Events know their pod, and filters, `where` and handlers ask for it. Cgroups, processes and sockets are real;
-- the names come from files as a runtime writes them (pod_world).

local files = require "bpfnet.files"
local helper = require "helper"
local pod = require "bpfnet.pod"
local world = require "pod_world"

-- One connection, both ends of it, in a cgroup; over as soon as it is made.
local function connect(w, path)
  local text, status = helper.sh("%s", w:inside(path, helper.out .. "/tests/pair /proc/version 0"))
  assert(status == 0, text)
end

local POD = 13 -- FILTER_POD of bpf/filter.h

describe("events of pods", function()
  local w, paths, ours

  setup(function()
    w = world.new()
    pod.stop()
    pod.start { root = w.root }
    paths, ours = {}, {}
    local function container(uid, namespace, name, container_name)
      local id = world.id()
      w:containerd(id, { container = container_name, namespace = namespace, name = name, uid = uid, image = "bb:1" })
      paths[container_name] = ("/kubepods/burstable/pod%s/%s"):format(uid, id)
      ours[#ours + 1] = w:cgroup(paths[container_name])
    end
    local uid = world.uid()
    container(uid, "shop", "cart-0", "app")
    container(uid, "shop", "cart-0", "istio-proxy")
    container(world.uid(), "bank", "vault-0", "vault")
    bpf.run(0.2)
  end)

  teardown(function()
    pod.stop()
    w:close()
  end)

  -- Runs a connection in each container with the probe attached; gives what its handler was given. Again, if
  -- the kernel left a run out, because a program was interrupted by itself.
  local function watch(name, opts, handler_fields, tries)
    local seen = {}
    opts.filter = opts.filter or {}
    opts.filter.cgroup, opts.fields = ours, handler_fields
    local probe <close> = bpf.attach(name, opts, function(...)
      seen[#seen + 1] = handler_fields and { ... } or (...)
    end)
    for _, who in ipairs { "app", "istio-proxy", "vault" } do
      connect(w, paths[who])
    end
    bpf.run(0.2)
    probe:detach()
    local stats = probe:stats()
    if stats.missed > 0 and (tries or 0) < 5 then
      probe:close()
      return watch(name, opts, handler_fields, (tries or 0) + 1)
    end
    return seen, stats
  end

  local function containers(seen)
    local list = {}
    for i, ev in ipairs(seen) do list[i] = ev.container end
    return list
  end

  it("have its members when they are asked for", function()
    local seen = watch("tcpconnect", {})
    assert.are.same({ "app", "istio-proxy", "vault" }, containers(seen))
    local ev = seen[1]
    assert.are.same({ "shop/cart-0", "shop", "bb:1", "containerd", false },
      { ev.pod, ev.namespace, ev.image, ev.runtime, ev.nosuch or false })
    assert.is_nil(rawget(ev, "pod"))
    assert.is_nil(ev:json():find('"pod"', 1, true))
  end)

  it("have them in the table, text and JSON with pods = true", function()
    local seen = watch("tcpclose", { pods = true })
    assert.are.equal(6, #seen)
    assert.are.equal("bank/vault-0", rawget(seen[5], "pod"))
    assert.is_truthy(seen[5]:json():find('"pod":"bank/vault-0","namespace":"bank","container":"vault"}', 1, true))
    assert.is_truthy(tostring(seen[5]):find(" pod=bank/vault-0 namespace=bank container=vault", 1, true))
  end)

  it("give them to handlers as arguments, by name or as fields", function()
    local seen = watch("tcpaccept", {}, { "container", "comm", "pod" })
    assert.are.same({ "app", "istio-proxy", "vault" }, { seen[1][1], seen[2][1], seen[3][1] })
    assert.are.same({ "shop/cart-0", "shop/cart-0", "bank/vault-0" }, { seen[1][3], seen[2][3], seen[3][3] })
    local named
    local probe <close> = bpf.attach("tcpconnect", { filter = { cgroup = ours } }, function(pod_uid, container, comm)
      named = { pod_uid, container, comm }
    end)
    connect(w, paths.vault)
    bpf.run(0.2)
    probe:detach()
    assert.are.same({ paths.vault:match("/pod([^/]+)/"), "vault", "pair" }, named)
  end)

  for what, case in pairs {
    ["a pod"] = { { pod = "shop/cart-0" }, { "app", "istio-proxy" } },
    ["a pattern"] = { { pod = "*/vault-?" }, { "vault" } },
    ["a namespace"] = { { namespace = { "bank", "other" } }, { "vault" } },
    ["a container"] = { { container = "app" }, { "app" } },
    ["all of two"] = { { pod = "shop/cart-0", container = "istio-*" }, { "istio-proxy" } },
    ["nothing that is there"] = { { pod = "shop/nobody" }, {} },
    ["sidecars"] = { { sidecar = true }, { "istio-proxy" } },
    ["what is not the pod"] = { { pod = "!shop/*" }, { "vault" } },
    ["what is not one of two"] = { { container = { "!app", "!vault" } }, { "istio-proxy" } },
    ["all but one of the pod's"] = { { pod = { "shop/*", "!shop/x" }, container = "!istio-proxy" }, { "app" } },
    ["an expression"] = { { where = 'namespace == bank or container starts "is"' }, { "istio-proxy", "vault" } },
  } do
    it("are filtered by " .. what .. "", function()
      local seen, stats = watch("tcpconnect", { filter = case[1] })
      assert.are.same(case[2], containers(seen))
      assert.are.equal(#case[2], stats.events)
      assert.is_true(stats.filtered >= 3 - #case[2]) -- and what others do
    end)
  end

  it("are filtered by labels as soon as somebody tells them", function()
    local tell
    pod.add_source { start = function(_, sink) tell = sink end }
    local n = 0
    local probe <close> = bpf.attach("tcpconnect", { filter = { label = { app = "va*" } } }, function(ev)
      n = n + (ev.container == "vault" and 1 or 100)
    end)
    local function both()
      connect(w, paths.vault)
      connect(w, paths.app)
      bpf.run(0.2)
      return n
    end
    assert.are.equal(0, both())
    tell { pod_uid = paths.vault:match("/pod([^/]+)/"), labels = { app = "vault", tier = "x" } }
    assert.are.equal(1, both())
    probe:filter({ label = { app = "va*", tier = "y" } })
    assert.are.equal(1, both())
  end)

  for where, expected in pairs {
    ['container in {"app", "vault"} and latency_ns > 1'] = { "app", "vault" },
    ['pod != "shop/*"'] = { "vault" },
    ['not (namespace == "bank") and sidecar != true'] = { "app" },
    ['container not in {"app", nobody} and dport != 1'] = { "istio-proxy", "vault" },
    ['not (container == app or latency_ns < 1)'] = { "istio-proxy", "vault" },
    ['pod == nil or image != "bb:*" or sidecar'] = { "istio-proxy" },
  } do
    it("are filtered by where, too: " .. where, function()
      assert.are.same(expected, containers(watch("tcpconnect", { where = where })))
    end)
  end

  it("of no pod pass what asks who it is not; about a host's socket in a container's hands that decides", function()
    local host = w:cgroup("/web.service")
    local inherit = "import socket; s = socket.socket(); open('%s/cgroup.procs', 'w').write('0'); "
      .. "s.connect_ex(('127.0.0.1', 1))"
    local function see(where)
      local seen = {}
      local probe <close> = bpf.attach("tcpconnect", { where = where, filter = { cgroup = host } },
        function(ev) seen[#seen + 1] = ev.pod or ev.runtime end)
      connect(w, "/web.service")
      for _, who in ipairs { "app", "vault" } do
        local moves = inherit:format(require("bpfnet.cgroup").mount() .. paths[who])
        local text, status = helper.sh("%s", w:inside("/web.service", "python3 -c " .. helper.quote(moves)))
        assert(status == 0, text)
      end
      bpf.run(0.2)
      probe:detach()
      assert.are.equal(#seen, probe:stats().events, "what is left out is so in the kernel")
      return seen
    end
    assert.are.same({ "systemd", "shop/cart-0" }, see('pod != "bank/*"'))
    assert.are.same({ "shop/cart-0", "bank/vault-0" }, see("pod != nil"))
    assert.are.same({ "systemd" }, see("pod == nil"))
    assert.are.same({ "systemd", "bank/vault-0" }, see('not (namespace == "shop")'))
    assert.are.same({ "systemd" }, see("runtime == systemd"))
  end)

  it("are counted in the kernel without those that are not meant", function()
    local probe <close> = bpf.load("tcpconnect", { filter = { cgroup = ours }, where = 'pod != "bank/*"' })
    local counts = probe:aggregate { by = { "cgroup" }, count = true }
    probe:attach()
    for _, who in ipairs { "app", "istio-proxy", "vault" } do
      connect(w, paths[who])
    end
    bpf.run(0.1)
    local found = {}
    for _, row in ipairs(counts:rows()) do found[pod.of(row.cgroup).container] = row.count end
    assert.are.same({ app = 1, ["istio-proxy"] = 1 }, found)
  end)

  it("are filtered in the kernel, and by what comes later", function()
    local n = 0
    local probe <close> = bpf.attach("tcpconnect", { filter = { container = "late" } },
      function(ev) n = n + (ev.container == "late" and 1 or 100) end)
    connect(w, paths.app)
    bpf.run(0.1)
    local id, uid = world.id(), world.uid()
    w:containerd(id, { container = "late", namespace = "shop", name = "late-0", uid = uid })
    local path = ("/kubepods/burstable/pod%s/%s"):format(uid, id)
    local cgroup = w:cgroup(path)
    connect(w, path) -- in the ring behind the cgroup's own event, before any verdict
    bpf.run(0.2)
    assert.are.equal(1, n)
    connect(w, path)
    bpf.run(0.2)
    assert.are.equal(2, n)
    local verdict
    for key, value in pairs(probe.maps.filter_set) do
      if string.unpack("<I8", key.value) == cgroup and key.kind & 0xffff == POD then verdict = value end
    end
    assert.are.equal(1, verdict, "the kernel's verdict on the new cgroup")
    probe:filter({ container = "app", namespace = "shop" })
    connect(w, path)
    bpf.run(0.2)
    assert.are.equal(2, n)
  end)

  it("are left out by a `!=` as soon as a container that is not meant comes", function()
    local seen = {}
    local probe <close> = bpf.attach("tcpconnect", { where = 'namespace != "job"', fields = { "container" } },
      function(container) seen[#seen + 1] = container end)
    local cgroups = {}
    for i, namespace in ipairs { "job", "shop", "job" } do
      local id, uid, name = world.id(), world.uid(), "run-" .. i
      w:containerd(id, { container = name, namespace = namespace, name = name, uid = uid })
      local path = ("/kubepods/burstable/pod%s/%s"):format(uid, id)
      cgroups[w:cgroup(path)] = namespace == "job" and 2 or 1 -- enum pod_verdict
      connect(w, path) -- before there is any verdict
      bpf.run(0.2)
      connect(w, path)
    end
    bpf.run(0.2)
    assert.are.same({ "run-2", "run-2" }, seen)
    for key, value in pairs(probe.maps.filter_set) do
      local cgroup = string.unpack("<I8", key.value)
      if key.kind & 0xffff == POD and cgroups[cgroup] then
        assert.are.equal(cgroups[cgroup], value, "the kernel's verdict")
        cgroups[cgroup] = nil
      end
    end
    assert.is_nil(next(cgroups))
  end)

  it("are packets, too, by the namespace of their pod", function()
    local id, uid = world.id(), world.uid()
    w:containerd(id, { container = "net", namespace = "shop", name = "net-0", uid = uid })
    local path = ("/kubepods/burstable/pod%s/%s"):format(uid, id)
    w:cgroup(path)
    local go = os.tmpname()
    os.remove(go)
    local child = helper.start(w:inside(path, ("unshare -n sh -c 'ip link set lo up; while ! [ -e %s ]; do "
      .. "sleep 0.05; done; %s/tests/pair /proc/version 0; exec sleep 30'"):format(go, helper.out)))
    local seen, others, pods, inside = 0, 0, {}, nil
    local probe <close> = bpf.attach("podnet", { filter = { pod = "shop/net-0" } }, function(ev)
      seen, others = seen + (ev.pod == "shop/net-0" and 1 or 0), others + (ev.pod ~= "shop/net-0" and 1 or 0)
      pods[ev.container or "none"], inside = true, ev.netns
    end)
    local rest <close> = bpf.load("podnet", { where = 'pod != "shop/net-0"' })
    local counts = rest:aggregate { by = { "netns" }, count = true }
    rest:attach()
    bpf.run(2) -- finds the process, and with it the namespace
    connect(w, paths.app) -- in another namespace
    os.execute("touch " .. go)
    bpf.run(1)
    assert.is_true(seen > 10, "events of the pod: " .. seen)
    assert.are.equal(0, others)
    local passed = {}
    for _, row in ipairs(counts:rows()) do passed[row.netns] = row.count end
    assert.is_nil(passed[inside])
    assert.is_true(passed[files.inode("/proc/self/ns/net")] > 10)
    assert.is_true(pods.net) -- from the socket's cgroup; a packet without a socket has only the pod
    child.kill("KILL")
    child.wait()
    os.execute("sleep 0.1; rmdir " .. helper.quote(require("bpfnet.cgroup").mount() .. path))
    bpf.run(0.2)
    for key in pairs(probe.maps.filter_set) do
      assert.are_not.equal(14, key.kind & 0xffff, "a namespace that is nobody's any more")
    end
    os.remove(go)
  end)

  it("say what is wrong with a filter", function()
    for _, case in ipairs {
      { { filter = { pod = 7 } }, "pod" },
      { { filter = { sidecar = "yes" } }, "sidecar" },
      { { filter = { runtime = "dokcer" } }, "docker" },
      { { filter = { pod = "!" } }, 'got "!"' },
      { { filter = { runtime = "!dokcer" } }, "docker" },
      { { filter = { where = 7 } }, "where" },
      { { where = "pod == 'a' or dport == 80" }, "joined by `and` only" },
      { { pods = 1 }, "pods" },
    } do
      local ok, message = pcall(bpf.attach, "tcpconnect", case[1], print)
      assert.is_false(ok)
      assert.is_truthy(message:find(case[2], 1, true), message)
    end
    local ok, message = pcall(bpf.attach, "cgroups", { filter = { pod = "x" } }, print)
    assert.is_false(ok)
    assert.is_truthy(message:find('unknown filter "pod"', 1, true), message)
  end)

  it("do not keep bpf.run() from ending, nor a dropped probe alive", function()
    local probe = bpf.attach("tcpconnect", { filter = { pod = "shop/*" } }, function() end)
    probe:close()
    assert.are.equal("idle", bpf.run(5))
    local weak = setmetatable({ bpf.load("tcpconnect", { filter = { pod = "shop/*" } }) }, { __mode = "v" })
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
    w:cgroup("/kubepods/burstable/pod" .. world.uid()) -- its listener finds it gone
    bpf.run(0.1)
  end)
end)
