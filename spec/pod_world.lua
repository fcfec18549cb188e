-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A world of containers for specs: runtimes' files below a directory of our own, with names, annotations and
-- places as the real runtimes have them (containerd 1.6 and 2.1, podman 4.3 and Docker 20.10 as they were
-- seen, CRI-O as its source and users' dumps have it), and cgroups that are real, in the real tree. What the
-- runtimes themselves do is tested with real ones, in containers_spec.

local files = require "bpfnet.files"
local helper = require "helper"

local world = {}
world.__index = world

local MOUNT = require("bpfnet.cgroup").mount()
local count = 0

---@return table world with .root, a directory for pod.start{root =}
function world.new()
  local root = os.tmpname()
  os.remove(root)
  helper.sh("mkdir -p %s", root)
  return setmetatable({ root = root, made = {} }, world)
end

---A directory of cgroup v1: one that is there, or of a hierarchy without controllers.
---@return string? path nil where the kernel has none
function world.v1()
  local path = helper.sh("awk '$3 == \"cgroup\" {print $2; exit}' /proc/mounts"):match("%S+")
  if path then
    return path
  end
  path = os.tmpname() .. ".d"
  local _, status = helper.sh("mkdir %s && mount -t cgroup -o none,name=bpfnet none %s", path, path)
  return status == 0 and path or nil
end

---A container's id that nobody else has.
function world.id()
  count = count + 1
  return ("%08x"):format(count) .. ("%016x"):format(bpf.now()) .. ("0a1b2c3d"):rep(5)
end

---A pod's uid likewise.
function world.uid()
  count = count + 1
  return ("%08x-0000-4000-8000-%012x"):format(count, bpf.now() & 0xffffffffffff)
end

---Writes a file below the root; a table becomes JSON.
function world:write(path, content)
  path = self.root .. path
  helper.sh("mkdir -p %s", path:match("^(.*)/"))
  local f = assert(io.open(path, "w"))
  f:write(type(content) == "table" and bpf.json(content) or content)
  f:close()
  return path
end

-- As large as a real one, with all that is in it besides annotations.
local function oci_config(annotations, hostname)
  local env, mounts = {}, {}
  for i = 1, 60 do env[i] = ("SHOP_CART_SERVICE_PORT_%d_TCP=tcp://10.96.0.%d:443"):format(i, i) end
  for i = 1, 20 do
    mounts[i] = { destination = "/dev/" .. i, type = "bind", source = ("/var/lib/%064d"):format(i), options = { "rw" } }
  end
  return { ociVersion = "1.0.2-dev", hostname = hostname, annotations = annotations, mounts = mounts,
    process = { user = { uid = 0, gid = 0 }, args = { "/app", 'say "annotations":{"x":"y"}' }, env = env, cwd = "/" },
    root = { path = "rootfs", readonly = true },
    linux = { namespaces = { { type = "pid" }, { type = "network", path = "/proc/1/ns/net" } } } }
end
world.oci_config = oci_config

---The bundle of a container of containerd; `c` has container (nil: the sandbox), name, namespace, uid, image.
---@return string path of config.json
function world:containerd(id, c, state, namespace)
  local a = "io.kubernetes.cri."
  return self:write(("%s/io.containerd.runtime.v2.task/%s/%s/config.json"):format(state or "/run/containerd",
    namespace or "k8s.io", id), oci_config {
    [a .. "container-name"] = c.container, [a .. "container-type"] = c.container and "container" or "sandbox",
    [a .. "image-name"] = c.image, [a .. "sandbox-id"] = c.sandbox or id, [a .. "sandbox-name"] = c.name,
    [a .. "sandbox-namespace"] = c.namespace, [a .. "sandbox-uid"] = c.uid,
  })
end

---What libcni keeps of a network that a sandbox was given; `addresses` with the length of their prefix.
function world:cni(id, network, interface, addresses)
  local ips = {}
  for i, address in ipairs(addresses) do
    ips[i] = { address = address, gateway = "10.1.0.1", interface = 2, version = address:find(":") and "6" or "4" }
  end
  return self:write(("/var/lib/cni/results/%s-%s-%s"):format(network, id, interface), { kind = "cniCacheV1",
    containerId = id, config = "ewogICJuYW1lIjogIng8==", ifName = interface, networkName = network,
    cniArgs = { { "K8S_POD_NAMESPACE", "shop" }, { "K8S_POD_NAME", "cart-0" } },
    result = { cniVersion = "0.4.0", dns = {}, interfaces = { { name = "cni0" } }, ips = ips } })
end

---Likewise of CRI-O.
function world:crio(id, c, driver)
  local a = "io.kubernetes.cri-o."
  return self:write(("/run/containers/storage/%s-containers/%s/userdata/config.json"):format(driver or "overlay", id),
    oci_config({
      ["io.container.manager"] = "cri-o", ["io.kubernetes.pod.name"] = c.name,
      ["io.kubernetes.pod.namespace"] = c.namespace, ["io.kubernetes.pod.uid"] = c.uid,
      ["io.kubernetes.container.name"] = c.container or "POD",
      [a .. "ContainerType"] = c.container and "container" or "sandbox", [a .. "ImageName"] = c.image,
      [a .. "SandboxID"] = c.sandbox or id, [a .. "Labels"] = bpf.json(c.labels or {}),
    }, c.name))
end

---Likewise of podman; `c` has container, image, pod (its id) and pod_name for the one that holds the pod.
function world:podman(id, c, storage)
  storage = storage or "/var/lib/containers/storage"
  self.podmans = self.podmans or {}
  local list = self.podmans[storage] or {}
  self.podmans[storage] = list
  list[#list + 1] = { id = id, names = { c.container }, image = ("e"):rep(64), layer = "",
    metadata = bpf.json { ["image-name"] = c.image, ["image-id"] = ("e"):rep(64), name = c.container } }
  self:write(storage .. "/overlay-containers/containers.json", list)
  return self:write(("%s/overlay-containers/%s/userdata/config.json"):format(storage, id), oci_config({
    ["io.container.manager"] = "libpod",
    ["io.kubernetes.cri-o.ContainerType"] = c.pod and (c.pod_name and "sandbox" or "container") or nil,
    ["io.kubernetes.cri-o.SandboxID"] = c.pod,
  }, c.pod_name or id:sub(1, 12)))
end

---Likewise of Docker; `c` has container, image, labels.
function world:docker(id, c, data_root)
  return self:write(("%s/containers/%s/config.v2.json"):format(data_root or "/var/lib/docker", id), {
    ID = id, Name = "/" .. c.container, State = { Running = true, Pid = 1 },
    Config = { Image = c.image, Labels = c.labels }, NetworkSettings = { Networks = {} } })
end

---Makes a cgroup with all above it; gives its id. They go with world:close().
function world:cgroup(path)
  local at = ""
  for part in path:gmatch("[^/]+") do
    at = at .. "/" .. part
    if not files.inode(MOUNT .. at) then
      local text, status = helper.sh("mkdir %s", helper.quote(MOUNT .. at))
      assert(status == 0, text)
      table.insert(self.made, 1, at)
    end
  end
  return files.inode(MOUNT .. path)
end

---Removes one again.
function world:rmdir(path)
  local text, status = helper.sh("rmdir %s", helper.quote(MOUNT .. path))
  assert(status == 0, text)
end

---A command line that runs `command` in a cgroup.
function world:inside(path, command)
  return ("sh -c %s"):format(helper.quote(("echo $$ > %s%s/cgroup.procs; exec %s"):format(MOUNT, path, command)))
end

---Ends what runs in our cgroups, and removes all.
function world:close()
  for _, path in ipairs(self.made) do
    for pid in (helper.read(MOUNT .. path .. "/cgroup.procs") or ""):gmatch("%d+") do
      helper.sh("kill -INT %s", pid)
    end
    helper.wait(5, function()
      return not files.inode(MOUNT .. path) or select(2, helper.sh("rmdir %s", helper.quote(MOUNT .. path))) == 0
    end)
  end
  helper.sh("rm -rf %s", self.root)
end

return world
