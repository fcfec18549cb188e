-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- From a container's id to its names by the files of the runtimes. The files are made here (pod_world.lua says
-- after what); real runtimes are in containers_spec.

local bundle = require "bpfnet.pod_bundle"
local files = require "bpfnet.pod_files"
local helper = require "helper"
local oci = require "bpfnet.pod_oci"
local pod_world = require "pod_world"

describe("a container's names", function()
  local w, id, uid, pod_path

  before_each(function()
    w, id, uid = pod_world.new(), pod_world.id(), pod_world.uid()
    pod_path = "/kubepods/burstable/pod" .. uid .. "/" .. id
    files.set_roots { w.root }
    oci.reset()
  end)
  after_each(function() w:close() end)

  local function found(runtime, path)
    local facts, why = bundle.find(id, path or pod_path, runtime)
    assert.is_truthy(facts, why)
    return facts
  end

  local SHOP = { container = "app", name = "cart-0", namespace = "shop", image = "docker.io/shop/cart:1.2" }

  local function shop(more)
    local c = { uid = uid }
    for k, v in pairs(SHOP) do c[k] = v end
    for k, v in pairs(more or {}) do c[k] = v end
    return c
  end

  local function expected(runtime, more)
    local facts = { runtime = runtime, pod_uid = uid }
    for k, v in pairs(SHOP) do facts[k] = v end
    for k, v in pairs(more or {}) do facts[k] = v end
    return facts
  end

  for name, state in pairs {
    containerd = "/run/containerd", ["k3s and RKE2"] = "/run/k3s/containerd", k0s = "/run/k0s/containerd",
    MicroK8s = "/var/snap/microk8s/common/run/containerd",
  } do
    it("come from the bundle: " .. name, function()
      w:containerd(id, shop(), state)
      assert.are.same(expected("containerd"), found("containerd"))
      assert.are.same(expected("containerd"), found(nil))
    end)
  end

  it("come from containerd's bundle under nerdctl", function()
    w:write(("/run/containerd/io.containerd.runtime.v2.task/default/%s/config.json"):format(id),
      pod_world.oci_config { ["nerdctl/name"] = "web", ["nerdctl/namespace"] = "default" })
    assert.are.same({ runtime = "containerd", container = "web" }, found("containerd"))
  end)

  it("are the pod's alone for the container that holds its namespaces", function()
    w:containerd(id, shop { container = false })
    local facts = found("containerd")
    assert.are.same({ nil, true, "cart-0" }, { facts.container, facts.sandbox, facts.name })
    id = pod_world.id()
    w:crio(id, shop { container = false })
    facts = found("crio")
    assert.are.same({ nil, true, "cart-0" }, { facts.container, facts.sandbox, facts.name })
  end)

  it("lack the uid in containerd before 1.6.11, which the path has", function()
    w:containerd(id, shop { uid = false })
    assert.is_nil(found("containerd").pod_uid)
  end)

  for _, driver in ipairs { "overlay", "vfs", "btrfs" } do
    it("come from CRI-O, storage driver " .. driver, function()
      w:crio(id, shop { labels = { app = "cart", ["pod-template-hash"] = "5d8" } }, driver)
      assert.are.same(expected("crio", { labels = { app = "cart", ["pod-template-hash"] = "5d8" } }), found("crio"))
      assert.are.equal("crio", found(nil).runtime)
    end)
  end

  it("come from podman, with the pod's", function()
    local pod, infra = pod_world.id(), pod_world.id()
    local path = ("/machine.slice/machine-libpod_pod_%s.slice/libpod-%s.scope"):format(pod, id)
    w:podman(infra, { container = pod:sub(1, 12) .. "-infra", image = "localhost/podman-pause:4.3.1", pod = pod,
      pod_name = "shop" })
    w:podman(id, { container = "shop-web", image = "docker.io/library/nginx:1", pod = pod })
    assert.are.same({ runtime = "podman", container = "shop-web", image = "docker.io/library/nginx:1" },
      found("podman", path))
    assert.are.same({ name = "shop" }, bundle.pod(pod, path))
  end)

  it("come from a user's own podman, by the home of that user", function()
    w:write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nmia:x:1234:1234::/home/mia:/bin/sh\n")
    local path = ("/user.slice/user-1234.slice/user@1234.service/user.slice/libpod-%s.scope/container"):format(id)
    w:podman(id, { container = "web", image = "i" }, "/home/mia/.local/share/containers/storage")
    assert.are.equal("web", found("podman", path).container)
    assert.is_nil((bundle.find(id, "/machine.slice/libpod-" .. id .. ".scope", "podman")))
  end)

  it("come from Docker, also where its data is elsewhere", function()
    local labels = { ["com.docker.compose.project"] = "shop", ["com.docker.compose.service"] = "web" }
    w:docker(id, { container = "shop-web-1", image = "nginx:1.25", labels = labels })
    local facts = { runtime = "docker", container = "shop-web-1", image = "nginx:1.25", labels = labels }
    assert.are.same(facts, found("docker", "/docker/" .. id))
    -- its bundle, which is containerd's, says nothing of names
    w:write("/run/docker/containerd/x", "")
    w:write(("/run/containerd/io.containerd.runtime.v2.task/moby/%s/config.json"):format(id),
      pod_world.oci_config(nil, "dweb"))
    assert.are.same(facts, found(nil, "/docker/" .. id))

    id = pod_world.id()
    w:write("/etc/docker/daemon.json", { ["data-root"] = "/data/docker" })
    w:docker(id, { container = "b" }, "/data/docker")
    assert.are.equal("b", found("docker", "/docker/" .. id).container)
  end)

  it("come from Docker's labels under Kubernetes", function()
    local labels = { ["io.kubernetes.container.name"] = "app", ["io.kubernetes.pod.name"] = "cart-0",
      ["io.kubernetes.pod.namespace"] = "shop", ["io.kubernetes.pod.uid"] = uid,
      ["io.kubernetes.docker.type"] = "container" }
    w:docker(id, { container = "k8s_app_cart-0_shop_" .. uid .. "_0", image = "sha256:1", labels = labels })
    assert.are.same({ "app", "cart-0", "shop", uid }, (function(f)
      return { f.container, f.name, f.namespace, f.pod_uid }
    end)(found("docker")))
  end)

  it("come from the names of logs, if nothing else is left", function()
    w:write(("/var/log/containers/cart-0_shop_app-%s.log"):format(id), "")
    w:write(("/var/log/pods/shop_cart-0_%s/app/0.log"):format(uid), "")
    assert.are.same({ name = "cart-0", namespace = "shop", container = "app" }, found("containerd"))
    assert.are.same({ name = "cart-0", namespace = "shop" }, bundle.pod(uid, pod_path))
    assert.is_nil(bundle.pod(pod_world.uid(), pod_path))
  end)

  it("are not known, and the reason is, where a file is missing, cut, or too large", function()
    local function why() return select(2, bundle.find(id, pod_path, "containerd")) end
    assert.are.equal("missing", why())
    local path = w:containerd(id, shop())
    local whole = helper.read(path)
    for _, bytes in ipairs { 0, 1, #whole // 2, #whole - 1 } do
      local f = io.open(path, "w")
      f:write(whole:sub(1, bytes))
      f:close()
      assert.are.equal("truncated", why())
    end
    local f = io.open(path, "w")
    f:write(whole:sub(1, -2), ',"x":"', ("y"):rep(10 << 20), '"}')
    f:close()
    local start = bpf.now()
    assert.are.equal("too large", why())
    assert.is_true(bpf.now() - start < 2e9)
    f = io.open(path, "w")
    f:write('{"annotations":{"io.kubernetes.cri.container-name":null,"io.kubernetes.cri.sandbox-name":7}}')
    f:close()
    local facts = bundle.find(id, pod_path, "containerd")
    assert.are.same({ runtime = "containerd" }, facts)
  end)

  it("are not known where we may not read, which is told once", function()
    w:containerd(id, shop())
    helper.sh("chmod 700 %s/run/containerd/io.containerd.runtime.v2.task/k8s.io && chown -R 12345 %s", w.root, w.root)
    local text, status = helper.sh("setpriv --bounding-set=-dac_override,-dac_read_search "
      .. "--inh-caps=-dac_override,-dac_read_search %s run -e %s", helper.bpfnet, helper.quote(([[
      require("bpfnet.pod_files").set_roots { %q }
      print(require("bpfnet.pod_bundle").find(%q, %q, "containerd"))]]):format(w.root, id, pod_path)))
    assert.are.equal(0, status)
    assert.are.equal("nil\tdenied\n", text)
  end)
end)
