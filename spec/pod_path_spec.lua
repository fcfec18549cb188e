-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What paths of cgroups say. Those marked RAN were seen with the real runtime, the others are as its source
-- or documentation has them.

local path = require "bpfnet.pod_path"

local ID = ("0a1b2c3d4e5f6789"):rep(4)
local ID2 = ("f0e1d2c3b4a59687"):rep(4)
local UID = "1f6b2c3d-aaaa-4bbb-8ccc-0123456789ab"
local UID_ = UID:gsub("-", "_")
local HASH = ("0123456789abcdef"):rep(2)

local function container(more)
  more.kind = "container"
  more.container_id = more.container_id or ID
  return more
end

-- Path, what it says; `owner` is the whole path unless it says another.
local SHAPES = {
  -- containerd, both cgroup drivers, each class of service (RAN, but for guaranteed)
  { "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" .. UID_ .. ".slice/cri-containerd-" .. ID
    .. ".scope", container { pod_uid = UID, runtime = "containerd" } },
  { "/kubepods.slice/kubepods-pod" .. UID_ .. ".slice/cri-containerd-" .. ID .. ".scope",
    container { pod_uid = UID, runtime = "containerd" } },
  { "/kubepods/burstable/pod" .. UID .. "/" .. ID, container { pod_uid = UID } },
  { "/kubepods/pod" .. UID .. "/" .. ID, container { pod_uid = UID } },
  { "/kubepods/besteffort/pod" .. HASH .. "/" .. ID, container { pod_uid = HASH } },
  { "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" .. HASH .. ".slice/cri-containerd-" .. ID
    .. ".scope", container { pod_uid = HASH, runtime = "containerd" } },
  -- the kubelet and containerd disagree about the driver
  { "/system.slice/containerd.service/kubepods-burstable-pod" .. UID_ .. ".slice:cri-containerd:" .. ID,
    container { pod_uid = UID, runtime = "containerd" } },
  { "/system.slice:docker:" .. ID, container { runtime = "docker" } },
  -- CRI-O, with runc and with crun; what watches a container is none
  { "/kubepods.slice/kubepods-pod" .. UID_ .. ".slice/crio-" .. ID .. ".scope",
    container { pod_uid = UID, runtime = "crio" } },
  { "/kubepods.slice/kubepods-pod" .. UID_ .. ".slice/crio-" .. ID .. ".scope/container",
    container { pod_uid = UID, runtime = "crio",
      owner = "/kubepods.slice/kubepods-pod" .. UID_ .. ".slice/crio-" .. ID .. ".scope" } },
  { "/kubepods/besteffort/pod" .. UID .. "/crio-" .. ID, container { pod_uid = UID, runtime = "crio" } },
  { "/kubepods.slice/kubepods-pod" .. UID_ .. ".slice/crio-conmon-" .. ID .. ".scope",
    { kind = "pod", pod_uid = UID,
      owner = "/kubepods.slice/kubepods-pod" .. UID_ .. ".slice" } },
  -- podman (RAN)
  { "/machine.slice/machine-libpod_pod_" .. ID2 .. ".slice/libpod-" .. ID .. ".scope/container",
    container { pod_uid = ID2, runtime = "podman",
      owner = "/machine.slice/machine-libpod_pod_" .. ID2 .. ".slice/libpod-" .. ID .. ".scope" } },
  { "/machine.slice/libpod-" .. ID .. ".scope/container",
    container { runtime = "podman",
      owner = "/machine.slice/libpod-" .. ID .. ".scope" } },
  { "/machine.slice/libpod-conmon-" .. ID .. ".scope",
    { kind = "unit", unit = "libpod-conmon-" .. ID .. ".scope" } },
  { "/libpod_parent/" .. ID2 .. "/libpod-" .. ID, container { pod_uid = ID2, runtime = "podman" } },
  { "/libpod_parent/libpod-" .. ID, container { runtime = "podman" } },
  { "/system.slice/web.service/libpod-payload-" .. ID,
    container { runtime = "podman" } },
  { "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" .. ID .. ".scope/container",
    container { runtime = "podman",
      owner = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" .. ID .. ".scope" } },
  -- Docker (the first RAN), under Kubernetes, in ECS
  { "/system.slice/docker-" .. ID .. ".scope",
    container { runtime = "docker" } },
  { "/docker/" .. ID, container { runtime = "docker" } },
  { "/docker/" .. ID .. "/init.scope", container { runtime = "docker", owner = "/docker/" .. ID } },
  { "/kubepods.slice/kubepods-pod" .. UID_ .. ".slice/docker-" .. ID .. ".scope",
    container { pod_uid = UID, runtime = "docker" } },
  { "/ecs/" .. HASH .. "/" .. ID, container {} },
  -- a node in a container (kind): the deepest counts
  { "/docker/" .. ID2 .. "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
    .. "kubelet-kubepods-besteffort-pod" .. UID_ .. ".slice/cri-containerd-" .. ID .. ".scope",
    container { pod_uid = UID, runtime = "containerd" } },
  { "/docker/" .. ID2 .. "/kubelet.slice/kubelet.service",
    container { container_id = ID2, runtime = "docker", owner = "/docker/" .. ID2 } },
  { "/kubepods/pod" .. UID .. "/" .. ID2 .. "/docker/" .. ID, container { runtime = "docker" } },
  -- pods as such
  { "/kubepods/burstable/pod" .. UID, { kind = "pod", pod_uid = UID } },
  { "/kubepods.slice/kubepods-pod" .. UID_ .. ".slice",
    { kind = "pod", pod_uid = UID } },
  -- LXC (RAN), with systemd in it
  { "/lxc.payload.web-1", container { container_id = "lxc:web-1", runtime = "lxc" } },
  { "/lxc.payload.web-1/system.slice/nginx.service",
    container { container_id = "lxc:web-1", runtime = "lxc", owner = "/lxc.payload.web-1" } },
  { "/lxc.monitor.web-1", { kind = "host", owner = "/" } },
  -- systemd (RAN)
  { "/system.slice/nginx.service", { kind = "unit", unit = "nginx.service" } },
  { "/system.slice/nginx.service/worker", { kind = "unit", unit = "nginx.service",
    owner = "/system.slice/nginx.service" } },
  { "/user.slice/user-1000.slice/session-2.scope", { kind = "unit", unit = "session-2.scope" } },
  { "/system.slice", { kind = "unit", unit = "system.slice" } },
  -- nobody's
  { "/", { kind = "host" } },
  { "/kubepods", { kind = "host", owner = "/" } },
  { "/default/redis", { kind = "host", owner = "/" } },
  { "/a." .. ID .. "b", { kind = "host", owner = "/" } },
  { "/pod-of-nobody", { kind = "host", owner = "/" } },
}

describe("the path of a cgroup", function()
  for _, shape in ipairs(SHAPES) do
    it("is read: " .. shape[1]:gsub(ID2, "ID2"):gsub(ID, "ID"):gsub(UID, "UID"):gsub(UID_, "UID"), function()
      local expected = shape[2]
      expected.owner = expected.owner or shape[1]
      assert.are.same(expected, path.parse(shape[1]))
    end)
  end

  it("is shortened for the eye", function()
    for text, short in pairs {
      ["/"] = "/",
      ["/kubepods/burstable/pod" .. UID .. "/" .. ID] = "pod1f6b2c3d/0a1b2c3d4e5f",
      ["/kubepods.slice/kubepods-pod" .. UID_ .. ".slice/cri-containerd-" .. ID .. ".scope"]
        = "pod1f6b2c3d/0a1b2c3d4e5f",
      ["/docker/" .. ID] = "docker/0a1b2c3d4e5f",
      ["/system.slice/nginx.service"] = "nginx.service",
    } do
      assert.are.equal(short, path.short(text))
    end
  end)
end)
