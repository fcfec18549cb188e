-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- bpfnet.pod: sidecars, network namespaces, what sources tell, and what users ask for.

local files = require "bpfnet.files"
local helper = require "helper"
local pod = require "bpfnet.pod"
local pod_world = require "pod_world"

local MOUNT = require("bpfnet.cgroup").mount()

local function run(seconds)
  local timer = bpf.after(seconds, function() end)
  bpf.run(seconds)
  timer:close()
end

local function until_true(f, what)
  for _ = 1, 500 do
    if f() then return f() end
    run(0.02)
  end
  error("waited in vain for " .. (what or "it"), 2)
end

describe("bpfnet.pod", function()
  local w, children

  before_each(function()
    w, children = pod_world.new(), {}
  end)
  after_each(function()
    pod.stop()
    w:close()
    for _, child in ipairs(children) do child.wait() end
  end)

  local function container(c)
    c.id = c.id or pod_world.id()
    c.name, c.namespace = c.name or "cart-0", c.namespace or "shop"
    c.path = ("/kubepods/burstable/pod%s/%s"):format(c.uid, c.id)
    w:containerd(c.id, c)
    c.cgroup = w:cgroup(c.path)
    return c
  end

  local function start() pod.start { root = w.root } end

  -- Runs a command in a container till the end of the test; waits till the process is called so. Gives its pid.
  local function run_in(c, command, comm)
    children[#children + 1] = helper.start(w:inside(c.path, command))
    return helper.wait(5, function()
      local pid = (helper.read(MOUNT .. c.path .. "/cgroup.procs") or ""):match("%d+")
      return pid and helper.read("/proc/" .. pid .. "/comm") == comm .. "\n" and pid
    end)
  end

  local function sidecar(c)
    local identity = pod.of(c.cgroup)
    return { identity.sidecar, identity.why }
  end

  describe("sidecars", function()
    it("are known by the container's name and by the image's repository, with the rule that says so", function()
      local uid = pod_world.uid()
      local app = container { uid = uid, container = "app", image = "envoyproxy.example/app:1" }
      start()
      assert.are.same({ false, "alone in its pod" }, sidecar(app))
      local mesh = container { uid = uid, container = "istio-proxy", image = "registry:5000/x:1" }
      local images = {}
      for name, image in pairs {
        a = "docker.io/istio/proxyv2:1.20", b = "registry.example:5000/mirror/envoyproxy/envoy:v1.29@sha256:aa",
        c = "cr.l5d.io/linkerd/proxy", d = "docker.io/other/istio-proxyv2:1", e = "my/envoyproxy/envoys:1",
      } do
        images[name] = container { uid = uid, container = name, image = image }
      end
      run(0.05)
      assert.are.same({ true, "container istio-proxy" }, sidecar(mesh))
      assert.are.same({ true, "image istio/proxyv2" }, sidecar(images.a))
      assert.are.same({ true, "image envoyproxy/envoy" }, sidecar(images.b))
      assert.are.same({ true, "image linkerd/proxy" }, sidecar(images.c))
      assert.is_nil(sidecar(images.d)[1]) -- not before its process was seen
      assert.is_nil(sidecar(images.e)[1])
      assert.is_nil(sidecar(app)[1])
    end)

    it("are no sidecars when they are all of the pod, as a gateway is", function()
      local uid = pod_world.uid()
      container { uid = uid }
      local gateway = container { uid = uid, container = "istio-proxy", image = "istio/proxyv2:1" }
      start()
      assert.are.same({ false, "alone in its pod" }, sidecar(gateway))
    end)

    it("are known by the program and by the user of the first process", function()
      local uid = pod_world.uid()
      local app = container { uid = uid, container = "app" }
      local proxy = container { uid = uid, container = "p" }
      local istio = container { uid = uid, container = "i" }
      helper.sh("cp $(command -v sleep) %s/envoy", w.root)
      run_in(app, "sleep 60", "sleep")
      run_in(proxy, w.root .. "/envoy 60", "envoy")
      run_in(istio, "setpriv --reuid 1337 --clear-groups sleep 60", "sleep")
      start()
      assert.are.same({ true, "executable envoy" }, sidecar(proxy))
      assert.are.same({ true, "uid 1337" }, sidecar(istio))
      assert.are.same({ false, "no rule" }, sidecar(app))
    end)

    it("are seen also where the program is started by another one, a moment later", function()
      local uid = pod_world.uid()
      container { uid = uid, container = "app" }
      start()
      local proxy = container { uid = uid, container = "p" }
      helper.sh("cp $(command -v sleep) %s/envoy", w.root)
      children[#children + 1] = helper.start(w:inside(proxy.path, "sh -c 'sleep 0.2; exec " .. w.root .. "/envoy 60'"))
      until_true(function() return pod.of(proxy.cgroup).sidecar end, "the rule")
      assert.are.same({ true, "executable envoy" }, sidecar(proxy))
    end)

    it("are known by the pod's spec, if a source has it", function()
      local uid = pod_world.uid()
      local app = container { uid = uid, container = "app" }
      local native = container { uid = uid, container = "log-shipper" }
      local init = container { uid = uid, container = "migrate" }
      local sink
      pod.add_source { start = function(_, tell) sink = tell end }
      start()
      sink { pod_uid = uid, spec = { containers = { { name = "app" } }, initContainers = {
        { name = "migrate" }, { name = "log-shipper", restartPolicy = "Always" } } } }
      assert.are.same({ true, "native sidecar in the pod's spec" }, sidecar(native))
      assert.is_nil(sidecar(app)[1])
      assert.is_nil(sidecar(init)[1])
    end)

    it("are what users' rules say, from when they are added", function()
      local uid = pod_world.uid()
      local app = container { uid = uid, container = "app" }
      container { uid = uid, container = "b" }
      run_in(app, "sleep 60", "sleep")
      start()
      assert.are.same({ false, "no rule" }, sidecar(app))
      local told
      local handle = pod.follow(function(id, who)
        if id == app.cgroup then told = who.why end
      end)
      local n = #pod.rules
      pod.rules[n + 1] = { name = "our own", match = function(identity, proc)
        return identity.container == "app" and proc.exe == "sleep" and proc.comm
      end }
      assert.are.same({ true, "our own sleep" }, sidecar(app))
      assert.are.equal("our own sleep", told)
      assert.are.equal(n + 1, #pod.rules)
      pod.rules[n + 1] = nil
      assert.are.same({ false, "no rule" }, sidecar(app))
      table.insert(pod.rules, 1, { name = "first", match = function(identity) return identity.container == "app" end })
      assert.are.same({ true, "first" }, sidecar(app))
      table.remove(pod.rules, 1)
      assert.are.same({ false, "no rule" }, sidecar(app))
      assert.are.equal(n, #pod.rules)
      handle:close()
      assert.has_error(function() pod.rules[#pod.rules + 1] = { name = "x" } end,
        'pods: a rule is { name = "…", match = function(identity, proc) … end }')
    end)
  end)

  it("says when it can't see the whole tree, as in a container with a cgroup namespace", function()
    local base = ("/bpfnet-part-%d"):format(bpf.now())
    w:cgroup(base)
    local script = w:write("/part.sh", ('umount -a -t cgroup2\nmkdir %s/cg && mount -t cgroup2 none %s/cg || exit\n'
      .. 'exec %s run -e \'require("bpfnet.pod").start { root = %q }\'\n')
      :format(w.root, w.root, helper.bpfnet, w.root))
    local text, status = helper.sh("%s", w:inside(base, "unshare -m -C sh " .. script))
    if text:find("mount: ", 1, true) then return pending(text) end
    assert.are.equal(0, status, text)
    assert.are.equal(("bpfnet: warning: pods: %s/cg shows a part of the cgroups only: containers that are there "
      .. "already have no name (hint: mount the host's /sys/fs/cgroup)\n"):format(w.root), text)
  end)

  describe("the network namespace", function()
    it("tells the pod where no cgroup does, while it lives, and by its cookie afterwards", function()
      local c = container { uid = pod_world.uid(), container = "app" }
      local pid = run_in(c, "unshare -n sleep 60", "sleep")
      local inode = files.inode("/proc/" .. pid .. "/ns/net")
      local own = files.inode("/proc/self/ns/net")
      local function own_pid() return tonumber(helper.read("/proc/self/stat"):match("^%d+")) end
      start()
      assert.is_truthy(helper.sh("ls -l /proc/%d/fd", own_pid()):find(("net:[%d]"):format(inode), 1, true))
      assert.is_true(pod.stats().netns >= 1)
      local identity = pod.of(1, 0, inode, 0)
      assert.are.equal("shop/cart-0", pod.name(identity))
      assert.is_nil(identity.container)
      assert.are.equal(identity, pod.of_event { netns = inode })
      assert.are.equal("host", pod.name(pod.of(1, 0, own, 5)))
      assert.are.equal("shop/cart-0/app", pod.name(pod.of(c.cgroup, 0, inode, 777))) -- teaches the cookie
      assert.are.equal("host", pod.name(pod.of(1, 0, inode, 778)))

      helper.sh("kill -INT %s", pid)
      table.remove(children, 1).wait()
      w:rmdir(c.path)
      run(0.05)
      assert.are.equal("host", pod.name(pod.of(1, 0, inode, 0))) -- the number may be another's by now
      assert.is_nil(helper.sh("ls -l /proc/%d/fd", own_pid()):find(("net:[%d]"):format(inode), 1, true))
      assert.are.equal(identity, pod.of(1, 0, inode, 777))
      local now = bpf.now
      bpf.now = function() return now() + 61000000000 end -- luacheck: ignore
      require("bpfnet.pod_netns").expire()
      bpf.now = now -- luacheck: ignore
      assert.are.equal("host", pod.name(pod.of(1, 0, inode, 777)))
    end)

    it("is learnt of a container that starts later, once its process has it", function()
      start()
      local c = container { uid = pod_world.uid(), container = "app" }
      run(0.05)
      local pid = run_in(c, "unshare -n sleep 60", "sleep")
      local inode = files.inode("/proc/" .. pid .. "/ns/net")
      until_true(function() return pod.name(pod.of(1, 0, inode, 0)) == "shop/cart-0" end, "the namespace")
    end)

    it("does not overrule a unit of the host that is at work in it, nor another container", function()
      local c = container { uid = pod_world.uid(), container = "app" }
      local pid = run_in(c, "unshare -n sleep 60", "sleep")
      local inode = files.inode("/proc/" .. pid .. "/ns/net")
      local unit = w:cgroup(("/bpfnet-spec-%d.slice/cni.service"):format(bpf.now()))
      local other = container { uid = pod_world.uid(), container = "ztunnel", name = "ztunnel-x", namespace = "mesh" }
      start()
      assert.are.equal("cni.service", pod.name(pod.of(unit, 0, inode, 0)))
      assert.are.equal("mesh/ztunnel-x/ztunnel", pod.name(pod.of(other.cgroup, 0, inode, 0)))
      assert.are.equal("shop/cart-0", pod.name(pod.of(1 << 41, 0, inode, 0)))
    end)
  end)

  -- As on a node with cgroup v1 alone: sockets are in the root of the tree.
  it("knows pods without a cgroup by their bundles and their namespaces", function()
    local v1 = pod_world.v1()
    if not v1 then return pending("this kernel has no cgroup v1") end
    local function bundled(c)
      c.id, c.uid = pod_world.id(), pod_world.uid()
      c.namespace = "shop"
      local bundle = w:containerd(c.id, c):match("^(.*)/")
      c.v1 = ("%s/bpfnet-%s"):format(v1, c.id)
      helper.sh("mkdir %s", c.v1)
      children[#children + 1] = helper.start(("sh -c 'echo $$ > %s/cgroup.procs; exec unshare -n sleep 60'")
        :format(c.v1))
      local pid = tostring(children[#children].pid)
      helper.wait(5, function() return helper.read("/proc/" .. pid .. "/comm") == "sleep\n" end)
      helper.sh("echo -n %s > %s/init.pid", pid, bundle)
      c.pid, c.inode, c.bundle = pid, files.inode("/proc/" .. pid .. "/ns/net"), bundle
      return c
    end
    local old, asked = bundled { container = "app", name = "cart-0" }, bundled { container = "web", name = "web-0" }
    start()
    local identity = pod.of(1, 1, old.inode, 901)
    assert.are.equal("shop/cart-0", pod.name(identity))
    assert.are.equal("host", pod.name(pod.of(1, 1, files.inode("/proc/self/ns/net"), 5)))

    local seen = {}
    local filtered <close> = bpf.attach("tcpconnect", { filter = { pod = "shop/web-0" } },
      function(ev) seen[#seen + 1] = ev.pod end)
    local connect = ("ip link set lo up; %s/tests/pair /proc/version 0"):format(helper.out)
    for _, inside in ipairs { "", "nsenter -t " .. asked.pid .. " -n " } do
      local text, status = helper.sh("sh -c %s", helper.quote(("echo 0 >%s/cgroup.procs; %ssh -c '%s'")
        :format(MOUNT, inside, connect)))
      assert(status == 0, text)
    end
    bpf.run(0.2)
    filtered:close()
    assert.are.same({ "shop/web-0" }, seen)

    local new = bundled { container = "db", name = "db-0" }
    assert.are.equal("unknown:netns:" .. new.inode, pod.name(pod.of(1, 1, new.inode, 902)))
    until_true(function() return pod.name(pod.of(1, 1, new.inode, 902)) == "shop/db-0" end, "the new pod")
    local names = {}
    for _, one in ipairs(pod.list()) do
      if one.pod_uid == old.uid or one.pod_uid == new.uid then names[#names + 1] = pod.name(one) end
    end
    assert.are.same({ "shop/cart-0/app", "shop/db-0/db" }, names)

    helper.sh("kill -INT %s", old.pid) -- its bundle stays, with a number that is another's by now
    table.remove(children, 1).wait()
    helper.sh("echo -n %s > %s/init.pid", new.pid, old.bundle)
    pod.of(1, 1, 12345, 903)
    until_true(function() return pod.name(pod.of(1, 1, old.inode, 0)) ~= "shop/cart-0" end, "its end")
    assert.are.equal(identity, pod.of(1, 1, old.inode, 901))
    helper.sh("kill -INT %s %s", new.pid, asked.pid)
    table.remove(children, 1).wait()
    table.remove(children, 1).wait()
    helper.sh("rmdir %s %s %s", old.v1, new.v1, asked.v1)
  end)

  it("finds bundles in a place that nobody has told it of, by the shim", function()
    local c = { id = pod_world.id(), sandbox = pod_world.id(), uid = pod_world.uid(), container = "app",
      name = "cart-0", namespace = "shop" }
    c.path = ("/kubepods/burstable/pod%s/%s"):format(c.uid, c.id)
    c.cgroup = w:cgroup(c.path)
    local where = w:containerd(c.id, c, "/elsewhere"):match("^(.*)/[^/]+/config")
    helper.sh("mkdir -p %s/%s && cp $(command -v sh) %s/containerd-shim-runc-v2", where, c.sandbox, w.root)
    -- a process called as the shim is, in the sandbox's bundle, with the container's as its child
    local in_container = ("(echo 0 > %s%s/cgroup.procs; exec sleep 60); :"):format(MOUNT, c.path)
    children[1] = helper.start("sh -c " .. helper.quote(('cd %s/%s && exec %s/containerd-shim-runc-v2 -c "%s"')
      :format(where, c.sandbox, w.root, in_container)))
    helper.wait(5, function()
      return (helper.read(MOUNT .. c.path .. "/cgroup.procs") or ""):match("%d+")
    end)
    start()
    assert.are.equal("shop/cart-0/app", pod.name(pod.of(c.cgroup)))
    -- from now on the place is known: the next one has its name at once
    local d = { id = pod_world.id(), uid = c.uid, container = "b", name = "cart-0", namespace = "shop" }
    w:containerd(d.id, d, "/elsewhere")
    d.path = ("/kubepods/burstable/pod%s/%s"):format(d.uid, d.id)
    d.cgroup = w:cgroup(d.path)
    run(0.05)
    assert.are.equal("shop/cart-0/b", pod.name(pod.of(d.cgroup)))
  end)

  describe("addresses", function()
    local function address_of(c)
      local who = pod.of(c.cgroup)
      return { who.ip, who.ip and pod.of_addr(who.ip) and pod.name(pod.of_addr(who.ip)) }
    end

    it("are those that libcni has kept, of all networks, also of pods that come later", function()
      local first, later = container { uid = pod_world.uid(), name = "cart-0" }, pod_world.uid()
      local app = container { uid = first.uid, container = "app" }
      w:cni(first.id, "cni-loopback", "lo", { "127.0.0.1/8", "::1/128" })
      w:cni(first.id, "k8s-pod-network", "eth0", { "10.1.0.7/24", "fd00::7/64" })
      start()
      assert.are.same({ "10.1.0.7", "shop/cart-0" }, address_of(app))
      assert.are.same({ "10.1.0.7", "shop/cart-0" }, address_of(first))
      assert.are.equal("shop/cart-0", pod.name(pod.of_addr("fd00::7")))
      assert.is_nil(pod.of_addr("127.0.0.1"))

      local db = container { uid = later, container = "db", name = "db-0" } -- before its sandbox, as in a list
      local id = pod_world.id()
      w:cni(id, "k8s-pod-network", "eth0", { "10.1.0.8/24" })
      w:cni(id, "storage", "net1", { "192.168.7.8/24" })
      container { id = id, uid = later, name = "db-0" }
      run(0.05)
      assert.are.same({ "10.1.0.8", "shop/db-0" }, address_of(db))

      run(0.6) -- for so long a list of a directory is good
      local third = pod_world.id()
      w:cni(third, "other-network", "eth0", { "10.2.0.9/24" })
      local web = container { id = third, uid = pod_world.uid(), name = "web-0" }
      run(0.05)
      assert.are.same({ "10.2.0.9", "shop/web-0" }, address_of(web))

      -- the kubelet makes another sandbox when the first one has ended
      local again = pod_world.id()
      w:cni(again, "k8s-pod-network", "eth0", { "10.1.0.10/24" })
      container { id = again, uid = first.uid, name = "cart-0" }
      run(0.05)
      assert.are.same({ "10.1.0.10", "shop/cart-0" }, address_of(app))
      assert.is_nil(pod.of_addr("10.1.0.7"))
    end)

    it("are unknown in the host's network, and where a file is empty, cut or foreign", function()
      local uids, ids = {}, {}
      for i = 1, 5 do uids[i], ids[i] = pod_world.uid(), pod_world.id() end
      local path = w:cni(ids[2], "net", "eth0", { "10.1.0.2/24" })
      local text = helper.read(path)
      local function write(i, content) w:write(("/var/lib/cni/results/net-%s-eth0"):format(ids[i]), content) end
      write(3, "")
      write(4, text:sub(1, -20))
      write(5, { kind = "cniCacheV1", result = { ips = { 7, { address = 7 }, { address = "" }, { address = "x" } } } })
      local got = {}
      for i = 1, 5 do ids[i] = container { id = ids[i], uid = uids[i], name = "pod-" .. i } end
      start()
      for i = 1, 5 do got[i] = pod.of(ids[i].cgroup).ip or "none" end
      assert.are.same({ "none", "10.1.0.2", "none", "none", "none" }, got)
    end)

    it("are what a source says, where one says something", function()
      local sink
      pod.add_source { start = function(_, tell) sink = tell end, stop = function() end }
      local c = container { uid = pod_world.uid() }
      w:cni(c.id, "net", "eth0", { "10.1.0.7/24", "fd00::7/64" })
      start()
      assert.are.equal("10.1.0.7", pod.of(c.cgroup).ip)
      sink { pod_uid = c.uid, ip = "10.1.0.9", ips = { "10.1.0.9", "fd00::9" } }
      assert.are.same({ "10.1.0.9", "shop/cart-0" }, address_of(c))
      assert.are.equal("shop/cart-0", pod.name(pod.of_addr("fd00::9")))
      assert.is_nil(pod.of_addr("10.1.0.7"))
      assert.is_nil(pod.of_addr("fd00::7"))
    end)
  end)

  describe("sources", function()
    local sink, stopped

    before_each(function()
      stopped = false
      pod.add_source { start = function(_, tell) sink = tell end, stop = function() stopped = true end }
    end)

    it("add labels, addresses and owners to pods and containers, before or after those are there", function()
      local uid, later = pod_world.uid(), pod_world.uid()
      local app = container { uid = uid, container = "app", image = "docker.io/first:tag" }
      start()
      local told = 0
      local handle = pod.follow(function(id) told = told + (id == app.cgroup and 1 or 0) end)
      sink { pod_uid = uid, labels = { app = "cart", tier = "front" }, annotations = { a = "b" }, ip = "10.1.0.7",
        owner = "ReplicaSet/cart-5d8" }
      sink { container_id = app.id, labels = { tier = "own" }, image = "docker.io/right:tag" }
      local identity = pod.of(app.cgroup)
      assert.are.same({ app = "cart", tier = "own" }, identity.labels)
      assert.are.same({ "10.1.0.7", "ReplicaSet/cart-5d8", { a = "b" }, "docker.io/right:tag" },
        { identity.ip, identity.owner, identity.annotations, identity.image })
      assert.is_true(told >= 3)
      handle:close()
      local of_addr = pod.of_addr("10.1.0.7")
      assert.are.equal("shop/cart-0", pod.name(of_addr))
      assert.are.same({ app = "cart", tier = "front" }, of_addr.labels)
      assert.is_nil(pod.of_addr("10.1.0.8"))

      sink { pod_uid = later, labels = { app = "db" }, ip = "fd00::5", name = "db-0", namespace = "shop" }
      assert.are.equal("shop/db-0", pod.name(pod.of_addr("fd00::5")))
      local db = container { uid = later, container = "db", name = "db-0" }
      run(0.05)
      assert.are.same({ app = "db" }, pod.of(db.cgroup).labels)
      assert.are.equal("fd00::5", pod.of(db.cgroup).ip)
      pod.stop()
      assert.is_true(stopped)
    end)

    it("give a name to a container without files, and never another name to one that has one", function()
      local nameless = { id = pod_world.id(), uid = pod_world.uid() }
      nameless.cgroup = w:cgroup(("/kubepods/pod%s/%s"):format(nameless.uid, nameless.id))
      local named = container { uid = pod_world.uid(), container = "app" }
      start()
      local identity = pod.of(nameless.cgroup)
      assert.are.equal("unknown:" .. nameless.id:sub(1, 12), pod.name(identity))
      sink { container_id = nameless.id, container = "web", name = "web-0", namespace = "shop", pod_uid = nameless.uid }
      assert.are.equal("shop/web-0/web", pod.name(identity))
      sink { container_id = named.id, container = "other", name = "other-0", namespace = "x" }
      assert.are.equal("shop/cart-0/app", pod.name(pod.of(named.cgroup)))
    end)

    it("know a pod from a file by the hash that its cgroup has in place of the uid", function()
      local hash, uid = ("0123456789abcdef"):rep(2), pod_world.uid()
      local apiserver = container { uid = hash, container = "kube-apiserver", name = "kube-apiserver-a",
        namespace = "kube-system" }
      start()
      sink { pod_uid = uid, annotations = { ["kubernetes.io/config.hash"] = hash }, labels = { tier = "control-plane" },
        ip = "10.0.0.1" }
      assert.are.same({ tier = "control-plane" }, pod.of(apiserver.cgroup).labels)
      assert.are.equal("kube-system/kube-apiserver-a", pod.name(pod.of_addr("10.0.0.1")))
      assert.are.equal("kube-system/kube-apiserver-a/kube-apiserver", pod.name(pod.of(apiserver.cgroup)))
    end)

    it("may take back what they have told of pods elsewhere", function()
      start()
      local uid = pod_world.uid()
      sink { pod_uid = uid, ip = "10.2.0.9", name = "far-0", namespace = "shop" }
      assert.are.equal("shop/far-0", pod.name(pod.of_addr("10.2.0.9")))
      sink { pod_uid = uid, gone = true }
      assert.is_nil(pod.of_addr("10.2.0.9"))
    end)
  end)

  describe("matches()", function()
    local CART = { pod = "shop/cart-0", namespace = "shop", name = "cart-0", container = "app",
      image = "docker.io/shop/cart:1.2", runtime = "containerd", sidecar = false, labels = { app = "cart", v = "1" } }
    local WEB = { container = "web", runtime = "docker", image = "nginx" }

    for _, case in ipairs {
      { {}, true, true }, { { pod = "cart-0" }, true, false }, { { pod = "cart*" }, true, false },
      { { pod = "shop/cart-?" }, true, false }, { { pod = "shop/*" }, true, false },
      { { pod = "*/cart-0" }, true, false },
      { { pod = "hop/cart-0" }, false, false }, { { pod = "cart" }, false, false }, { { pod = "web" }, false, true },
      { { pod = { "x", "w?b" } }, false, true }, { { pod = "*" }, true, true }, { { pod = "*/*" }, true, false },
      { { namespace = "sh*" }, true, false }, { { container = { "app", "web" } }, true, true },
      { { image = "*/shop/cart:*" }, true, false }, { { runtime = "docker" }, false, true },
      { { sidecar = false }, true, false }, { { sidecar = true }, false, false },
      { { label = { app = "cart" } }, true, false }, { { label = { app = "c*", v = { "2", "1" } } }, true, false },
      { { label = { app = "cart", v = "2" } }, false, false }, { { label = { none = "*" } }, false, false },
      { { pod = "cart-0", container = "db" }, false, false }, { { pod = "c.rt-0" }, false, false },
      { { pod = "cart%-0" }, false, false },
    } do
      it("takes " .. bpf.json(case[1]), function()
        local spec = pod.check(case[1])
        assert.are.same({ case[2], case[3] }, { pod.matches(CART, spec), pod.matches(WEB, spec) })
      end)
    end
  end)

  for _, case in ipairs {
    { "cart", 'pods: expected a table like { pod = "shop/cart*" }, got "cart"' },
    { { pdo = "x" }, 'pods: unknown "pdo", did you mean "pod"? (known: pod, namespace, container, image, runtime, '
      .. 'sidecar, label, where)' },
    { { "x" }, 'pods: unknown "1" (known: pod, namespace, container, image, runtime, sidecar, label, where)' },
    { { pod = 7 }, 'pods: "pod": expected a pattern like "cart*" or a list of them, got 7' },
    { { pod = {} }, 'pods: "pod": expected a pattern or a list of them, got an empty list' },
    { { pod = { "a", "" } }, 'pods: "pod": expected a pattern like "cart*" or a list of them, got ""' },
    { { pod = "a/b/c" }, 'pods: "pod": expected "NAMESPACE/NAME" or "NAME", got "a/b/c"' },
    { { sidecar = "yes" }, 'pods: "sidecar": expected true or false, got "yes"' },
    { { runtime = "dockr" }, 'pods: "runtime": there is no "dockr", did you mean "docker"? (known: containerd, crio, '
      .. 'docker, podman, lxc, systemd, host, unknown)' },
    { { label = "app=cart" }, 'pods: "label": expected a table like { app = "cart" }, got "app=cart"' },
    { { label = { "app" } }, 'pods: "label": expected names with patterns like { app = "cart" }, got a list' },
    { { label = { app = true } }, 'pods: "label.app": expected a pattern like "cart*" or a list of them, got true' },
  } do
    it("refuses " .. bpf.json(case[1]), function()
      local ok, message = pcall(pod.check, case[1])
      assert.is_false(ok)
      assert.are.equal(case[2], message)
    end)
  end

  it("names what is like a pod that is not there", function()
    for i = 0, 2 do container { uid = pod_world.uid(), container = "app", name = "cart-" .. i } end
    container { uid = pod_world.uid(), container = "app", name = "database-0" }
    local id = pod_world.id()
    w:docker(id, { container = "webserver" })
    w:cgroup("/docker/" .. id)
    start()
    assert.are.same({ "shop/cart-0", "shop/cart-1", "shop/cart-2" }, pod.near("shop/crat-0"))
    assert.are.same({ "webserver" }, pod.near("websrver"))
    assert.are.equal("shop/database-0", pod.near("databse-0")[1])
    assert.are.same({}, pod.near("xyz"))
    assert.has_error(function() pod.start { rot = "/x" } end,
      'pod.start: expected { root = "DIRECTORY" }, got "rot"')
  end)
end)
