-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Events know their pod, and filters, `where` and handlers ask for it. Cgroups, processes and sockets are real;
-- the names come from files as a runtime writes them (pod_world).

local helper = require "helper"
local pod = require "bpfnet.pod"
local pod_where = require "bpfnet.pod_where"
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

  it("are filtered by where, too", function()
    local seen = watch("tcpconnect", { where = 'container in {"app", "vault"} and latency_ns > 1' })
    assert.are.same({ "app", "vault" }, containers(seen))
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

  it("are packets, too, by the namespace of their pod", function()
    local id, uid = world.id(), world.uid()
    w:containerd(id, { container = "net", namespace = "shop", name = "net-0", uid = uid })
    local path = ("/kubepods/burstable/pod%s/%s"):format(uid, id)
    w:cgroup(path)
    local go = os.tmpname()
    os.remove(go)
    local child = helper.start(w:inside(path, ("unshare -n sh -c 'ip link set lo up; while ! [ -e %s ]; do "
      .. "sleep 0.05; done; %s/tests/pair /proc/version 0; exec sleep 30'"):format(go, helper.out)))
    local seen, others, pods = 0, 0, {}
    local probe <close> = bpf.attach("podnet", { filter = { pod = "shop/net-0" } }, function(ev)
      seen, others = seen + (ev.pod == "shop/net-0" and 1 or 0), others + (ev.pod ~= "shop/net-0" and 1 or 0)
      pods[ev.container or "none"] = true
    end)
    bpf.run(2) -- finds the process, and with it the namespace
    connect(w, paths.app) -- in another namespace
    os.execute("touch " .. go)
    bpf.run(1)
    assert.is_true(seen > 10, "events of the pod: " .. seen)
    assert.are.equal(0, others)
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
      { { where = "pod == 'a' or dport == 80" }, "joined by `or`" },
      { { where = "pod == 'a'", filter = { pod = "b" } }, '"pod" is in the filter, too' },
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

describe("where and pods", function()
  for text, case in pairs {
    ["duration_ns > 1ms"] = { "duration_ns > 1ms", "{}" },
    ["pod == 'shop/cart' and duration_ns > 1ms"] = { "duration_ns > 1ms", '{"pod":"shop/cart"}' },
    ['a > 1 && (b == 80 or c == 80) and container in {"app", web}'] =
      { "a > 1 and (b == 80 or c == 80)", '{"container":["app","web"]}' },
    ["sidecar and not old"] = { "not old", '{"sidecar":true}' },
    ["not sidecar"] = { nil, '{"sidecar":false}' },
    ["comm == pod"] = { "comm == pod", "{}" },
    ["comm == 'pod and x' and pod == \"a*\""] = { "comm == 'pod and x'", '{"pod":"a*"}' },
    ["namespace == kube-system"] = { nil, '{"namespace":"kube-system"}' },
  } do
    it("are split: " .. text, function()
      local rest, words = pod_where.split(text)
      assert.are.equal(case[1], rest)
      assert.are.equal(case[2], bpf.json(words))
    end)
  end

  for _, text in ipairs {
    "pod == a or dport == 80", "(pod == a)", "pod != 'x'", "pod == 'a' and pod == 'b'", "pod starts 'x'",
    "not (pod == 'a')", "container in 'app'", "dport == 80 and pod",
  } do
    it("can't be split: " .. text, function()
      local ok, message = pcall(pod_where.split, text)
      assert.is_false(ok)
      assert.is_truthy(message:find("^where .*\nhint: "), message)
    end)
  end
end)
