-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Who knows labels, addresses and owners of pods, by the names that users say: `--labels cri`, `--labels kube`.
--
--   require("bpfnet.pod_sources").use("cri")

local pod = require("bpfnet.pod")

local pod_sources = {}

---Their names.
pod_sources.NAMES = { "cri", "kube" }

local used = {} -- name -> true

---Asks it from now on; once, however often this is called.
---@param name "cri"|"kube" raises what its source() raises, as for a kubeconfig that can't be read
function pod_sources.use(name)
  if not used[name] then
    pod.add_source(require("bpfnet." .. name).source())
    used[name] = true
  end
end

---Somebody asks for labels: unless a source was added, it is the API server where something says which, else
---the container runtime of this node.
function pod_sources.need()
  if not pod.has_source() then
    pod_sources.use((os.getenv("KUBERNETES_SERVICE_HOST") or os.getenv("KUBECONFIG")) and "kube" or "cri")
  end
end

return pod_sources
