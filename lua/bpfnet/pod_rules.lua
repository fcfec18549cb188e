-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Which containers of a pod are sidecars: proxies that its traffic passes. Rules in order, the first that
-- matches says so. Users add to the table, at the end or with table.insert at the front:
--
--   local pod = require("bpfnet.pod")
--   pod.rules[#pod.rules + 1] = {
--     name = "our own proxy",
--     match = function(identity, proc) return proc.exe == "shop-proxy" end,
--   }
--
-- A rule is asked about containers that share a pod with others. It may be asked again when more is known.

---@class bpfnet.pod.Rule
---@field name string shown as identity.why
---@field match fun(identity: bpfnet.pod.Identity, proc: bpfnet.pod.RuleProc): any true or a text: it is one.
---  The text is shown after the name

---@class bpfnet.pod.RuleProc what is known of the container's first process and of the pod; all may be nil
---@field pid? integer
---@field comm? string
---@field uid? integer
---@field exe? string name of its program's file
---@field spec? table the pod's spec as the API has it

-- What meshes call the container that they inject.
local CONTAINERS = {
  ["istio-proxy"] = true,
  ["linkerd-proxy"] = true,
  ["envoy"] = true,
  ["envoy-sidecar"] = true,
  ["sidecar-proxy"] = true,
  ["consul-dataplane"] = true,
  ["kuma-sidecar"] = true,
  ["daprd"] = true,
  ["osm-envoy"] = true,
  ["cloud-sql-proxy"] = true,
}

-- Ends of an image's repository, without registry and tag.
local IMAGES = {
  "istio/proxyv2",
  "linkerd/proxy",
  "envoyproxy/envoy",
  "envoyproxy/envoy-distroless",
  "hashicorp/consul-dataplane",
  "kumahq/kuma-dp",
  "daprio/daprd",
}

-- Programs that are nothing but a mesh's proxy. haproxy and nginx are as often the service itself.
local EXECUTABLES = {
  ["envoy"] = true,
  ["pilot-agent"] = true,
  ["linkerd2-proxy"] = true,
  ["consul-dataplane"] = true,
  ["kuma-dp"] = true,
  ["daprd"] = true,
}

local ISTIO_UID = 1337 -- whose traffic Istio's iptables rules leave alone

local function is_native(identity, proc)
  local containers = type(proc.spec) == "table" and proc.spec.initContainers
  for _, one in ipairs(type(containers) == "table" and containers or {}) do
    if one.name == identity.container then
      return one.restartPolicy == "Always"
    end
  end
end

-- "docker.io/istio/proxyv2:1.20@sha256:…" without what comes after the repository; a registry may have a port.
local function repository(image)
  return image:gsub("@.*$", ""):gsub(":[^:/]*$", "")
end

local function is_image(identity)
  local name = identity.image and "/" .. repository(identity.image)
  for _, known in ipairs(IMAGES) do
    if name and name:sub(-#known - 1) == "/" .. known then
      return known
    end
  end
end

return {
  { name = "native sidecar in the pod's spec", match = is_native },
  {
    name = "container",
    match = function(identity) return CONTAINERS[identity.container] and identity.container end,
  },
  { name = "image", match = is_image },
  {
    name = "executable",
    match = function(_, proc)
      local program = proc.exe or proc.comm
      return EXECUTABLES[program] and program
    end,
  },
  { name = "uid", match = function(_, proc) return proc.uid == ISTIO_UID and tostring(ISTIO_UID) end },
}
